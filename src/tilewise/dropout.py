"""Which weights dropout sets to 0: a function of the seed and the element's place alone.

So every backend, whatever its tiles, drops the same ones, and the backward pass drops those of the forward pass.
The mixing step is the finalizer of MurmurHash3 (Appleby 2011), in 32 bits.
"""

from __future__ import annotations

import torch
from torch import Tensor

BITS = 0xFFFFFFFF
FIRST, SECOND = 0x85EBCA6B, 0xC2B2AE35
GOLDEN = 0x9E3779B9


def kept(seed: int, heads: Tensor, rows: range, columns: range, dropout_p: float) -> Tensor:
    """Say which elements of a tile stay.

    heads: (...) int64, b * H + h of each head   rows, columns: of the scores   ->   (..., len(rows), len(columns)) bool
    """
    i = torch.arange(rows.start, rows.stop, device=heads.device)
    j = torch.arange(columns.start, columns.stop, device=heads.device)
    head_key = mixed(heads * GOLDEN + seed)
    row_key = mixed(head_key[..., None] + i * GOLDEN)
    return mixed(row_key[..., None] + j * GOLDEN) >= threshold(dropout_p)


def threshold(dropout_p: float) -> int:
    """Give the number below which an element is dropped, out of 2^32."""
    return round(dropout_p * 2**32)


def mixed(x: Tensor) -> Tensor:
    """Spread every bit of the low 32 bits of x over 32 bits. x: int64, like the result."""
    x = x & BITS
    x = ((x ^ (x >> 16)) * FIRST) & BITS
    x = ((x ^ (x >> 13)) * SECOND) & BITS
    return x ^ (x >> 16)
