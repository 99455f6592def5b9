"""Triton puzzle 8, the softmax of long rows, in two loops: right on very negative rows, where a known answer is not.

Reading a row twice is enough: the first loop carries the running maximum and the running sum, the second one writes.
An answer that goes around starts the maximum at 0. As long as some logit lies above 0, it makes no difference. In a row
that lies far below 0, every exp(x - 0) underflows, the sum is 0, and 0 / 0 is NaN (off by inf). Run it from anywhere:

    python examples/puzzles/long_softmax.py
"""

from __future__ import annotations

import math
import os
import warnings

import torch
from torch import Tensor

from tilewise import oracle
from tilewise.testing import Comparison, compare

if not torch.cuda.is_available():
    os.environ["TRITON_INTERPRET"] = "1"  # asked for as Triton is imported
import triton
import triton.language as tl

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
ROWS, COLUMNS = 5, 200


@triton.jit
def exp(x):
    """exp(x) = 2^(log2(e) * x): hardware has only the power of two."""
    return tl.exp2(1.4426950408889634 * x)


@triton.jit
def softmax_kernel(x_ptr, z_ptr, N0, T, START: tl.constexpr, B0: tl.constexpr, B1: tl.constexpr):
    """Take the softmax of B0 rows of x: (N0, T), contiguous, B1 columns at a time. START: -inf, or the bug."""
    i = tl.program_id(0) * B0 + tl.arange(0, B0)
    m = tl.full((B0,), START, tl.float32)
    l = tl.zeros((B0,), tl.float32)
    for first in range(0, T, B1):
        j = first + tl.arange(0, B1)
        inside = (i < N0)[:, None] & (j < T)[None, :]
        x = tl.load(x_ptr + i[:, None] * T + j[None, :], mask=inside, other=float("-inf"))
        m_new = tl.maximum(m, tl.max(x, axis=1))
        anchor = tl.where(m_new == float("-inf"), 0.0, m_new)  # -inf - -inf would be NaN
        l = l * exp(m - anchor) + tl.sum(exp(x - anchor[:, None]), axis=1)
        m = m_new
    anchor = tl.where(m == float("-inf"), 0.0, m)
    for first in range(0, T, B1):
        j = first + tl.arange(0, B1)
        inside = (i < N0)[:, None] & (j < T)[None, :]
        x = tl.load(x_ptr + i[:, None] * T + j[None, :], mask=inside, other=float("-inf"))
        tl.store(z_ptr + i[:, None] * T + j[None, :], exp(x - anchor[:, None]) / l[:, None], mask=inside)


def softmax(x: Tensor, start: float = -math.inf, b0: int = 4, b1: int = 32) -> Tensor:
    """Launch the kernel. x: (rows, columns)"""
    x = x.contiguous()
    z = torch.full_like(x, torch.nan)
    softmax_kernel[(triton.cdiv(len(x), b0),)](x, z, *x.shape, START=start, B0=b0, B1=b1)
    return z


def drawn(shift: float = 0.0) -> Tensor:
    """Draw rows of logits around `shift`."""
    return torch.randn(ROWS, COLUMNS, generator=torch.Generator().manual_seed(8)).to(DEVICE) + shift


def compare_softmax(x: Tensor, start: float = -math.inf) -> Comparison:
    """Compare the kernel's softmax with the right one; what torch's own is off by sets what is allowed."""
    return compare(softmax(x, start).cpu(), oracle.softmax(x).cpu(), torch.softmax(x, dim=-1).cpu())


def main() -> None:
    print(f"x: {ROWS} x {COLUMNS}, float32, 32 columns at a time")
    for shift in (0.0, -1000.0):
        for start in (-math.inf, 0.0):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # the interpreter, which is NumPy, warns of 0 / 0
                found = compare_softmax(drawn(shift), start)
            print(f"logits around {shift:g}, maximum started at {start:g}: {found.ok}, off by {found.worst_error:.1e}")


if __name__ == "__main__":
    main()
