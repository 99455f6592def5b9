"""FlashAttention (Dao et al. 2022) with PyTorch's operators: keys in the outer loop, o right after every step.

Each block of keys passes over all queries, and what is known of them, (o, l, m), is read and written again each time:
FlashAttention-2 turns the loops round to save just that. Kept beside it to be compared with, not to be fast.
"""

from __future__ import annotations

import torch
from torch import Tensor

from tilewise.spec import Spec, sum_dtype
from tilewise.tiles import Slab, blocks, slabs

BLOCK_Q, BLOCK_K = 256, 256


def forward(
    q: Tensor, k: Tensor, v: Tensor, spec: Spec, *, block_q: int = BLOCK_Q, block_k: int = BLOCK_K
) -> tuple[Tensor, Tensor]:
    """Attend. Shapes as in `tilewise.backends`. Algorithm 1 of the paper."""
    wide = sum_dtype(q.dtype)
    o = q.new_zeros(*q.shape[:-1], v.shape[-1], dtype=wide)
    l = q.new_zeros(q.shape[:-1], dtype=wide)
    m = torch.full_like(l, -torch.inf)
    for slab in slabs(q, k, spec, block_q=block_q, block_k=block_k, unit=1.0):
        k_all, v_all = slab.keys(k), slab.keys(v)
        for columns in blocks(range(slab.n_k), block_k):
            j = slice(columns.start, columns.stop)
            for rows in blocks(slab.rows(columns), block_q):
                q_i = slab.queries(q, rows) * slab.query_scale
                _see(slab, q_i, k_all[:, j], v_all[:, j], rows, columns, o, l, m)
    return o.to(q.dtype), m + torch.log(l)


def _see(
    slab: Slab, q_i: Tensor, k_j: Tensor, v_j: Tensor, rows: range, columns: range, o: Tensor, l: Tensor, m: Tensor
) -> None:
    """Let a block of queries see a block of keys, and bring o, l and m up to date (lines 10 to 13)."""
    tile = slab.scores(q_i, k_j, rows, columns)
    if tile is None:
        return
    m_i, l_i, o_i = slab.per_query(m, rows), slab.per_query(l, rows), slab.queries(o, rows)
    m_new = torch.maximum(m_i, tile.s.amax(dim=-1, keepdim=True))
    anchor = torch.where(m_new == -torch.inf, 0.0, m_new)  # -inf - -inf is NaN; -inf - 0 gives the 0 it must
    p = torch.exp(tile.s - anchor)
    alpha = torch.exp(m_i - anchor)
    l_new = l_i * alpha + p.sum(dim=-1, keepdim=True)
    divisor = torch.where(l_new == 0, 1.0, l_new)
    o_new = (o_i * (l_i * alpha) + slab.dropped(p, rows, columns) @ v_j) / divisor
    slab.put(o, rows, o_new)
    slab.put(l[..., None], rows, l_new)
    slab.put(m[..., None], rows, m_new)


def backward(
    do: Tensor,
    dlse: Tensor | None,
    q: Tensor,
    k: Tensor,
    v: Tensor,
    o: Tensor,
    lse: Tensor,
    spec: Spec,
    *,
    mask_grad: bool,
    block_q: int = BLOCK_Q,
    block_k: int = BLOCK_K,
) -> tuple[Tensor, Tensor, Tensor, Tensor | None]:
    """Give dq, dk, dv and dmask. Shapes as in `tilewise.backends`. Algorithm 4 of the paper, keys outside.

    dk and dv of a block of keys are finished in one go, dq grows with every block. The paper keeps l and m; lse holds
    both, as exp(s - m) / l = exp(s - lse).
    """
    wide = sum_dtype(q.dtype)
    dq, dk, dv = torch.zeros_like(q, dtype=wide), torch.empty_like(k), torch.empty_like(v)
    dmask = torch.zeros_like(spec.mask, dtype=wide) if mask_grad and spec.mask is not None else None
    delta = (do.to(wide) * o.to(wide)).sum(dim=-1)
    delta = delta if dlse is None else delta - dlse
    anchor = torch.where(lse == -torch.inf, 0.0, lse)
    for slab in slabs(q, k, spec, block_q=block_q, block_k=block_k, unit=1.0):
        k_all, v_all = slab.keys(k), slab.keys(v)
        dk_all, dv_all = torch.zeros_like(k_all), torch.zeros_like(v_all)
        for columns in blocks(range(slab.n_k), block_k):
            j = slice(columns.start, columns.stop)
            for rows in blocks(slab.rows(columns), block_q):
                q_i, do_i = slab.queries(q, rows), slab.queries(do, rows)
                tile = slab.scores(q_i * slab.query_scale, k_all[:, j], rows, columns)
                if tile is None:
                    continue
                p = torch.exp(tile.s - slab.per_query(anchor, rows))
                dp = slab.dropped(do_i @ v_all[:, j].mT, rows, columns)
                ds = p * (dp - slab.per_query(delta, rows))
                if dmask is not None:
                    slab.add_mask_grad(dmask, ds, rows, columns)
                dqk = (ds if tile.tanh is None else ds * (1 - tile.tanh**2)) * spec.scale
                dv_all[:, j] += slab.dropped(p, rows, columns).mT @ do_i
                dk_all[:, j] += dqk.mT @ q_i
                slab.put(dq, rows, slab.queries(dq, rows) + dqk @ k_all[:, j])
        slab.put_keys(dk, dk_all)
        slab.put_keys(dv, dv_all)
    return dq.to(q.dtype), dk, dv, None if dmask is None or spec.mask is None else dmask.to(spec.mask.dtype)
