"""Token by token: keys and values are kept in a cache, and each new query attends to splits of it, merged by lse.

Run it from anywhere:

    python examples/decoding.py
"""

from __future__ import annotations

import torch
from torch import Tensor

from tilewise import KVCache, attention, decode
from tilewise.testing import Comparison, compare

BATCH, HEADS, H_KV, D = 2, 8, 2, 32
PROMPT, LENGTH = 40, 60


def decoded(q: Tensor, k: Tensor, v: Tensor, splits: int) -> Tensor:
    """Attend causally: the prompt at once, then one token at a time."""
    cache = KVCache(BATCH, H_KV, D, capacity=16)
    steps = []
    for start, stop in ((0, PROMPT), *((i, i + 1) for i in range(PROMPT, LENGTH))):
        cache.append(k[:, :, start:stop], v[:, :, start:stop])
        steps.append(decode(q[:, :, start:stop], cache, splits=splits))
    return torch.cat(steps, dim=2)


def compare_decoding(splits: int) -> Comparison:
    """Compare decoding with attention over the whole at once, whose own error sets what is allowed."""
    generator = torch.Generator().manual_seed(0)
    q, k, v = (torch.randn(BATCH, h, LENGTH, D, generator=generator) for h in (HEADS, H_KV, H_KV))
    right = attention(q.double(), k.double(), v.double(), causal=True)
    return compare(decoded(q, k, v, splits), right, attention(q, k, v, causal=True, backend="reference"))


def main() -> None:
    print(f"a prompt of {PROMPT}, then {LENGTH - PROMPT} tokens one by one; {HEADS} heads read {H_KV} heads of keys")
    for splits in (1, 4, 1000):
        found = compare_decoding(splits)
        print(f"{splits} splits: {found.ok}, off by {found.worst_error:.1e} where {found.allowed:.1e} is allowed")


if __name__ == "__main__":
    main()
