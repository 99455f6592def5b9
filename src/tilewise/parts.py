"""Softmax in parts: each part of a row on its own, then merged; and attention that merges parts of its keys.

All functions work on the last dimension. Sums are float32 at least, whatever the dtype of the input.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from tilewise import checks
from tilewise.softmax import SoftmaxState, absorb, divided, finite, identity, merge, rows


class SoftmaxPart(NamedTuple):
    """Some columns x of every row on their own: m = max(x), f = exp(x - m), l = sum(f), not yet divided.

    m, l: (...)   f: (..., columns). Masked numbers are -inf. A row with none but those, and any row of a part without
    columns, has m = -inf and l = 0: merged with another part, it changes nothing.
    """

    m: Tensor
    l: Tensor
    f: Tensor

    @property
    def state(self) -> SoftmaxState:
        """What online softmax would remember of the part."""
        return SoftmaxState(self.m, self.l)

    @property
    def softmax(self) -> Tensor:
        """f / l, as if there were no other columns: (..., columns). A row with none but masked numbers gives zeros."""
        return divided(self.f, self.l)


def local_softmax(x: Tensor) -> SoftmaxPart:
    """Take the softmax of a part apart into (m, l, f).

    x: (..., columns), 0 columns included   ->   m, l: (...)   f: (..., columns)
    """
    x = rows(x)
    m, l = absorb(identity(*x.shape[:-1], dtype=x.dtype, device=x.device), x)
    return SoftmaxPart(m, l, torch.exp(x - finite(m)[..., None]))


def merge_softmax(a: SoftmaxPart, b: SoftmaxPart) -> SoftmaxPart:
    """Join two parts of the same rows: f is that of a, then that of b, both measured from the larger maximum.

    Associative up to rounding; commutative in m and l. Raises ValueError when the parts differ in their rows.
    """
    return merge_many([a, b])


def merge_many(parts: Sequence[SoftmaxPart]) -> SoftmaxPart:
    """Join any number of parts of the same rows, at least one, in the order of their columns."""
    if not parts:
        raise ValueError("parts is empty, and how many rows there are stands in a part; give at least one")
    first = parts[0].m.shape
    if odd := [tuple(part.m.shape) for part in parts if part.m.shape != first]:
        raise ValueError(f"all parts need the same rows, got m of shape {tuple(first)} and {odd[0]}")
    state = parts[0].state
    for part in parts[1:]:
        state = merge(state, part.state)
    return SoftmaxPart(*state, torch.cat([rescaled(part.f, part.m, state.m) for part in parts], dim=-1))


def merge_tree(parts: Sequence[SoftmaxPart]) -> SoftmaxPart:
    """Join parts like `merge_many`, two neighbours at a time: a balanced tree, log2(len(parts)) merges deep.

    What a machine does that takes all parts at once. Equal to the chain up to rounding, since merging is associative.
    """
    if len(parts) <= 1:
        return merge_many(parts)
    middle = len(parts) // 2
    return merge_softmax(merge_tree(parts[:middle]), merge_tree(parts[middle:]))


def merge_attention(o: Tensor, lse: Tensor) -> tuple[Tensor, Tensor]:
    """Join what the same queries got from disjoint parts of the keys, each part attended to by itself.

    o: (parts, ..., N_q, D_v)   lse: (parts, ..., N_q), natural log   ->   o: (..., N_q, D_v), lse: (..., N_q)
    A part counts for exp(lse): o = sum(exp(lse_i - lse) * o_i), lse = log(sum(exp(lse_i))). One without keys, o = 0 and
    lse = -inf, changes nothing; with no other, o = 0 and lse = -inf come out. Differentiable, such queries included.
    Dao et al. 2023 (Flash-Decoding).

    Shares are as exact as lse, which is rounded by up to |lse| * eps / 2: in float32 0.03 at -1e6, and at -1e9, as by a
    mask with that in a whole row, how many keys a part has is lost. Take the same number off such a row in all parts.
    """
    if len(o) == 0 or o.shape[:-1] != lse.shape:
        raise ValueError(
            "o and lse need the shapes (parts, ..., N_q, D_v) and (parts, ..., N_q) with one part at least,"
            f" got {tuple(o.shape)} and {tuple(lse.shape)}"
        )
    anchor = finite(lse.detach().amax(dim=0))
    shares = torch.exp(lse - anchor)
    total = shares.sum(dim=0)
    counted = torch.where(total == 0, 1.0, total)
    merged = (shares[..., None] * o.to(shares.dtype)).sum(dim=0) / counted[..., None]
    return merged.to(o.dtype), torch.where(total == 0, -torch.inf, anchor + torch.log(counted))


def rescaled(values: Tensor, m: Tensor, m_new: Tensor) -> Tensor:
    """Measure values from m_new in place of m. values: (..., columns)   m, m_new: (...), m <= m_new"""
    return values * torch.exp(m - finite(m_new))[..., None]


def standard(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Attend with the whole matrix of scores in hand, scale 1/sqrt(D).

    q: (..., N_q, D)   k: (..., N_k, D)   v: (..., N_k, D_v)   ->   (..., N_q, D_v), dtype of q; zeros where N_k is 0
    """
    part = local_softmax(_scores(q, k))
    return divided(part.f @ v.to(part.f.dtype), part.l).to(q.dtype)


def flash(q: Tensor, k: Tensor, v: Tensor, block: int) -> Tensor:
    """Attend like `standard` with never more than `block` keys in hand; the last block may be narrower.

    Where `merge_softmax` puts the f of two parts side by side, the f @ v of each part is added up here.
    """
    checks.whole("block", block)
    if block < 1:
        raise ValueError(f"block must be at least 1 key, got {block}")
    state = identity(*q.shape[:-1], dtype=torch.promote_types(q.dtype, torch.float32), device=q.device)
    acc = torch.zeros(*q.shape[:-1], v.shape[-1], dtype=state.m.dtype, device=q.device)
    for k_j, v_j in zip(k.split(block, dim=-2), v.split(block, dim=-2), strict=True):
        part = local_softmax(_scores(q, k_j))
        joined = merge(state, part.state)
        acc = rescaled(acc, state.m, joined.m) + rescaled(part.f @ v_j.to(part.f.dtype), part.m, joined.m)
        state = joined
    return divided(acc, state.l).to(q.dtype)


def _scores(q: Tensor, k: Tensor) -> Tensor:
    """Multiply in float32 at least: in float16 the products of numbers as small as 60 overflow their sum."""
    wide = torch.promote_types(q.dtype, torch.float32)
    return q.to(wide) @ k.to(wide).mT * q.shape[-1] ** -0.5
