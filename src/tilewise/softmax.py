"""Softmax three ways, and the algebra of (m, l) that makes the third one work block by block.

All functions work on the last dimension. Sums are float32 at least, whatever the dtype of the input.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import reduce
from typing import NamedTuple

import torch
from torch import Tensor

from tilewise import checks


class SoftmaxState(NamedTuple):
    """What softmax must remember of the numbers x that it has seen: m = max(x) and l = sum(exp(x - m)).

    Both have the shape of x without its last dimension. (-inf, 0) has seen nothing, or only masked numbers (-inf).
    """

    m: Tensor
    l: Tensor


def identity(*shape: int, dtype: torch.dtype = torch.float32, device: torch.device | None = None) -> SoftmaxState:
    """Make the state that has seen nothing: m = -inf, l = 0, both of the given shape."""
    return SoftmaxState(
        torch.full(shape, -torch.inf, dtype=dtype, device=device), torch.zeros(shape, dtype=dtype, device=device)
    )


def absorb(state: SoftmaxState, x_tile: Tensor) -> SoftmaxState:
    """Take in one more tile of every row.

    state: m and l of shape (...)   x_tile: (..., width), width 0 included   ->   a state of shape (...)
    Milakov & Gimelshein 2018, algorithm 3 lines 4 and 5, a tile at a time.
    """
    _check_shapes(state, x_tile)
    if x_tile.shape[-1] == 0:
        return state
    x_tile = x_tile.to(state.m.dtype)
    m = torch.maximum(state.m, x_tile.amax(dim=-1))
    anchor = finite(m)
    added = torch.exp(x_tile - anchor[..., None]).sum(dim=-1)
    return SoftmaxState(m, state.l * torch.exp(state.m - anchor) + added)


def merge(a: SoftmaxState, b: SoftmaxState) -> SoftmaxState:
    """Join the states of two disjoint parts of every row: associative, commutative, `identity` changes nothing."""
    m = torch.maximum(a.m, b.m)
    anchor = finite(m)
    return SoftmaxState(m, a.l * torch.exp(a.m - anchor) + b.l * torch.exp(b.m - anchor))


def lse(state: SoftmaxState) -> Tensor:
    """Give log(sum(exp(x))) of what the state has seen, natural log: m + log(l).

    -inf where it has seen nothing, with a gradient of 0: that of log(0) would be NaN.
    """
    nothing = state.l == 0
    return torch.where(nothing, -torch.inf, finite(state.m) + torch.log(torch.where(nothing, 1.0, state.l)))


def weights(state: SoftmaxState, x_tile: Tensor) -> Tensor:
    """Give the softmax weights of a tile that the state has seen: exp(x_tile - m) / l, like x_tile.

    A row that has seen nothing gets weights 0, so that what it attends to sums to 0 and not to NaN.
    """
    _check_shapes(state, x_tile)
    exponentials = torch.exp(x_tile.to(state.m.dtype) - finite(state.m)[..., None])
    return divided(exponentials, state.l).to(x_tile.dtype)


def divided(values: Tensor, l: Tensor) -> Tensor:
    """Divide at last; a row that has seen nothing, l = 0, stays 0. values: (..., columns)   l: (...)"""
    return values / torch.where(l == 0, 1.0, l)[..., None]


def naive_softmax(x: Tensor) -> Tensor:
    """Divide exp(x) by its sum: right on paper; in float32 NaN above 88.7 and when a whole row lies below -104.

    x: (..., columns)   ->   like x
    """
    exponentials = torch.exp(rows(x))
    return (exponentials / exponentials.sum(dim=-1, keepdim=True)).to(x.dtype)


def safe_softmax(x: Tensor) -> Tensor:
    """Subtract the maximum of each row first, so that no exponential overflows.

    x: (..., columns)   ->   like x; a row of -inf gives zeros
    """
    state = _seen([x], x)
    return weights(state, x)


def logsumexp(x: Tensor) -> Tensor:
    """Give log(sum(exp(x))) of each row, natural log; a row of -inf gives -inf, and gets gradients of 0.

    x: (..., columns)   ->   (...), float32 at least
    """
    return lse(_seen([x], x))


def online_softmax(x: Tensor, block: int) -> Tensor:
    """Give the softmax of each row with never more than `block` columns in hand.

    x: (..., columns)   block: at least 1; the last block may be narrower   ->   like x; a row of -inf gives zeros
    A first pass carries (m, l), a second one writes the weights. Milakov & Gimelshein 2018, algorithm 3.
    """
    checks.whole("block", block)
    if block < 1:
        raise ValueError(f"block must be at least 1 column, got {block}")
    rows(x)  # refuses what has none
    tiles = x.split(block, dim=-1)
    state = _seen(tiles, x)
    return torch.cat([weights(state, tile) for tile in tiles], dim=-1)


def _seen(tiles: Iterable[Tensor], like: Tensor) -> SoftmaxState:
    """Absorb all tiles, starting from nothing."""
    like = rows(like)
    start = identity(*like.shape[:-1], dtype=like.dtype, device=like.device)
    return reduce(absorb, tiles, start)


def finite(m: Tensor) -> Tensor:
    """Replace infinite maxima by 0: inf - inf is NaN, while exp(-inf - 0) = 0 and exp(inf - 0) = inf are right."""
    return torch.where(torch.isinf(m), 0.0, m)


def rows(x: Tensor) -> Tensor:
    """Give rows of numbers in the dtype of the sums. Raises TypeError or ValueError for what holds none."""
    checks.dense("x", x)
    if x.ndim == 0 or not x.is_floating_point():
        remedy = "give x[None]" if x.ndim == 0 else "give x.float()"
        raise ValueError(f"x must hold floating-point rows, got shape {tuple(x.shape)} and dtype {x.dtype}; {remedy}")
    return x.to(torch.promote_types(x.dtype, torch.float32))


def _check_shapes(state: SoftmaxState, x_tile: Tensor) -> None:
    if x_tile.shape[:-1] != state.m.shape:
        raise ValueError(
            f"x_tile must have the state's shape and one dimension more, got {tuple(x_tile.shape)} "
            f"for a state of shape {tuple(state.m.shape)}"
        )
