"""Triton puzzle 9, FlashAttention with numbers in place of vectors, in one loop.

z_i is the mean of all v_j, weighted by the softmax over j of q_i * k_j. The maximum, the sum and the output go along
together, and each is rescaled as the maximum grows. Places beyond the last key have the score -inf. An answer that goes
around has -1e6 there, and as the first maximum: among scores that lie lower, the places that hold no key win. Run it
from anywhere:

    python examples/puzzles/scalar_flash.py
"""

from __future__ import annotations

import math
import os

import torch
from torch import Tensor

from tilewise import oracle
from tilewise.testing import Comparison, compare

if not torch.cuda.is_available():
    os.environ["TRITON_INTERPRET"] = "1"  # asked for as Triton is imported
import triton
import triton.language as tl

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
LENGTH = 200


@triton.jit
def exp(x):
    return tl.exp2(1.4426950408889634 * x)


@triton.jit
def scalar_flash_kernel(q_ptr, k_ptr, v_ptr, z_ptr, N0, T, HIDDEN: tl.constexpr, B0: tl.constexpr, B1: tl.constexpr):
    """Attend from B0 of the N0 queries to all T keys, B1 at a time. HIDDEN: -inf, or the bug."""
    i = tl.program_id(0) * B0 + tl.arange(0, B0)
    q = tl.load(q_ptr + i, mask=i < N0, other=0.0)
    m = tl.full((B0,), HIDDEN, tl.float32)
    l = tl.zeros((B0,), tl.float32)
    acc = tl.zeros((B0,), tl.float32)
    for first in range(0, T, B1):
        j = first + tl.arange(0, B1)
        k = tl.load(k_ptr + j, mask=j < T, other=0.0)
        v = tl.load(v_ptr + j, mask=j < T, other=0.0)
        # A key beyond the end has score 0 by its load, which counts: only -inf does not.
        s = tl.where((j < T)[None, :], q[:, None] * k[None, :], HIDDEN)
        m_new = tl.maximum(m, tl.max(s, axis=1))  # finite: each block has a key
        alpha = exp(m - m_new)
        p = exp(s - m_new[:, None])
        l = l * alpha + tl.sum(p, axis=1)
        acc = acc * alpha + tl.sum(p * v[None, :], axis=1)
        m = m_new
    tl.store(z_ptr + i, acc / l, mask=i < N0)


def scalar_flash(q: Tensor, k: Tensor, v: Tensor, hidden: float = -math.inf, b0: int = 64, b1: int = 32) -> Tensor:
    """Launch the kernel. q: (N0,)   k, v: (T,), T at least 1   ->   (N0,)"""
    z = torch.full_like(q, torch.nan)
    grid = (triton.cdiv(len(q), b0),)
    scalar_flash_kernel[grid](q, k, v, z, len(q), len(k), HIDDEN=hidden, B0=b0, B1=b1)
    return z


def drawn(spread: float = 1.0) -> list[Tensor]:
    """Draw q, k and v; q * k lies below 0, `spread` times as far."""
    generator = torch.Generator().manual_seed(9)
    q, k, v = (torch.rand(LENGTH, generator=generator).to(DEVICE) + 1 for _ in range(3))
    return [q * spread, -k, v]


def compare_attention(q: Tensor, k: Tensor, v: Tensor, hidden: float = -math.inf) -> Comparison:
    """Compare the kernel's output with the right one; what plain attention is off by sets what is allowed."""
    right, _ = oracle.attention(q[:, None], k[:, None], v[:, None], scale=1.0)
    plain = torch.softmax(q[:, None] * k, dim=-1) @ v
    return compare(scalar_flash(q, k, v, hidden).cpu(), right[:, 0].cpu(), plain.cpu())


def main() -> None:
    print(f"q, k, v: {LENGTH} numbers, float32, 32 keys at a time")
    for spread in (1.0, 1e7):
        for hidden in (-math.inf, -1e6):
            found = compare_attention(*drawn(spread), hidden)
            print(f"scores of {-spread:g} and below, hidden is {hidden:g}: {found.ok}, off by {found.worst_error:.1e}")


if __name__ == "__main__":
    main()
