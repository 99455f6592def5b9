"""Tiles of the matrix of scores, for the backends that are written with PyTorch's operators.

A tile is what a few heads of one batch element give for a block of queries and a block of keys. The query heads that
share a head of keys lie side by side as further rows, so that one matrix product serves all of them.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import torch
from torch import Tensor

from tilewise.dropout import kept
from tilewise.spec import Spec, group_size, sum_dtype

TILE_ELEMENTS = 1 << 18


class Scores(NamedTuple):
    """One tile, times `unit`. s: (heads, G * rows, columns), -inf where hidden   tanh: of s / softcap, where capped"""

    s: Tensor
    tanh: Tensor | None


@dataclass(frozen=True)
class Slab:
    """Some heads of keys of one batch element, with all their queries; what a backend works on at a time.

    heads: which heads of keys   unit: what scores are multiplied by, 1 or log2(e)
    rooms: memory for `product`, which all slabs of a pass share
    """

    spec: Spec
    batch: int
    heads: slice
    group: int
    h_kv: int
    n_q: int
    n_k: int
    unit: float
    device: torch.device
    rooms: dict[str, Tensor]

    def queries(self, x: Tensor, rows: range | None = None) -> Tensor:
        """Take these queries of what belongs to queries, in the dtype of the sums.

        x: (B, H, N_q, D)   ->   (heads, G * rows, D), contiguous
        """
        return self._grouped(x, rows).to(sum_dtype(x.dtype)).flatten(1, 2).contiguous()

    def per_query(self, x: Tensor, rows: range) -> Tensor:
        """The same for one number a query. x: (B, H, N_q)   ->   (heads, G * rows, 1)"""
        return self._grouped(x[..., None], rows).flatten(1, 2)

    def put(self, out: Tensor, rows: range, x: Tensor) -> None:
        """Write what belongs to these queries where it belongs. x: (heads, G * rows, D), into out: (B, H, N_q, D)"""
        self._grouped(out, rows).copy_(x.unflatten(1, (self.group, len(rows))))

    def keys(self, x: Tensor) -> Tensor:
        """Take all of keys or values. x: (B, H_kv, N_k, D)   ->   (heads, N_k, D), contiguous, dtype of the sums"""
        return x[self.batch, self.heads].to(sum_dtype(x.dtype)).contiguous()

    def put_keys(self, out: Tensor, x: Tensor) -> None:
        """Write what belongs to keys where it belongs. x: (heads, N_k, D), into out: (B, H_kv, N_k, D)"""
        out[self.batch, self.heads] = x

    def _grouped(self, x: Tensor, rows: range | None) -> Tensor:
        """View x: (B, H, N_q, D) as (heads, G, rows, D)."""
        grouped = x[self.batch].unflatten(0, (self.h_kv, self.group))[self.heads]
        return grouped if rows is None else grouped[:, :, rows.start : rows.stop]

    def product(self, x: Tensor, y: Tensor, room: str) -> Tensor:
        """Multiply matrices in a room that is kept for it; the next product in the same room overwrites this one.

        x: (heads, M, D)   y: (heads, D, N)   ->   (heads, M, N)
        Memory that each tile takes anew may come from the system each time, which clears every page of it first.
        """
        shape = (*x.shape[:-1], y.shape[-1])
        if room not in self.rooms or self.rooms[room].numel() < math.prod(shape):
            self.rooms[room] = x.new_empty(math.prod(shape))
        return torch.bmm(x, y, out=self.rooms[room][: math.prod(shape)].view(shape))

    def scores(self, q_i: Tensor, k_j: Tensor, rows: range, columns: range) -> Scores | None:
        """Form one tile, or give None where the mask hides all of it.

        q_i: (heads, G * rows, D), already times scale, and times `unit` too unless there is a softcap
        k_j: (heads, columns, D)
        The next tile overwrites this one.
        """
        mask = self._mask(rows, columns)
        if mask is not None and mask.dtype is torch.bool and not mask.any():
            return None
        s, tanh = self.product(q_i, k_j.mT, "scores"), None
        if self.spec.softcap is not None:
            tanh = s.div_(self.spec.softcap).tanh_()
            s = tanh * (self.spec.softcap * self.unit)
        tile = s.view(-1, self.group, len(rows), len(columns))
        if self.spec.alibi_slopes is not None:
            tile -= self._slopes * self._distance(rows, columns)
        if mask is not None and mask.dtype is not torch.bool:
            tile += self._added(mask.to(s.dtype))
        if mask is not None and mask.dtype is torch.bool and not mask.all():
            tile.masked_fill_(~mask, -torch.inf)
        if not self.spec.sees_all(rows, columns, self.n_q, self.n_k):
            tile.masked_fill_(~self.spec.visible(rows, columns, self.n_q, self.n_k, self.device), -torch.inf)
        return Scores(s, tanh)

    @property
    def query_scale(self) -> float:
        """What `scores` wants its queries to be multiplied by."""
        return self.spec.scale * (1.0 if self.spec.softcap is not None else self.unit)

    def dropped(self, x: Tensor, rows: range, columns: range) -> Tensor:
        """Apply dropout to a tile of weights, or of their gradient, giving a new tensor where there is dropout."""
        if not self.spec.dropout_p:
            return x
        keep = kept(self.spec.dropout_seed, self._head_numbers, rows, columns, self.spec.dropout_p)
        return torch.where(keep.view(x.shape), x / (1 - self.spec.dropout_p), 0.0)

    def add_mask_grad(self, dmask: Tensor, ds: Tensor, rows: range, columns: range) -> None:
        """Add the gradient of a tile of scores to that of an additive mask, over what the mask was broadcast to."""
        target = self._mask_tile(dmask, rows, columns)
        target += ds.view(-1, self.group, len(rows), len(columns)).sum_to_size(target.shape)

    def rows(self, columns: range) -> range:
        """Give the queries between the first and the last that see any of these keys by their position."""
        shift = self.n_k - self.n_q
        start = 0 if self.spec.right is None else max(0, columns[0] - shift - self.spec.right)
        stop = self.n_q if self.spec.left is None else min(self.n_q, columns[-1] - shift + self.spec.left + 1)
        return range(min(start, self.n_q), max(min(start, self.n_q), stop))

    def _added(self, mask: Tensor) -> Tensor:
        """Give an additive mask in the unit. The least finite number stays finite: where all have it, none hides."""
        if self.unit == 1.0:
            return mask
        lowest = torch.finfo(mask.dtype).min
        return (mask * self.unit).clamp_(min=lowest).masked_fill_(mask == -torch.inf, -torch.inf)

    def _mask(self, rows: range, columns: range) -> Tensor | None:
        return None if self.spec.mask is None else self._mask_tile(self.spec.mask, rows, columns)

    def _mask_tile(self, mask: Tensor, rows: range, columns: range) -> Tensor:
        """View a tile of the mask as (heads or 1, G or 1, rows or 1, columns or 1)."""
        tile = mask[self.batch if mask.shape[0] > 1 else 0]
        tile = tile.unflatten(0, (self.h_kv, self.group))[self.heads] if mask.shape[1] > 1 else tile[None]
        tile = tile[:, :, rows.start : rows.stop] if mask.shape[2] > 1 else tile
        return tile[..., columns.start : columns.stop] if mask.shape[3] > 1 else tile

    @cached_property
    def _slopes(self) -> Tensor:
        """(heads, G, 1, 1), times unit"""
        assert self.spec.alibi_slopes is not None
        of_batch = self.spec.alibi_slopes[self.batch if len(self.spec.alibi_slopes) > 1 else 0]
        return of_batch.view(self.h_kv, self.group, 1, 1)[self.heads] * self.unit

    @cached_property
    def _head_numbers(self) -> Tensor:
        """b * H + h of every query head: (heads, G)"""
        numbers = torch.arange(self.h_kv * self.group, device=self.device).view(self.h_kv, self.group)[self.heads]
        return numbers + self.batch * self.h_kv * self.group

    def _distance(self, rows: range, columns: range) -> Tensor:
        position = torch.arange(rows.start, rows.stop, device=self.device)[:, None] + (self.n_k - self.n_q)
        return (position - torch.arange(columns.start, columns.stop, device=self.device)).abs()


def slabs(q: Tensor, k: Tensor, spec: Spec, *, block_q: int, block_k: int, unit: float) -> Iterator[Slab]:
    """Go through all heads of all batch elements, as many at a time as make a tile of some TILE_ELEMENTS scores."""
    batch, h_kv, n_k = k.shape[0], k.shape[1], k.shape[2]
    group, n_q = group_size(q, k), q.shape[2]
    per_head = max(1, group * min(block_q, n_q) * min(block_k, n_k))
    together = max(1, TILE_ELEMENTS // per_head)
    rooms: dict[str, Tensor] = {}
    for b in range(batch):
        for first in range(0, h_kv, together):
            heads = slice(first, min(first + together, h_kv))
            yield Slab(spec, b, heads, group, h_kv, n_q, n_k, unit, q.device, rooms)


def blocks(span: range, size: int) -> Iterator[range]:
    """Cut a span of queries or keys into blocks; the last may be shorter."""
    for start in range(span.start, span.stop, size):
        yield range(start, min(start + size, span.stop))
