"""Tensors, sizes and options as the kernels take them: tuples of pointers and numbers, None where not asked for."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

from tilewise.dropout import threshold
from tilewise.spec import Spec, group_size

LOG2_E = math.log2(math.e)


class Matrix(NamedTuple):
    """A tensor (B, H, rows, columns) with its strides in elements, 0 where it is broadcast."""

    ptr: Tensor
    batch: int
    head: int
    row: int
    column: int


class Vector(NamedTuple):
    """The same for one number a row: (B, H, rows)."""

    ptr: Tensor
    batch: int
    head: int
    row: int


class Sizes(NamedTuple):
    """heads: of queries   group: of them, how many share a head of keys"""

    n_q: int
    n_k: int
    heads: int
    group: int


class Dropout(NamedTuple):
    """As in `tilewise.dropout`. factor: what the weights that stay are multiplied by"""

    seed: int
    threshold: int
    factor: float


class Rules(NamedTuple):
    """What becomes of q @ k: s2 = log2(e) * s, as `Spec` has it.

    scale: log2(e) * scale, or scale / softcap where there is a softcap   softcap2: log2(e) * softcap
    slopes2: of ALiBi, times log2(e)   added, allowed: an additive mask, or a bool one in bytes
    """

    scale: float
    softcap2: float | None
    slopes2: Vector | None
    added: Matrix | None
    allowed: Matrix | None
    left: int | None
    right: int | None
    dropout: Dropout | None
    # Triton 3.6 forgets the constants of a tuple in a tuple, such as a stride of 1, unless the outer one ends with one.
    end: None = None


def matrix(x: Tensor) -> Matrix:
    """Point at a tensor of four dimensions."""
    return Matrix(x, *_strides(x))


def vector(x: Tensor) -> Vector:
    """Point at a tensor of three dimensions."""
    return Vector(x, *_strides(x))


def _strides(x: Tensor) -> tuple[int, ...]:
    return tuple(0 if size == 1 else stride for size, stride in zip(x.shape, x.stride(), strict=True))


def sizes(q: Tensor, k: Tensor) -> Sizes:
    return Sizes(q.shape[2], k.shape[2], q.shape[1], group_size(q, k))


def rules(spec: Spec) -> Rules:
    """Say what a `Spec` asks for."""
    mask, slopes, softcap = spec.mask, spec.alibi_slopes, spec.softcap
    is_bool = mask is not None and mask.dtype is torch.bool
    return Rules(
        scale=spec.scale * LOG2_E if softcap is None else spec.scale / softcap,
        softcap2=None if softcap is None else softcap * LOG2_E,
        slopes2=None if slopes is None else vector(slopes[:, :, None] * LOG2_E),
        added=None if mask is None or is_bool else matrix(mask),
        allowed=matrix(mask.view(torch.uint8)) if mask is not None and is_bool else None,
        left=spec.left,
        right=spec.right,
        dropout=_dropout(spec) if spec.dropout_p else None,
    )


def _dropout(spec: Spec) -> Dropout:
    return Dropout(spec.dropout_seed, threshold(spec.dropout_p), 1 / (1 - spec.dropout_p))
