"""Attention with its projections, on (B, N, dim): the plain way, and tile by tile with the same parameters."""

from __future__ import annotations

from typing import Any, cast

import torch
from torch import Tensor

from tilewise import backends, checks
from tilewise.functional import attend
from tilewise.spec import make_spec


class StandardAttention(torch.nn.Module):
    """Project x to queries and a context to keys and values, attend with the whole matrix of scores in hand, project.

    dim, context_dim: features of x and of the context, the same unless given   heads, dim_head: of the attention
    causal: aligned at the bottom right   dropout: of the weights, in training
    Parameters: to_q (heads * dim_head, dim), to_kv (2 * heads * dim_head, context_dim), keys first, and
    to_out (dim, heads * dim_head), each with a bias where `bias`. The backend is `reference`.
    """

    backend: str = "reference"

    def __init__(
        self,
        dim: int,
        heads: int = 8,
        dim_head: int = 64,
        causal: bool = False,
        *,
        context_dim: int | None = None,
        bias: bool = False,
        dropout: float = 0.0,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        context_dim = dim if context_dim is None else context_dim
        sizes = {"dim": dim, "heads": heads, "dim_head": dim_head, "context_dim": context_dim}
        for name, size in sizes.items():
            checks.whole(name, size)
        checks.dropout_share("dropout", dropout)
        if min(sizes.values()) < 1:
            came = f"{dim}, {heads}, {dim_head} and {context_dim}"
            raise ValueError(f"dim, heads, dim_head and context_dim must be at least 1, got {came}")
        self.dim, self.context_dim = dim, context_dim
        self.heads, self.causal, self.dropout = heads, causal, dropout
        inner = heads * dim_head
        self.to_q = torch.nn.Linear(dim, inner, bias=bias, device=device, dtype=dtype)
        self.to_kv = torch.nn.Linear(self.context_dim, 2 * inner, bias=bias, device=device, dtype=dtype)
        self.to_out = torch.nn.Linear(inner, dim, bias=bias, device=device, dtype=dtype)

    def forward(self, x: Tensor, context: Tensor | None = None, mask: Tensor | None = None) -> Tensor:
        """Attend from x to the context, or to x itself.

        x: (B, N, dim)   context: (B, M, context_dim)   ->   (B, N, dim)
        mask: (B, M), which keys are there, or what broadcasts to (B, heads, N, M), four dimensions; bool (True: may
            attend) or floating (added)
        """
        return self._attended(x, context, mask)

    def _attended(self, x: Tensor, context: Tensor | None, mask: Tensor | None, **block_sizes: int | None) -> Tensor:
        context = x if context is None else context
        self._check("x", x, self.dim)
        self._check("context", context, self.context_dim)
        if len(context) != len(x):
            raise ValueError(
                f"context must have the batch size of x, {len(x)}, got {tuple(context.shape)};"
                " to share one, give context.expand(B, -1, -1)"
            )
        q, (k, v) = self.to_q(x), self.to_kv(context).chunk(2, dim=-1)
        q, k, v = (t.unflatten(-1, (self.heads, -1)).transpose(1, 2) for t in (q, k, v))
        dropout_p = self.dropout if self.training else 0.0
        mask = self._full(mask, len(x), context.shape[1])
        spec = make_spec(q, k, v, causal=self.causal, mask=mask, dropout_p=dropout_p)
        backend = backends.load(backends.choose(self.backend, q, k, v, spec), **block_sizes)
        o, _ = attend(q, k, v, spec.drawn(None), backend)
        return cast(Tensor, self.to_out(o.transpose(1, 2).flatten(2)))

    def extra_repr(self) -> str:
        return f"heads={self.heads}, causal={self.causal}, dropout={self.dropout}, backend={self.backend!r}"

    @staticmethod
    def _check(name: str, x: Tensor, width: int) -> None:
        checks.dense(name, x, "pad it, and give a mask (B, M) that is True where there is something")
        if x.ndim != 3 or x.shape[-1] != width:
            raise ValueError(f"{name} must have the shape (B, N, {width}), got {tuple(x.shape)}")

    @staticmethod
    def _full(mask: Tensor | None, batch: int, n_k: int) -> Tensor | None:
        if mask is None:
            return None
        checks.dense("mask", mask, "pad it with False")
        if mask.ndim == 4:
            return mask
        if tuple(mask.shape) != (batch, n_k):
            raise ValueError(
                f"mask must be (B, M) = {batch, n_k}, or have four dimensions, got {tuple(mask.shape)};"
                " give one for queries and keys, (N, M), as mask[None, None], and (B, N, M) as mask[:, None]"
            )
        return mask[:, None, None]


class FlashAttention(StandardAttention):
    """The same module, parameter for parameter, tile by tile: no N x M matrix is ever formed.

    backend: as for `tilewise.attention`
    block_q, block_k: queries and keys in a tile, which change nothing but rounding; None leaves them to the backend.
        `torch_fa1` and `torch_fa2` take any from 1, `triton` powers of two from 16; a backend that has no tiles raises
        BackendError.
    """

    def __init__(
        self,
        dim: int,
        heads: int = 8,
        dim_head: int = 64,
        causal: bool = False,
        *,
        block_q: int | None = None,
        block_k: int | None = None,
        backend: str = "auto",
        **others: Any,
    ) -> None:
        super().__init__(dim, heads, dim_head, causal, **others)
        self.backend = backends.checked_name(backend)
        backends.checked_sizes(block_q, block_k)
        self.block_q, self.block_k = block_q, block_k

    def forward(
        self,
        x: Tensor,
        context: Tensor | None = None,
        mask: Tensor | None = None,
        *,
        block_q: int | None = None,
        block_k: int | None = None,
    ) -> Tensor:
        """Attend like `StandardAttention.forward`, here with other block sizes where they are given."""
        return self._attended(
            x,
            context,
            mask,
            block_q=self.block_q if block_q is None else block_q,
            block_k=self.block_k if block_k is None else block_k,
        )
