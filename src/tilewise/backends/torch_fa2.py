"""FlashAttention-2 (Dao 2023) with PyTorch's operators: queries in the outer loop, an unnormalised accumulator.

Never more than a tile of scores in hand; tiles that no query sees are not formed; only o and lse are kept for the
backward pass. Inside, logarithms and exponentials are to base 2: a processor takes a quarter of the time of `torch.exp`
for `torch.exp2`, and is no slower for -inf. What is in that unit has a 2 in its name; lse leaves in natural log.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

from tilewise.spec import Spec, sum_dtype
from tilewise.tiles import Slab, blocks, slabs

LOG2_E = math.log2(math.e)
BLOCK_Q, BLOCK_Q_BOUNDED, BLOCK_K = 512, 128, 256
COARSE = 1e-3  # how far a rounding may take log2 of a weight before m2 and l are worth another look at the keys


def forward(
    q: Tensor, k: Tensor, v: Tensor, spec: Spec, *, block_q: int | None = None, block_k: int = BLOCK_K
) -> tuple[Tensor, Tensor]:
    """Attend. Shapes as in `tilewise.backends`. Algorithm 1 of the paper, for every block of queries."""
    block_q = block_q or _block_q(spec)
    o = q.new_empty(*q.shape[:-1], v.shape[-1])
    lse = q.new_empty(q.shape[:-1], dtype=sum_dtype(q.dtype))
    for slab in slabs(q, k, spec, block_q=block_q, block_k=block_k, unit=LOG2_E):
        k_all, v_all = slab.keys(k), slab.keys(v)
        for rows in blocks(range(slab.n_q), block_q):
            q_i = slab.queries(q, rows) * slab.query_scale
            m2, l, acc = _attend(slab, q_i, k_all, v_all, rows, block_k)
            slab.put(o, rows, acc.div_(torch.where(l == 0, 1.0, l)))
            slab.put(lse[..., None], rows, m2 / LOG2_E + torch.log(l))
    return o, lse


def _block_q(spec: Spec) -> int:
    """Choose how many queries to take at a time: few where a bound cuts tiles, for half of such a tile is waste."""
    return BLOCK_Q if spec.left is None and spec.right is None else BLOCK_Q_BOUNDED


def _attend(slab: Slab, q_i: Tensor, k: Tensor, v: Tensor, rows: range, block_k: int) -> tuple[Tensor, Tensor, Tensor]:
    """Go through the keys that a block of queries sees.

    q_i: (heads, G * rows, D)   ->   m2, l: (heads, G * rows, 1)   acc: (heads, G * rows, D_v), not yet divided by l
    """
    # The lowest finite number, for -inf - -inf is NaN: as long as nothing is seen, weights are exp2(-inf) = 0.
    m2 = q_i.new_full((*q_i.shape[:-1], 1), torch.finfo(q_i.dtype).min)
    l = torch.zeros_like(m2)
    acc = q_i.new_zeros(*q_i.shape[:-1], v.shape[-1])
    for columns in blocks(slab.spec.columns(rows, slab.n_q, slab.n_k), block_k):
        tile = slab.scores(q_i, k[:, columns.start : columns.stop], rows, columns)
        if tile is None:
            continue
        m2_new = torch.maximum(m2, tile.s.amax(dim=-1, keepdim=True))
        p = tile.s.sub_(m2_new).exp2_()
        alpha = m2.sub_(m2_new).exp2_()
        l.mul_(alpha).add_(p.sum(dim=-1, keepdim=True))
        acc.mul_(alpha).baddbmm_(slab.dropped(p, rows, columns), v[:, columns.start : columns.stop])
        m2 = m2_new
    return m2, l, acc


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
    block_q: int | None = None,
    block_k: int = BLOCK_K,
) -> tuple[Tensor, Tensor, Tensor, Tensor | None]:
    """Give dq, dk, dv and dmask. Shapes as in `tilewise.backends`. Algorithm 2 of the paper, queries outside.

    The weights come back as exp(s - lse); the gradient of lse enters as p * dlse, so it joins delta.
    """
    block_q = block_q or _block_q(spec)
    dq, dk, dv = torch.empty_like(q), torch.empty_like(k), torch.empty_like(v)
    dmask = torch.zeros_like(spec.mask, dtype=sum_dtype(q.dtype)) if mask_grad and spec.mask is not None else None
    for slab in slabs(q, k, spec, block_q=block_q, block_k=block_k, unit=LOG2_E):
        k_all, v_all = slab.keys(k), slab.keys(v)
        dk_all, dv_all = torch.zeros_like(k_all), torch.zeros_like(v_all)
        for rows in blocks(range(slab.n_q), block_q):
            queries = _queries(slab, rows, do, dlse, q, o, lse)
            if queries.is_coarse:
                m2, l, _ = _attend(slab, queries.q_scaled, k_all, v_all, rows, block_k)
                queries = queries._replace(lse2=m2, l=torch.where(l == 0, 1.0, l))
            dq_i = torch.zeros_like(queries.q)
            for columns in blocks(spec.columns(rows, slab.n_q, slab.n_k), block_k):
                j = slice(columns.start, columns.stop)
                tile = _tile(slab, queries, k_all[:, j], v_all[:, j], rows, columns)
                if tile is None:
                    continue
                if dmask is not None:
                    slab.add_mask_grad(dmask, tile.ds, rows, columns)
                dv_all[:, j].baddbmm_(tile.p.mT, queries.do)
                dq_i.baddbmm_(tile.dqk, k_all[:, j])
                dk_all[:, j].baddbmm_(tile.dqk.mT, queries.q)
            slab.put(dq, rows, dq_i.mul_(spec.scale))
        slab.put_keys(dk, dk_all.mul_(spec.scale))
        slab.put_keys(dv, dv_all)
    return dq, dk, dv, None if dmask is None or spec.mask is None else dmask.to(spec.mask.dtype)


class _Queries(NamedTuple):
    """What the backward pass knows of a block of queries. do: (heads, G * rows, D_v)

    q, and q_scaled as `Slab.scores` wants it: (heads, G * rows, D)
    lse2: (heads, G * rows, 1), 0 where no key is seen   delta = rowsum(do * o) - dlse: (heads, G * rows, 1)
    l: None, for lse2 holds it; or (heads, G * rows, 1), and then lse2 is m2
    """

    q: Tensor
    q_scaled: Tensor
    do: Tensor
    lse2: Tensor
    delta: Tensor
    l: Tensor | None = None

    @property
    def is_coarse(self) -> bool:
        """Whether some lse2 = m2 + log2(l) is so large that log2(l) is lost in it: where all of a row is -1e9, say."""
        return bool(self.lse2.abs().amax() * torch.finfo(self.lse2.dtype).eps > COARSE)


def _queries(slab: Slab, rows: range, do: Tensor, dlse: Tensor | None, q: Tensor, o: Tensor, lse: Tensor) -> _Queries:
    do_i = slab.queries(do, rows)
    delta = (do_i * slab.queries(o, rows)).sum(dim=-1, keepdim=True)
    if dlse is not None:
        delta -= slab.per_query(dlse, rows)
    lse_i = slab.per_query(lse, rows)
    lse2 = torch.where(lse_i == -torch.inf, 0.0, lse_i * LOG2_E)
    q_i = slab.queries(q, rows)
    return _Queries(q_i, q_i * slab.query_scale, do_i, lse2, delta)


class _Tile(NamedTuple):
    """Gradients of one tile: (heads, G * rows, columns) each.

    p: the weights after dropout   ds: of the scores   dqk: of scale * q @ k, which is ds where there is no softcap
    """

    p: Tensor
    ds: Tensor
    dqk: Tensor


def _tile(slab: Slab, queries: _Queries, k_j: Tensor, v_j: Tensor, rows: range, columns: range) -> _Tile | None:
    """Form a tile of weights anew, and the gradient of its scores: ds = p * (dp - delta). None where all is hidden."""
    tile = slab.scores(queries.q_scaled, k_j, rows, columns)
    if tile is None:
        return None
    p = tile.s.sub_(queries.lse2).exp2_()
    if queries.l is not None:
        p.div_(queries.l)
    dp = slab.dropped(slab.product(queries.do, v_j.mT, "dp"), rows, columns)
    ds = dp.sub_(queries.delta).mul_(p)
    dqk = ds if tile.tanh is None else ds * (1 - tile.tanh**2)
    return _Tile(slab.dropped(p, rows, columns), ds, dqk)
