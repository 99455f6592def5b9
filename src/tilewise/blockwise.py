"""Attention with never more than one tile of scores in hand: (m, l, acc) for each query, carried from block to block.

All functions work on the last two dimensions. Sums are float32 at least, whatever the dtype of the input.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from tilewise import checks


class AttentionState(NamedTuple):
    """What attention must remember of the keys that a query has seen, s being their scaled scores.

    m = max(s), l = sum(exp(s - m)): (..., N_q)   acc = sum(exp(s - m) * v): (..., N_q, D_v), not yet divided by l.
    (-inf, 0, 0) has seen nothing.
    """

    m: Tensor
    l: Tensor
    acc: Tensor


def nothing_seen(q: Tensor, d_v: int) -> AttentionState:
    """Make the state of queries that have seen no key. q: (..., N_q, D)"""
    like = torch.empty(0, dtype=torch.promote_types(q.dtype, torch.float32), device=q.device)
    rows = q.shape[:-1]
    return AttentionState(like.new_full(rows, -torch.inf), like.new_zeros(rows), like.new_zeros(*rows, d_v))


def attend_block(state: AttentionState, q: Tensor, k_j: Tensor, v_j: Tensor, scale: float) -> AttentionState:
    """Let every query see one more block of keys.

    state: of all queries   q: (..., N_q, D)   k_j: (..., width, D)   v_j: (..., width, D_v), width at least 1
    Dao 2023 (FlashAttention-2), algorithm 1 lines 8 to 10, with the factor of line 10 the right way up.
    """
    wide = state.m.dtype  # before the product: in float16 the sum of 64 products of 60 and 60 overflows
    s = q.to(wide) @ k_j.to(wide).mT * scale
    m = torch.maximum(state.m, s.amax(dim=-1))
    alpha = torch.exp(state.m - m)
    p = torch.exp(s - m[..., None])
    return AttentionState(m, state.l * alpha + p.sum(dim=-1), state.acc * alpha[..., None] + p @ v_j.to(wide))


def output(state: AttentionState) -> Tensor:
    """Divide at last: acc / l. A query that has seen nothing gives 0. -> (..., N_q, D_v)"""
    return state.acc / torch.where(state.l == 0, 1.0, state.l)[..., None]


def blockwise_attention(
    q: Tensor, k: Tensor, v: Tensor, block_q: int, block_k: int, scale: float | None = None
) -> Tensor:
    """Attend tile by tile: no intermediate is larger than one block of queries by one block of keys.

    q: (..., N_q, D)   k: (..., N_k, D)   v: (..., N_k, D_v)   ->   (..., N_q, D_v), the dtype of q
    block_q, block_k: at least 1; the last block may be narrower   scale: None means 1/sqrt(D)
    """
    checks.whole("block_q", block_q)
    checks.whole("block_k", block_k)
    if block_q < 1 or block_k < 1:
        raise ValueError(f"block_q and block_k must be at least 1, got {block_q} and {block_k}")
    if k.shape[-2] != v.shape[-2]:
        raise ValueError(f"k and v need the same length, got {k.shape[-2]} and {v.shape[-2]}; did you slice only one?")
    scale = q.shape[-1] ** -0.5 if scale is None else scale
    blocks = [] if k.shape[-2] == 0 else list(zip(k.split(block_k, dim=-2), v.split(block_k, dim=-2), strict=True))
    rows = []
    for q_i in q.split(block_q, dim=-2):
        state = nothing_seen(q_i, v.shape[-1])
        for k_j, v_j in blocks:
            state = attend_block(state, q_i, k_j, v_j, scale)
        rows.append(output(state).to(q.dtype))
    return torch.cat(rows, dim=-2)
