"""What is asked of a backend: everything about one call of `attention` but the tensors q, k and v.

Checked once, here, so that no backend needs to.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from tilewise import checks

DTYPES = (torch.float64, torch.float32, torch.float16, torch.bfloat16)
Window = int | tuple[int | None, int | None]


@dataclass(frozen=True)
class Spec:
    """Which keys a query sees and what becomes of its scores, for q (B, H, N_q, D) and k (B, H_kv, N_k, D).

    Query i stands at position p = i + N_k - N_q, so that the last query stands at the last key. It sees the keys j with
    p - left <= j <= p + right (None: no bound on that side) that the mask lets it see. Their scores are, in this order,

        s = scale * q @ k;   s = softcap * tanh(s / softcap);   s = s - slope * |p - j|;   s = s + mask

    left, right: keys before and after p; causal attention has right = 0, and right may be negative
    mask: None, or (B or 1, H or 1, N_q or 1, N_k or 1), bool (True: may attend) or floating (added; -inf hides)
    alibi_slopes: None, or (B or 1, H) in the dtype of the sums   softcap: None, or above 0
    dropout_p: how much of the weights is set to 0, in [0, 1); which ones depends on dropout_seed and the element alone
    """

    scale: float
    left: int | None = None
    right: int | None = None
    mask: Tensor | None = None
    softcap: float | None = None
    alibi_slopes: Tensor | None = None
    dropout_p: float = 0.0
    dropout_seed: int = 0

    def drawn(self, generator: torch.Generator | None) -> Spec:
        """Draw which weights dropout sets to 0: the last thing before a call runs, so that no other uses a number up.

        generator: None for torch's default one, which is left alone where nothing is dropped
        """
        if not self.dropout_p:
            return self
        device = generator.device if generator is not None else "cpu"
        seed = torch.randint(2**31, (1,), generator=generator, device=device)
        return replace(self, dropout_seed=int(seed))

    def columns(self, rows: range, n_q: int, n_k: int) -> range:
        """Give the keys between the first and the last that any of these queries sees by its position. May be empty."""
        shift = n_k - n_q
        start = 0 if self.left is None else max(0, rows[0] + shift - self.left)
        stop = n_k if self.right is None else min(n_k, rows[-1] + shift + self.right + 1)
        return range(start, max(start, stop))

    def sees_all(self, rows: range, columns: range, n_q: int, n_k: int) -> bool:
        """Whether each of these queries sees each of these keys by its position: no element of the tile is cut off."""
        shift = n_k - n_q
        above = self.right is None or columns[-1] <= rows[0] + shift + self.right
        below = self.left is None or columns[0] >= rows[-1] + shift - self.left
        return above and below

    def visible(self, rows: range, columns: range, n_q: int, n_k: int, device: torch.device | None = None) -> Tensor:
        """Say which of these keys each of these queries sees by its position. -> (len(rows), len(columns)) bool"""
        j = torch.arange(columns.start, columns.stop, device=device)
        p = torch.arange(rows.start, rows.stop, device=device)[:, None] + (n_k - n_q)
        seen = torch.ones(len(rows), len(columns), dtype=torch.bool, device=device)
        if self.left is not None:
            seen &= j >= p - self.left
        if self.right is not None:
            seen &= j <= p + self.right
        return seen


def sum_dtype(dtype: torch.dtype) -> torch.dtype:
    """Give the dtype of all sums, of lse and of delta: float64 for float64, float32 for all others."""
    return torch.promote_types(dtype, torch.float32)


def group_size(q: Tensor, k: Tensor) -> int:
    """Give how many query heads share one head of keys; query head h reads head h // group_size of k and v."""
    return q.shape[1] // k.shape[1] if k.shape[1] else 1


def make_spec(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    *,
    causal: bool = False,
    mask: Tensor | None = None,
    scale: float | None = None,
    window: Window | None = None,
    softcap: float | None = None,
    alibi_slopes: Tensor | None = None,
    dropout_p: float = 0.0,
    generator: torch.Generator | None = None,
) -> Spec:
    """Check the arguments of `attention` and give them as the backends want them; `Spec.drawn` draws the seed.

    Raises TypeError or ValueError that says what was expected, what came and what to do.
    """
    _check_tensors(q, k, v)
    left, right = _bounds(causal, window, q.shape[2] + k.shape[2])
    if scale is not None:
        checks.number("scale", scale, "or None, which means 1/sqrt(D)", math.isfinite)
    if softcap is not None:
        checks.number("softcap", softcap, "above 0, or None for no cap", lambda x: x > 0)
    checks.dropout_share("dropout_p", dropout_p)
    if generator is not None and not isinstance(generator, torch.Generator):
        raise TypeError(
            f"generator must be a torch.Generator or None, got {type(generator).__name__};"
            " give torch.Generator().manual_seed(seed)"
        )
    return Spec(
        scale=q.shape[-1] ** -0.5 if scale is None else float(scale),
        left=left,
        right=right,
        mask=None if mask is None else _checked_mask(mask, q, k),
        softcap=None if softcap is None else float(softcap),
        alibi_slopes=None if alibi_slopes is None else _checked_slopes(alibi_slopes, q, k),
        dropout_p=float(dropout_p),
    )


def _check_tensors(q: Tensor, k: Tensor, v: Tensor) -> None:
    named: dict[str, Any] = {"q": q, "k": k, "v": v}
    for name, x in named.items():
        checks.dense(name, x)
        if x.is_meta:
            raise ValueError(f"{name} must hold numbers, got a tensor on the device meta; give one on a CPU or a GPU")
        if x.ndim != 4:
            ways = {2: f"; give {name}[None, None]", 3: f"; give {name}[None], or {name}[:, None] for one head"}
            raise ValueError(f"{name} must have the shape (B, H, N, D), got {tuple(x.shape)}{ways.get(x.ndim, '')}")
    if q.dtype not in DTYPES or not q.dtype == k.dtype == v.dtype:
        supported = ", ".join(str(d).removeprefix("torch.") for d in DTYPES)
        remedy = "convert k and v with .to(q.dtype)" if q.dtype in DTYPES else "convert all three with .float()"
        if any(x.is_complex() for x in named.values()):
            remedy = "of a complex x, give both parts as features, torch.view_as_real(x).flatten(-2), or x.real alone"
        raise TypeError(f"q, k and v need one dtype of {supported}, got {q.dtype}, {k.dtype} and {v.dtype}; {remedy}")
    if not q.device == k.device == v.device:
        came = f"{q.device}, {k.device} and {v.device}"
        raise ValueError(f"q, k and v must lie on one device, got {came}; move k and v with .to(q.device)")
    _check_sizes(q, k, v)


def _check_sizes(q: Tensor, k: Tensor, v: Tensor) -> None:
    if not q.shape[0] == k.shape[0] == v.shape[0]:
        raise ValueError(
            f"q, k and v need the same batch size B, got {q.shape[0]}, {k.shape[0]} and {v.shape[0]};"
            " to share one batch element, give x.expand(B, -1, -1, -1)"
        )
    if k.shape[1] != v.shape[1]:
        raise ValueError(
            f"k and v need the same number of heads, got {k.shape[1]} and {v.shape[1]}; did you split only one?"
        )
    # Compared as numbers: torch.compile cannot compare the truth of sizes that are symbols.
    if q.shape[1] != k.shape[1] and (q.shape[1] == 0 or k.shape[1] == 0 or q.shape[1] % k.shape[1] != 0):
        raise ValueError(
            f"q has {q.shape[1]} heads and k {k.shape[1]}: the heads of q must be a multiple of those of k"
            " (query head h reads head h // (H / H_kv)); is the layout (B, H, N, D), heads before tokens?"
        )
    if q.shape[3] != k.shape[3]:
        remedy = "k is transposed, give k.mT" if k.shape[2] == q.shape[3] else "project both to one D"
        raise ValueError(f"q and k need the same head dimension D, got {q.shape[3]} and {k.shape[3]}; {remedy}")
    if k.shape[2] != v.shape[2]:
        raise ValueError(f"k and v need the same length, got {k.shape[2]} and {v.shape[2]}; did you slice only one?")
    if q.shape[3] == 0:
        came = tuple(q.shape)
        raise ValueError(
            f"the head dimension D must be at least 1, got q of shape {came}; did you slice all of it away?"
        )


def _bounds(causal: bool, window: Window | None, most: int) -> tuple[int | None, int | None]:
    """Give left and right. most: as many keys as no query can have on a side, which kernels can still count"""
    if not isinstance(causal, bool):
        raise TypeError(f"causal must be True or False, got {causal!r}")
    pair = window if isinstance(window, tuple) else (window, window)
    if len(pair) != 2 or not all(side is None or (checks.is_whole(side) and side >= 0) for side in pair):
        raise ValueError(
            "window must be None, a whole number of keys for either side, or (left, right); no bound is None,"
            f" not -1; got {window!r}"
        )
    left, right = (None if side is None else min(int(side), most) for side in pair)
    return left, (0 if causal else right)


def _checked_mask(mask: Tensor, q: Tensor, k: Tensor) -> Tensor:
    checks.dense("mask", mask, "pad it with False")
    if mask.dtype is not torch.bool and not mask.dtype.is_floating_point:
        raise TypeError(
            f"mask must be bool (True: may attend) or floating (added to the scores), got {mask.dtype};"
            " did you mean mask.bool()?"
        )
    full = (q.shape[0], q.shape[1], q.shape[2], k.shape[2])
    padded = (1,) * (4 - mask.ndim) + tuple(mask.shape)
    if len(padded) != 4 or any(have not in (1, want) for have, want in zip(padded, full, strict=True)):
        raise ValueError(
            f"mask must broadcast to (B, H, N_q, N_k) = {full}, got {tuple(mask.shape)}; {_way_out(mask, q, k)}"
        )
    _check_device("mask", mask, q)
    return mask.reshape(padded).resolve_neg()


def _way_out(mask: Tensor, q: Tensor, k: Tensor) -> str:
    """Say how a mask of the wrong shape may have been meant."""
    (batch, heads, n_q, _), (_, h_kv, n_k, _) = q.shape, k.shape
    shape = tuple(mask.shape)
    if shape == (batch, n_k):
        return "give a key padding mask as mask[:, None, None, :]"
    if shape == (batch, n_q, n_k):
        return "give one that all heads share as mask[:, None]"
    if shape == (batch * heads, n_q, n_k):
        return "give mask.unflatten(0, (B, H))"
    if n_q != n_k and mask.ndim <= 4 and shape[-2:] == (n_k, n_q):
        return "queries come before keys: give mask.mT"
    if shape[1:] == (h_kv, n_q, n_k) and h_kv != heads:
        return "give one for the heads of k as mask.repeat_interleave(H // H_kv, dim=1)"
    return "give at most four dimensions, each of them, counted from the last, 1 or the one that stands there"


def _checked_slopes(slopes: Tensor, q: Tensor, k: Tensor) -> Tensor:
    batch, heads = q.shape[:2]
    checks.dense("alibi_slopes", slopes, "give one slope for each head of q")
    if tuple(slopes.shape) not in ((heads,), (1, heads), (batch, heads)):
        raise ValueError(
            f"alibi_slopes must have the shape (H,) = ({heads},) or (B, H) = {batch, heads}, got {tuple(slopes.shape)};"
            f" {_slopes_way_out(slopes, q, k)}"
        )
    if not slopes.dtype.is_floating_point:
        remedy = "give alibi_slopes.real" if slopes.is_complex() else "did you mean alibi_slopes.float()?"
        raise TypeError(f"alibi_slopes must be floating, got {slopes.dtype}; {remedy}")
    if slopes.requires_grad:
        raise ValueError(
            "alibi_slopes requires grad, but gets none here: pass alibi_slopes.detach(), or an additive mask"
        )
    _check_device("alibi_slopes", slopes, q)
    # A copy: autograd watches over what it saves, q, k, v and the mask, and not over what stands in a Spec.
    return slopes.reshape(-1, heads).to(sum_dtype(q.dtype), copy=True)


def _slopes_way_out(slopes: Tensor, q: Tensor, k: Tensor) -> str:
    """Say how slopes of the wrong shape may have been meant."""
    (batch, heads), h_kv = q.shape[:2], k.shape[1]
    shape = tuple(slopes.shape)
    if shape == (heads, 1, 1) or shape in ((1, heads, 1, 1), (batch, heads, 1, 1)):
        return "give alibi_slopes[..., 0, 0]"
    if shape == (batch * heads,):
        return "give alibi_slopes.unflatten(0, (B, H))"
    if shape in ((h_kv,), (1, h_kv), (batch, h_kv)) and h_kv:
        return "give one for the heads of k as alibi_slopes.repeat_interleave(H // H_kv, dim=-1)"
    if shape in ((), (1,)):
        return "to give all heads one slope, give alibi_slopes.expand(H)"
    return "give one slope for each head of q"


def _check_device(name: str, x: Tensor, q: Tensor) -> None:
    if x.device != q.device:
        remedy = "it holds no numbers there, make it on that of q" if x.is_meta else f"give {name}.to(q.device)"
        raise ValueError(f"{name} must lie on the device of q, {q.device}, got {x.device}; {remedy}")
