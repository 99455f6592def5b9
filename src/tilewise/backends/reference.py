"""Plain attention with the whole matrix of scores in hand: never tiled, every formula where it can be read.

What all other backends must agree with. Memory grows as N_q x N_k. Sums in `sum_dtype`.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from tilewise.dropout import kept
from tilewise.spec import Spec, group_size, sum_dtype


def forward(q: Tensor, k: Tensor, v: Tensor, spec: Spec) -> tuple[Tensor, Tensor]:
    """Attend. Shapes as in `tilewise.backends`.

    s: (B, H, N_q, N_k), the scores   p = softmax(s), the weights   o = p @ v
    """
    wide = sum_dtype(q.dtype)
    k, v = _repeated(k, group_size(q, k)).to(wide), _repeated(v, group_size(q, v)).to(wide)
    s = _scores(q.to(wide), k, spec).final
    p = _dropped(_softmax(s), spec)
    return (p @ v).to(q.dtype), torch.logsumexp(s, dim=-1)


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
) -> tuple[Tensor, Tensor, Tensor, Tensor | None]:
    """Give dq, dk, dv and dmask. Shapes as in `tilewise.backends`.

    FlashAttention (Dao et al. 2022), appendix B.2: ds = p * (dp - delta), delta = rowsum(do * o). The gradient of lse
    enters as p * dlse, so it joins delta.
    """
    wide, group = sum_dtype(q.dtype), group_size(q, k)
    q_, k_, v_, do_ = q.to(wide), _repeated(k, group).to(wide), _repeated(v, group).to(wide), do.to(wide)
    scores = _scores(q_, k_, spec)
    p = _softmax(scores.final)
    dv = _dropped(p, spec).mT @ do_
    dp = _dropped(do_ @ v_.mT, spec)
    delta = (do_ * o.to(wide)).sum(dim=-1)
    if dlse is not None:
        delta = delta - dlse
    ds = p * (dp - delta[..., None])
    dmask = ds.sum_to_size(spec.mask.shape).to(spec.mask.dtype) if mask_grad and spec.mask is not None else None
    if spec.softcap is not None:
        ds = ds * (1 - (scores.capped / spec.softcap) ** 2)  # tanh' = 1 - tanh^2
    dq = ds @ k_ * spec.scale
    dk = ds.mT @ q_ * spec.scale
    return dq.to(q.dtype), _summed(dk, group).to(k.dtype), _summed(dv, group).to(v.dtype), dmask


def weights(q: Tensor, k: Tensor, spec: Spec) -> Tensor:
    """Give the weights that v was multiplied by, dropout included, by whichever backend.

    -> (B, H, N_q, N_k) in the dtype of the sums, differentiable in q and k; a row that sees no key gives zeros
    """
    wide = sum_dtype(q.dtype)
    k = _repeated(k, group_size(q, k)).to(wide)
    return _dropped(_softmax(_scores(q.to(wide), k, spec).final), spec)


class _Scores(NamedTuple):
    """(B, H, N_q, N_k) each. capped: before anything is added or hidden   final: what the softmax is taken of"""

    capped: Tensor
    final: Tensor


def _scores(q: Tensor, k: Tensor, spec: Spec) -> _Scores:
    """Form s of the whole problem, step by step as `Spec` writes it."""
    n_q, n_k = q.shape[-2], k.shape[-2]
    s = q @ k.mT * spec.scale
    if spec.softcap is not None:
        s = spec.softcap * torch.tanh(s / spec.softcap)
    capped = s
    if spec.alibi_slopes is not None:
        position = torch.arange(n_q, device=q.device)[:, None] + (n_k - n_q)
        distance = (position - torch.arange(n_k, device=q.device)).abs()
        s = s - spec.alibi_slopes[..., None, None] * distance
    if spec.mask is not None:
        s = s.masked_fill(~spec.mask, -torch.inf) if spec.mask.dtype is torch.bool else s + spec.mask.to(s.dtype)
    seen = spec.visible(range(n_q), range(n_k), n_q, n_k, q.device)
    return _Scores(capped, s.masked_fill(~seen, -torch.inf))


def _softmax(s: Tensor) -> Tensor:
    """Give softmax(s), and zeros for a row that sees no key.

    Not exp(s - lse), as the tiled backends must have it: where all of a row is -1e9, lse = -1e9 + log(N_k) has lost
    log(N_k), and the weights would not add up to 1.
    """
    unseen = (s == -torch.inf).all(dim=-1, keepdim=True)
    return torch.softmax(s.masked_fill(unseen, 0.0), dim=-1).masked_fill(unseen, 0.0)


def _dropped(x: Tensor, spec: Spec) -> Tensor:
    """Apply dropout to a matrix of weights, or to its gradient. x: (B, H, N_q, N_k)"""
    if not spec.dropout_p:
        return x
    batch, heads, n_q, n_k = x.shape
    which = torch.arange(batch * heads, device=x.device).view(batch, heads)
    keep = kept(spec.dropout_seed, which, range(n_q), range(n_k), spec.dropout_p)
    return torch.where(keep, x / (1 - spec.dropout_p), 0.0)


def _repeated(x: Tensor, group: int) -> Tensor:
    """Give each query head its own copy of keys or values. (B, H_kv, N_k, D) -> (B, H, N_k, D)"""
    return x if group == 1 else x.repeat_interleave(group, dim=1)


def _summed(x: Tensor, group: int) -> Tensor:
    """Add up the gradients of the copies. (B, H, N_k, D) -> (B, H_kv, N_k, D)"""
    return x if group == 1 else x.unflatten(1, (-1, group)).sum(dim=2)
