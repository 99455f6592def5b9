"""Tensors, sizes and options as the kernels take them: what `kernels/problem.cuh` declares, field for field."""

from __future__ import annotations

from ctypes import Array, Structure, c_float, c_int, c_int64, c_uint, c_void_p

import torch
from torch import Tensor

from tilewise.dropout import BITS, threshold
from tilewise.spec import Spec, group_size

VECTOR = 4  # elements that a kernel loads at once


class Strides(Structure):
    """Of a tensor of four dimensions, in elements, 0 where it is broadcast."""

    _fields_ = [(name, c_int64) for name in ("batch", "head", "row", "column")]


class Problem(Structure):
    """What every kernel is told. The two pointers at the end are filled in by the entry points."""

    _fields_ = [
        *((name, c_int) for name in ("batch", "heads", "group", "n_q", "n_k", "d", "d_v", "is_half")),
        ("scale", c_float),
        ("softcap", c_float),
        ("left", c_int),
        ("right", c_int),
        ("mask_kind", c_int),
        ("mask_strides", Strides),
        ("slopes_batch", c_int64),
        ("seed", c_uint),
        ("threshold", c_uint),
        ("keep_scale", c_float),
        ("mask", c_void_p),
        ("slopes", c_void_p),
    ]


MASK_KINDS = {None: 0, torch.bool: 1, torch.float32: 2, torch.float16: 3}


def problem(q: Tensor, k: Tensor, v: Tensor, spec: Spec, mask: Tensor | None) -> Problem:
    """Say what is asked. q, k, v: `aligned`   mask: that of the spec, `readable`"""
    (batch, heads, n_q, d), n_k, slopes = q.shape, k.shape[2], spec.alibi_slopes
    return Problem(
        batch=batch,
        heads=heads,
        group=group_size(q, k),
        n_q=n_q,
        n_k=n_k,
        d=d,
        d_v=v.shape[3],
        is_half=q.dtype is torch.float16,
        scale=spec.scale,
        softcap=spec.softcap or 0.0,
        left=_bound(spec.left, n_q + n_k),
        right=_bound(spec.right, n_q + n_k),
        mask_kind=MASK_KINDS[None if mask is None else mask.dtype],
        mask_strides=Strides() if mask is None else strides(mask),
        slopes_batch=0 if slopes is None or slopes.shape[0] == 1 else heads,
        seed=spec.dropout_seed & BITS,
        threshold=min(threshold(spec.dropout_p), BITS),
        keep_scale=1 / (1 - spec.dropout_p),
    )


def _bound(side: int | None, most: int) -> int:
    return most if side is None else max(-most, min(side, most))


def strides(x: Tensor) -> Strides:
    return Strides(*(0 if size == 1 else stride for size, stride in zip(x.shape, x.stride(), strict=True)))


def packed(*tensors: Tensor | None) -> Array[Strides]:
    """Put the strides of several tensors into one array, zeros for None."""
    return (Strides * len(tensors))(*(Strides() if x is None else strides(x) for x in tensors))


def wide(features: int) -> int:
    """Give the least multiple of `VECTOR` that holds a row."""
    return -(-features // VECTOR) * VECTOR


def aligned(x: Tensor) -> Tensor:
    """Give x, or a copy, with rows that can be read four elements at a time; features that are added are 0."""
    fits = x.shape[-1] % VECTOR == 0 and x.stride(-1) == 1 and x.data_ptr() % (VECTOR * x.element_size()) == 0
    if fits and all(stride % VECTOR == 0 for stride in x.stride()[:-1]):
        return x
    copy = x.new_zeros(*x.shape[:-1], wide(x.shape[-1]))
    copy[..., : x.shape[-1]] = x
    return copy


def readable(mask: Tensor | None) -> Tensor | None:
    """Give the mask in a dtype that the kernels read. Other floating ones become float32, the dtype of the scores."""
    return mask if mask is None or mask.dtype in MASK_KINDS else mask.float()
