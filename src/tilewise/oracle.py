"""The float64 oracle: the shortest correct formulas, in float64, for all others to be compared with.

It shares no code with the implementations that it judges.
"""

from __future__ import annotations

import torch
from torch import Tensor


def logsumexp(x: Tensor) -> Tensor:
    """Give log(sum(exp(x))) of each row. x: (..., columns) -> (...) float64; a row of -inf gives -inf."""
    return torch.logsumexp(x.double(), dim=-1)


def softmax(x: Tensor) -> Tensor:
    """Give the softmax of each row. x: (..., columns) -> like x, float64; a row of -inf gives zeros."""
    x = x.double()
    return torch.softmax(x, dim=-1).masked_fill((x == -torch.inf).all(dim=-1, keepdim=True), 0.0)


def visible(n_q: int, n_k: int, *, causal: bool) -> Tensor:
    """Say which keys each query sees. -> (n_q, n_k) bool

    Causal is aligned at the bottom right: the last query sees every key. For n_q = 2, n_k = 4 and n_q = 4, n_k = 2:

        1 1 1 0        0 0
        1 1 1 1        0 0
                       1 0
                       1 1
    """
    everything = torch.ones(n_q, n_k, dtype=torch.bool)
    return everything.tril(diagonal=n_k - n_q) if causal else everything


def attention(
    q: Tensor, k: Tensor, v: Tensor, *, causal: bool = False, scale: float | None = None
) -> tuple[Tensor, Tensor]:
    """Attend in float64 with the whole matrix of scores in hand.

    q: (..., N_q, D)   k: (..., N_k, D)   v: (..., N_k, D_v)   scale: None means 1/sqrt(D)
    -> o: (..., N_q, D_v), lse: (..., N_q), both float64. A row that sees no key gives o = 0 and lse = -inf.
    """
    q, k, v = q.double(), k.double(), v.double()
    scale = q.shape[-1] ** -0.5 if scale is None else scale
    scores = q @ k.transpose(-1, -2) * scale
    seen = visible(q.shape[-2], k.shape[-2], causal=causal).to(scores.device)
    scores = scores.masked_fill(~seen, -torch.inf)
    return softmax(scores) @ v, logsumexp(scores)
