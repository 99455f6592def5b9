"""Softmax in two parts, and attention block by block, compared with the ordinary ones.

A demonstration that goes around under the title "standard attention and flash attention compared", here with this
library's functions. What it does there, and here:

    there                                       here
    calculate_local_fx(x) -> m, l, fx           local_softmax(x) -> (m, l, f)
    decomposed_softmax(fx1, l1, m1,             merge_softmax(a, b) -> (m, l, f), and the caller divides: f / l
                       fx2, l2, m2)
    StdAttentionCord(dim)(q, k, v)              standard(q, k, v); the scale 1/sqrt(D) is taken from q
    FlashAttentionCore(dim, block)(q, k, v)     flash(q, k, v, block)
    torch.allclose(a, b, atol=1e-3)             allowed error: twice that of plain arithmetic, and a few roundings

Chapter 04 has you write all four. Run it from anywhere:

    python examples/decomposed_softmax.py
"""

from __future__ import annotations

import torch
from torch import Tensor

from tilewise import oracle
from tilewise.parts import flash, local_softmax, merge_softmax, standard
from tilewise.testing import Comparison, compare

ROWS, COLUMNS, BLOCK = 16, 1024, 8


def merged_softmax(x1: Tensor, x2: Tensor) -> Tensor:
    """Take the softmax over the columns of both, each seen by itself. x1, x2: (rows, columns)"""
    merged = merge_softmax(local_softmax(x1), local_softmax(x2))
    return merged.f / merged.l[:, None]


def compare_softmax(x1: Tensor, x2: Tensor) -> Comparison:
    """Compare the merged softmax with that of the concatenation."""
    x = torch.cat([x1, x2], dim=-1)
    return compare(merged_softmax(x1, x2), oracle.softmax(x), torch.softmax(x, dim=-1))


def compare_attention(q: Tensor, k: Tensor, v: Tensor, block: int) -> Comparison:
    """Compare flash attention with the standard one, whose own error sets what is allowed."""
    right, _ = oracle.attention(q, k, v)
    return compare(flash(q, k, v, block), right, standard(q, k, v))


def main() -> None:
    generator = torch.Generator().manual_seed(0)
    x1, x2 = (torch.randn(ROWS, COLUMNS, generator=generator) for _ in range(2))
    print(f"x1, x2: {ROWS} x {COLUMNS}, float32, block = {BLOCK}")
    for name, found in (
        ("merged softmax  = softmax of both side by side", compare_softmax(x1, x2)),
        ("flash attention = standard attention", compare_attention(x1, x2, x2, BLOCK)),
    ):
        print(f"{name}: {found.ok}, off by {found.worst_error:.1e} where {found.allowed:.1e} is allowed")


if __name__ == "__main__":
    main()
