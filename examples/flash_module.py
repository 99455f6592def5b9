"""Standard and flash attention as modules: the same parameters, the same numbers, and three bugs that are not here.

A module that goes around as "FlashAttention in pure PyTorch", here as this library has it. Its arguments keep their
names, but for q_bucket_size and k_bucket_size, which are block_q and block_k; so do its parameters, to_q, to_kv and
to_out, and its state dict loads. What it gets wrong: causal where keys outnumber queries, any dtype but float32, and
padding at the left with causal, where later keys leak in. Run it from anywhere:

    python examples/flash_module.py
"""

from __future__ import annotations

import torch
from torch import Tensor

from tilewise.nn import FlashAttention, StandardAttention
from tilewise.testing import Comparison, compare

BATCH, N, M, DIM = 2, 300, 400, 64


def modules(causal: bool) -> tuple[StandardAttention, FlashAttention]:
    """Make both with the same parameters."""
    standard = StandardAttention(DIM, heads=4, dim_head=32, causal=causal)
    flash = FlashAttention(DIM, heads=4, dim_head=32, causal=causal, block_q=64, block_k=128)
    flash.load_state_dict(standard.state_dict())
    return standard, flash


def padding(at_left: bool) -> Tensor:
    """Say which keys are there: all of the first sequence, a quarter fewer of the second. -> (B, M) bool"""
    place = torch.arange(M).flip(0) if at_left else torch.arange(M)
    return place < torch.tensor([[M], [3 * M // 4]])


@torch.no_grad()
def compare_modules(causal: bool, mask: Tensor | None, dtype: torch.dtype) -> Comparison:
    """Compare flash with standard attention in float64; what standard is off by in this dtype sets what is allowed."""
    torch.manual_seed(0)
    standard, flash = modules(causal)
    x, context = torch.randn(BATCH, N, DIM, dtype=dtype), torch.randn(BATCH, M, DIM, dtype=dtype)
    actual, plain = flash.to(dtype)(x, context, mask), standard.to(dtype)(x, context, mask)
    return compare(actual, standard.double()(x.double(), context.double(), mask), plain)


def main() -> None:
    print(f"x: {BATCH} x {N} x {DIM}, context: {BATCH} x {M} x {DIM}, tiles of 64 x 128")
    for name, causal, mask, dtype in (
        ("plain", False, None, torch.float32),
        ("causal, more keys than queries", True, None, torch.float32),
        ("padding at the left, causal", True, padding(at_left=True), torch.float32),
        ("padding at the right", False, padding(at_left=False), torch.float32),
        ("bfloat16", False, None, torch.bfloat16),
    ):
        found = compare_modules(causal, mask, dtype)
        print(f"{name}: {found.ok}, off by {found.worst_error:.1e} where {found.allowed:.1e} is allowed")


if __name__ == "__main__":
    main()
