"""The float64 oracle: the shortest correct formulas, in float64, for all others to be compared with.

It shares no code with the implementations that it judges. Asked for another dtype, it is the plain arithmetic in that
dtype, whose error is the measure of what may be asked of an implementation (`tilewise.testing`).
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor

Window = int | tuple[int | None, int | None] | None


class Answer(NamedTuple):
    """Both passes of attention. o: (B, H, N_q, D_v)   lse: (B, H, N_q)   dq, dk, dv, dmask: like q, k, v and the mask

    dmask is None where there is no additive mask.
    """

    o: Tensor
    lse: Tensor
    dq: Tensor
    dk: Tensor
    dv: Tensor
    dmask: Tensor | None


def logsumexp(x: Tensor, dtype: torch.dtype = torch.float64) -> Tensor:
    """Give log(sum(exp(x))) of each row. x: (..., columns) -> (...) float64; a row of -inf gives -inf."""
    x = x.to(dtype)
    nothing = _nothing(x)
    return torch.logsumexp(x.masked_fill(nothing, 0.0), dim=-1).masked_fill(nothing[..., 0], -torch.inf)


def softmax(x: Tensor, dtype: torch.dtype = torch.float64) -> Tensor:
    """Give the softmax of each row. x: (..., columns) -> like x, float64; a row of -inf gives zeros."""
    x = x.to(dtype)
    nothing = _nothing(x)
    return torch.softmax(x.masked_fill(nothing, 0.0), dim=-1).masked_fill(nothing, 0.0)


def _nothing(x: Tensor) -> Tensor:
    """Say which rows hold nothing but -inf: whatever their formula gives, its gradient is NaN. -> (..., 1)"""
    return (x == -torch.inf).all(dim=-1, keepdim=True)


def positions(n_q: int, n_k: int) -> Tensor:
    """Give the distance in keys from each query to each key, negative for keys before it. -> (n_q, n_k)

    The last query stands at the last key.
    """
    return torch.arange(n_k) - torch.arange(n_q)[:, None] - (n_k - n_q)


def visible(n_q: int, n_k: int, *, causal: bool, window: Window = None) -> Tensor:
    """Say which keys each query sees. -> (n_q, n_k) bool

    Causal is aligned at the bottom right: the last query sees every key. For n_q = 2, n_k = 4 and n_q = 4, n_k = 2:

        1 1 1 0        0 0
        1 1 1 1        0 0
                       1 0
                       1 1

    window: how many keys before and after its own position a query sees, None for all
    """
    offset = positions(n_q, n_k)
    before, after = window if isinstance(window, tuple) else (window, window)
    seen = torch.ones(n_q, n_k, dtype=torch.bool)
    if causal:
        seen &= offset <= 0
    if before is not None:
        seen &= offset >= -before
    if after is not None:
        seen &= offset <= after
    return seen


def attention(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    *,
    causal: bool = False,
    scale: float | None = None,
    mask: Tensor | None = None,
    window: Window = None,
    softcap: float | None = None,
    alibi_slopes: Tensor | None = None,
    dropout_p: float = 0.0,
    keep: Tensor | None = None,
    dtype: torch.dtype = torch.float64,
) -> tuple[Tensor, Tensor]:
    """Attend in float64 with the whole matrix of scores in hand; options as in `tilewise.attention`.

    q: (..., N_q, D)   k: (..., N_k, D)   v: (..., N_k, D_v); with heads, those of k and v may be fewer
    keep: the weights that dropout spares, bool, like the scores; the others become 0   dtype: of all arithmetic
    -> o: (..., N_q, D_v), lse: (..., N_q), both of that dtype. A row that sees no key gives o = 0 and lse = -inf.
    """
    q, k, v = q.to(dtype), _for_each_query_head(k, q).to(dtype), _for_each_query_head(v, q).to(dtype)
    n_q, n_k = q.shape[-2], k.shape[-2]
    s = q @ k.mT * (q.shape[-1] ** -0.5 if scale is None else scale)
    if softcap is not None:
        s = softcap * torch.tanh(s / softcap)
    if alibi_slopes is not None:
        s = s - alibi_slopes.to(dtype)[..., None, None] * positions(n_q, n_k).abs()
    if mask is not None:
        s = s.masked_fill(~mask, -torch.inf) if mask.dtype is torch.bool else s + mask.to(dtype)
    s = s.masked_fill(~visible(n_q, n_k, causal=causal, window=window).to(s.device), -torch.inf)
    p = softmax(s, dtype)
    if keep is not None:
        p = p * keep / (1 - dropout_p)
    return p @ v, logsumexp(s, dtype)


def attention_gradients(
    q: Tensor, k: Tensor, v: Tensor, do: Tensor, dlse: Tensor | None = None, **options: Any
) -> Answer:
    """Attend, and differentiate sum(o * do) + sum(lse * dlse) by autograd through the plain formulas.

    do: like o   dlse: like lse, or None for zeros; what it holds for a row that sees no key does not count
    options: those of `attention`   ->   all in float64, or in the dtype of the options
    """
    dtype = options.get("dtype", torch.float64)
    q, k, v = (x.detach().to(dtype).requires_grad_() for x in (q, k, v))
    mask = options.pop("mask", None)
    additive = mask is not None and mask.dtype is not torch.bool
    if additive:
        mask = mask.detach().to(dtype).requires_grad_()
    o, lse = attention(q, k, v, mask=mask, **options)
    grads = (do.to(dtype), torch.zeros_like(lse) if dlse is None else dlse.to(dtype))
    wanted = (q, k, v, mask) if additive else (q, k, v)
    dq, dk, dv, *dmask = torch.autograd.grad((o, lse), wanted, grads)
    return Answer(o.detach(), lse.detach(), dq, dk, dv, dmask[0] if additive else None)


def _for_each_query_head(x: Tensor, q: Tensor) -> Tensor:
    """Repeat each head of keys or values for the query heads that share it: h reads h // (H / H_kv)."""
    if q.ndim < 4 or x.shape[-3] in (0, q.shape[-3]):
        return x
    return x.repeat_interleave(q.shape[-3] // x.shape[-3], dim=-3)
