"""One token after another: keys and values that are kept, and attention that takes them in several parts at once."""

from __future__ import annotations

from typing import Literal, TypedDict, Unpack, overload

import torch
from torch import Tensor

from tilewise import checks
from tilewise.functional import attention
from tilewise.parts import merge_attention
from tilewise.softmax import finite
from tilewise.spec import Spec, Window, group_size, make_spec, sum_dtype


class KVCache:
    """Keys and values of the tokens so far, in buffers that grow by doubling.

    batch, heads: B and H_kv   d, d_v: features of keys and of values, the same unless given
    capacity: tokens that there is room for, at first   dtype, device: of both buffers, for good

    All sequences of the batch have one length, `len(cache)`. Nothing that is kept takes part in autograd.
    """

    def __init__(
        self,
        batch: int,
        heads: int,
        d: int,
        d_v: int | None = None,
        *,
        capacity: int = 256,
        dtype: torch.dtype = torch.float32,
        device: torch.device | str | None = None,
    ) -> None:
        d_v = d if d_v is None else d_v
        sizes = {"batch": batch, "heads": heads, "d": d, "d_v": d_v, "capacity": capacity}
        for name, size in sizes.items():
            checks.whole(name, size)
        if min(batch, heads, d, d_v) < 1 or capacity < 0:
            raise ValueError(
                "batch, heads, d and d_v must be at least 1 and capacity at least 0,"
                f" got {batch}, {heads}, {d}, {d_v} and {capacity}"
            )
        self._length = 0
        self._k = torch.empty(batch, heads, 0, d, dtype=dtype, device=device)
        self._v = torch.empty(batch, heads, 0, d_v, dtype=dtype, device=device)
        self.grow(capacity)

    def __len__(self) -> int:
        return self._length

    def __repr__(self) -> str:
        batch, heads, capacity, d = self._k.shape
        sizes = f"batch={batch}, heads={heads}, d={d}, d_v={self._v.shape[3]}"
        return (
            f"KVCache({sizes}, capacity={capacity}, dtype={self._k.dtype}, device={self._k.device}): {len(self)} tokens"
        )

    @property
    def capacity(self) -> int:
        """How many tokens fit before the buffers must grow."""
        return self._k.shape[2]

    @property
    def k(self) -> Tensor:
        """The keys, (B, H_kv, N, D): a view, which sees what is written later only until the buffers grow."""
        return self._k[:, :, : self._length]

    @property
    def v(self) -> Tensor:
        """The values, (B, H_kv, N, D_v): a view like `k`."""
        return self._v[:, :, : self._length]

    def append(self, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        """Copy the keys and values of further tokens behind the others, and give views of all.

        k: (B, H_kv, n, D)   v: (B, H_kv, n, D_v), n = 0 included   ->   k: (B, H_kv, N, D), v: (B, H_kv, N, D_v)
        Where they do not fit, the capacity doubles, or more where that is too little. Raises ValueError or TypeError,
        and keeps nothing, when k or v has another shape, dtype or device than the cache, or requires grad.
        """
        self._check("k", k, self._k)
        self._check("v", v, self._v)
        if k.shape[2] != v.shape[2]:
            raise ValueError(
                f"k and v need the same length, got {k.shape[2]} and {v.shape[2]}; did you slice only one?"
            )
        length = self._length + k.shape[2]
        if length > self.capacity:
            self.grow(max(length, 2 * self.capacity))
        self._k[:, :, self._length : length] = k
        self._v[:, :, self._length : length] = v
        self._length = length
        return self.k, self.v

    def rewind(self, length: int) -> None:
        """Forget all but the first `length` tokens. The buffers stay, and what is appended next takes the place."""
        checks.whole("length", length)
        if not 0 <= length <= self._length:
            raise ValueError(
                f"length must lie between 0 and the {self._length} tokens of the cache, got {length};"
                " it is how many are kept, not how many are forgotten"
            )
        self._length = int(length)

    def grow(self, capacity: int) -> None:
        """Make room for `capacity` tokens at least, by copying into larger buffers; views from before keep the old."""
        checks.whole("capacity", capacity)
        if capacity <= self.capacity:
            return
        self._k, self._v = (self._larger(buffer, capacity) for buffer in (self._k, self._v))

    def _larger(self, buffer: Tensor, capacity: int) -> Tensor:
        batch, heads, _, d = buffer.shape
        with torch.inference_mode(False):  # a tensor made in inference mode could not be written to outside of it
            larger = torch.empty(batch, heads, capacity, d, dtype=buffer.dtype, device=buffer.device)
        larger[:, :, : self._length] = buffer[:, :, : self._length]
        return larger

    @staticmethod
    def _check(name: str, x: Tensor, buffer: Tensor) -> None:
        checks.dense(name, x)
        batch, heads, _, d = buffer.shape
        if x.ndim != 4 or (x.shape[0], x.shape[1], x.shape[3]) != (batch, heads, d):
            raise ValueError(
                f"{name} must have the shape ({batch}, {heads}, n, {d}) of the cache, got {tuple(x.shape)}"
            )
        if x.dtype != buffer.dtype:
            raise TypeError(
                f"{name} must have the dtype of the cache, {buffer.dtype}, got {x.dtype};"
                " make the cache with dtype=, or convert what is appended"
            )
        if x.device != buffer.device:
            remedy = "make the cache with device=, or move what is appended"
            if x.is_meta:
                remedy = "what is appended holds no numbers there, make it on that of the cache"
            raise ValueError(f"{name} must lie on the device of the cache, {buffer.device}, got {x.device}; {remedy}")
        if x.requires_grad and torch.is_grad_enabled():
            raise ValueError(f"{name} requires grad, but gets none here: work under torch.no_grad(), or detach it")


class Options(TypedDict, total=False):
    """What can be asked of `decode`, with the meaning that it has for `attention`."""

    splits: int
    causal: bool
    mask: Tensor | None
    scale: float | None
    window: Window | None
    softcap: float | None
    alibi_slopes: Tensor | None
    backend: str


@overload
def decode(
    q: Tensor,
    k: Tensor | KVCache,
    v: Tensor | None = ...,
    *,
    return_lse: Literal[False] = ...,
    **options: Unpack[Options],
) -> Tensor: ...
@overload
def decode(
    q: Tensor, k: Tensor | KVCache, v: Tensor | None = ..., *, return_lse: Literal[True], **options: Unpack[Options]
) -> tuple[Tensor, Tensor]: ...
def decode(
    q: Tensor,
    k: Tensor | KVCache,
    v: Tensor | None = None,
    *,
    splits: int = 1,
    causal: bool = True,
    mask: Tensor | None = None,
    scale: float | None = None,
    window: Window | None = None,
    softcap: float | None = None,
    alibi_slopes: Tensor | None = None,
    backend: str = "auto",
    return_lse: bool = False,
) -> Tensor | tuple[Tensor, Tensor]:
    """Attend from the last tokens to all so far, the keys cut into splits that are worked on side by side.

    q: (B, H, N_q, D), the last N_q tokens   k, v: (B, H_kv, N_k, D) and (B, H_kv, N_k, D_v), or a `KVCache`
    ->   o: (B, H, N_q, D_v) in the dtype of q, and lse: (B, H, N_q) where `return_lse`
    splits: at least 1; more than there are keys are as many as there are keys. A single query gives a GPU B * H pieces
        of work, and splits make more of them; they change nothing but rounding (Dao et al. 2023, Flash-Decoding).
    causal: aligned at the bottom right, as everywhere; here the default. For N_q = 1 it hides nothing.

    The other arguments, the errors and what a query gets that sees no key are those of `tilewise.attention`; positions
    are those in the whole sequence. Made for few queries: a window, ALiBi and a causal N_q above 1 make a mask
    (N_q, N_k) or (H, N_q, N_k).
    """
    keys, values = _keys_and_values(k, v)
    checks.whole("splits", splits)
    if splits < 1:
        raise ValueError(f"splits must be at least 1, got {splits}; 1 takes all keys at once")
    spec = make_spec(
        q,
        keys,
        values,
        causal=causal,
        mask=mask,
        scale=scale,
        window=window,
        softcap=softcap,
        alibi_slopes=alibi_slopes,
    )
    if torch.compiler.is_compiling():
        # It would take lengths, which grow with every token, for symbols. Not a decorator: see `functional.attend`.
        o, lse = torch.compiler.disable(_decoded)(q, keys, values, spec, splits, backend)
    else:
        o, lse = _decoded(q, keys, values, spec, splits, backend)
    return (o, lse) if return_lse else o


def _decoded(q: Tensor, k: Tensor, v: Tensor, spec: Spec, splits: int, backend: str) -> tuple[Tensor, Tensor]:
    """Attend split by split, and merge: `decode` after its checks. -> (o, lse)"""
    n_q, n_k = q.shape[2], k.shape[2]
    columns = spec.columns(range(n_q), n_q, n_k) if n_q else range(0)
    seen, top = _lowered(_mask(spec, columns, n_q, n_k, q.device), q.dtype)
    parts = []
    for span, count in _spans(columns, splits):
        keys_here, values_here = (x[:, :, span.start : span.stop] for x in (k, v))
        mask_here = None if seen is None else seen[..., span.start - columns.start : span.stop - columns.start]
        parts.append(_side_by_side(q, keys_here, values_here, mask_here, count, spec, backend))
    o, lse = merge_attention(*(torch.cat(found) for found in zip(*parts, strict=True)))
    return o, lse if top is None else lse + top.to(lse.dtype)


def _keys_and_values(k: Tensor | KVCache, v: Tensor | None) -> tuple[Tensor, Tensor]:
    if isinstance(k, KVCache) and v is None:
        return k.k, k.v
    if isinstance(k, KVCache) or v is None:
        raise TypeError(
            f"give k and v as two tensors, or a KVCache alone, got {type(k).__name__} and {type(v).__name__}"
        )
    return k, v


def _spans(columns: range, splits: int) -> list[tuple[range, int]]:
    """Cut the keys into as many splits of one size as there are, and one for the rest. -> keys, and how many splits"""
    size = max(1, -(-len(columns) // splits))
    even = len(columns) // size
    spans = [(columns[: even * size], even), (columns[even * size :], 1)]
    return [(span, count) for span, count in spans if span] or [(columns, 1)]


def _mask(spec: Spec, columns: range, n_q: int, n_k: int, device: torch.device) -> Tensor | None:
    """Put what depends on positions in the whole sequence, and the caller's mask, into one mask for these keys.

    -> None, or (B or 1, H or 1, N_q or 1, len(columns))
    """
    rows = range(n_q)
    mask = spec.mask
    if mask is not None:
        mask = mask.expand(-1, -1, -1, n_k)[..., columns.start : columns.stop]
    if spec.alibi_slopes is not None:
        p = torch.arange(n_q, device=device)[:, None] + (n_k - n_q)
        distance = (p - torch.arange(columns.start, columns.stop, device=device)).abs()
        bias = -spec.alibi_slopes[..., None, None] * distance
        if mask is None:
            mask = bias
        else:
            mask = torch.where(mask, bias, -torch.inf) if mask.dtype is torch.bool else mask + bias
    if columns and not spec.sees_all(rows, columns, n_q, n_k):
        seen = spec.visible(rows, columns, n_q, n_k, device)
        if mask is None:
            return seen[None, None]
        return mask & seen if mask.dtype is torch.bool else torch.where(seen, mask, -torch.inf)
    return mask


def _lowered(mask: Tensor | None, dtype: torch.dtype) -> tuple[Tensor | None, Tensor | None]:
    """Take from each row of an additive mask its largest number, which shifts lse by as much and changes no weight.

    Next to a whole row of -1e9, the lse of a split has no digits left for how many keys it has, by which it is weighed.

    -> the mask, in the dtype of the sums at least, and (B or 1, H or 1, N_q or 1) to add to lse, None for no shift
    """
    if mask is None or mask.dtype is torch.bool or mask.shape[-1] == 0:
        return mask, None
    mask = mask.to(torch.promote_types(mask.dtype, sum_dtype(dtype)))
    top = finite(mask.detach().amax(dim=-1))
    return mask - top[..., None], top


def _side_by_side(
    q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None, count: int, spec: Spec, backend: str
) -> tuple[Tensor, Tensor]:
    """Attend to `count` splits of one size in a single call: each is a head of keys of its own, and no key is copied.

    k, v: (B, H_kv, count * size, D)   mask: as `_mask` gives it
    ->   o: (count, B, H, N_q, D_v)   lse: (count, B, H, N_q)
    """
    (batch, h_kv), group, size = k.shape[:2], group_size(q, k), k.shape[2] // count
    q = q.unflatten(1, (h_kv, group)).flatten(0, 1)[:, None].expand(-1, count, -1, -1, -1).flatten(1, 2)
    k, v = (x.flatten(0, 1).unflatten(1, (count, size)) for x in (k, v))
    if mask is not None:
        shared = tuple(mask.shape[:2]) == (1, 1)
        mask = mask.expand(1 if shared else batch, group if shared else h_kv * group, -1, count * size)
        mask = mask.unflatten(1, (-1, group)).unflatten(-1, (count, size))
        mask = mask.permute(0, 1, 4, 2, 3, 5).flatten(0, 1).flatten(1, 2)
    o, lse = attention(q, k, v, mask=mask, scale=spec.scale, softcap=spec.softcap, backend=backend, return_lse=True)
    o, lse = (x.unflatten(1, (count, group)).unflatten(0, (batch, h_kv)).movedim(2, 0).flatten(2, 3) for x in (o, lse))
    return o, lse
