"""What is asked of a backend: everything about one call of `attention` but the tensors q, k and v.

Checked once, here, so that no backend needs to.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from numbers import Integral, Real
from typing import Any

import torch
from torch import Tensor

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
    """Check the arguments of `attention` and give them as the backends want them.

    Raises TypeError or ValueError that says what was expected, what came and what to do.
    """
    _check_tensors(q, k, v)
    left, right = _bounds(causal, window)
    if scale is not None:
        _check_number("scale", scale, "or None, which means 1/sqrt(D)", math.isfinite)
    if softcap is not None:
        _check_number("softcap", softcap, "above 0, or None for no cap", lambda x: x > 0)
    _check_number("dropout_p", dropout_p, "in [0, 1)", lambda x: 0 <= x < 1)
    if generator is not None and not isinstance(generator, torch.Generator):
        raise TypeError(f"generator must be a torch.Generator or None, got {type(generator).__name__}")
    return Spec(
        scale=q.shape[-1] ** -0.5 if scale is None else float(scale),
        left=left,
        right=right,
        mask=None if mask is None else _checked_mask(mask, q, k),
        softcap=None if softcap is None else float(softcap),
        alibi_slopes=None if alibi_slopes is None else _checked_slopes(alibi_slopes, q),
        dropout_p=float(dropout_p),
        dropout_seed=_drawn_seed(generator) if dropout_p else 0,
    )


def _check_tensors(q: Tensor, k: Tensor, v: Tensor) -> None:
    named: dict[str, Any] = {"q": q, "k": k, "v": v}
    for name, x in named.items():
        if not isinstance(x, Tensor):
            raise TypeError(f"{name} must be a torch.Tensor, got {type(x).__name__}")
        if x.is_nested or x.layout is not torch.strided:
            nested = "a nested tensor; pad it, and hide the padding with a mask"
            came = nested if x.is_nested else f"{x.layout}; give {name}.to_dense()"
            raise TypeError(f"{name} must be a dense tensor, got {came}")
        if x.is_meta:
            raise ValueError(f"{name} must hold numbers, got a tensor on the device meta; give one on a CPU or a GPU")
        if x.ndim != 4:
            raise ValueError(f"{name} must have the shape (B, H, N, D), got {tuple(x.shape)}")
    if q.dtype not in DTYPES or not q.dtype == k.dtype == v.dtype:
        supported = ", ".join(str(d).removeprefix("torch.") for d in DTYPES)
        raise TypeError(f"q, k and v need one dtype of {supported}, got {q.dtype}, {k.dtype} and {v.dtype}")
    if not q.device == k.device == v.device:
        raise ValueError(f"q, k and v must lie on one device, got {q.device}, {k.device} and {v.device}")
    if not q.shape[0] == k.shape[0] == v.shape[0]:
        raise ValueError(f"q, k and v need the same batch size B, got {q.shape[0]}, {k.shape[0]} and {v.shape[0]}")
    if k.shape[1] != v.shape[1]:
        raise ValueError(f"k and v need the same number of heads, got {k.shape[1]} and {v.shape[1]}")
    if bool(q.shape[1]) != bool(k.shape[1]) or (k.shape[1] and q.shape[1] % k.shape[1]):
        raise ValueError(
            f"q has {q.shape[1]} heads and k {k.shape[1]}: the heads of q must be a multiple of those of k"
            " (query head h reads head h // (H / H_kv))"
        )
    if k.shape[2] != v.shape[2]:
        raise ValueError(f"k and v need the same length, got {k.shape[2]} and {v.shape[2]}; did you slice only one?")
    if q.shape[3] != k.shape[3]:
        raise ValueError(f"q and k need the same head dimension D, got {q.shape[3]} and {k.shape[3]}")
    if q.shape[3] == 0:
        raise ValueError(f"the head dimension D must be at least 1, got q of shape {tuple(q.shape)}")


def _check_number(name: str, value: Any, expected: str, fits: Callable[[float], bool]) -> None:
    """Raise unless value is a finite number that fits. A tensor is none: it might want a gradient, and gets none."""
    if not isinstance(value, Real) or isinstance(value, bool):
        remedy = f"; give {name}.item() where no gradient is wanted" if isinstance(value, Tensor) else ""
        raise TypeError(f"{name} must be a finite number {expected}, got {type(value).__name__}{remedy}")
    if not (math.isfinite(value) and fits(float(value))):
        raise ValueError(f"{name} must be a finite number {expected}, got {value}")


def _bounds(causal: bool, window: Window | None) -> tuple[int | None, int | None]:
    if not isinstance(causal, bool):
        raise TypeError(f"causal must be True or False, got {causal!r}")
    pair = window if isinstance(window, tuple) else (window, window)
    if len(pair) != 2 or not all(side is None or _counts(side) for side in pair):
        raise ValueError(
            "window must be None, a whole number of keys for either side, or (left, right); no bound is None,"
            f" not -1; got {window!r}"
        )
    left, right = (None if side is None else int(side) for side in pair)
    return left, (0 if causal else right)


def _counts(value: Any) -> bool:
    return isinstance(value, Integral) and not isinstance(value, bool) and int(value) >= 0


def _checked_mask(mask: Tensor, q: Tensor, k: Tensor) -> Tensor:
    if not isinstance(mask, Tensor):
        raise TypeError(f"mask must be a torch.Tensor or None, got {type(mask).__name__}")
    if mask.dtype is not torch.bool and not mask.dtype.is_floating_point:
        raise TypeError(
            f"mask must be bool (True: may attend) or floating (added to the scores), got {mask.dtype};"
            " did you mean mask.bool()?"
        )
    full = (q.shape[0], q.shape[1], q.shape[2], k.shape[2])
    padded = (1,) * (4 - mask.ndim) + tuple(mask.shape)
    if len(padded) != 4 or any(have not in (1, want) for have, want in zip(padded, full, strict=True)):
        padding = tuple(mask.shape) == (q.shape[0], k.shape[2])
        remedy = "; give a key padding mask as mask[:, None, None, :]" if padding else ""
        raise ValueError(f"mask must broadcast to (B, H, N_q, N_k) = {full}, got {tuple(mask.shape)}{remedy}")
    if mask.device != q.device:
        raise ValueError(f"mask must lie on the device of q, {q.device}, got {mask.device}")
    return mask.reshape(padded)


def _checked_slopes(slopes: Tensor, q: Tensor) -> Tensor:
    batch, heads = q.shape[:2]
    if not isinstance(slopes, Tensor) or tuple(slopes.shape) not in ((heads,), (1, heads), (batch, heads)):
        came = tuple(slopes.shape) if isinstance(slopes, Tensor) else type(slopes).__name__
        raise ValueError(
            f"alibi_slopes must be a tensor of shape (H,) = ({heads},) or (B, H) = {batch, heads}, got {came}"
        )
    if not slopes.dtype.is_floating_point:
        raise TypeError(f"alibi_slopes must be floating, got {slopes.dtype}; did you mean alibi_slopes.float()?")
    if slopes.requires_grad:
        raise ValueError(
            "alibi_slopes requires grad, but gets none here: pass alibi_slopes.detach(), or an additive mask"
        )
    if slopes.device != q.device:
        raise ValueError(f"alibi_slopes must lie on the device of q, {q.device}, got {slopes.device}")
    # A copy: autograd watches over what it saves, q, k, v and the mask, and not over what stands in a Spec.
    return slopes.reshape(-1, heads).to(sum_dtype(q.dtype), copy=True)


def _drawn_seed(generator: torch.Generator | None) -> int:
    device = generator.device if generator is not None else "cpu"
    return int(torch.randint(2**31, (1,), generator=generator, device=device))
