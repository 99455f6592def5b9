"""Cases and error budgets: the one module that owns them, for the library's own tests and for the judge.

The allowed error is not tuned by hand. The oracle is float64; plain arithmetic in the case's own dtype shows what
error that dtype makes unavoidable; and an answer may be twice as far from the oracle as plain arithmetic is, plus
a few roundings, since plain arithmetic can be exact by luck: those of the answer or of the terms that it is the sum
of, and those of exponents, for exp(x) is off by eps * |x| where x was rounded.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

PLAIN_ERRORS = 2
ROUNDINGS = 4


@dataclass(frozen=True)
class Comparison:
    """How an answer compares with the oracle. `index` is where the error is worst; None for an empty answer."""

    ok: bool
    worst_error: float
    allowed: float
    index: tuple[int, ...] | None


def allowed_error(expected64: Tensor, plain: Tensor, *, exponent: float = 0.0, terms: float = 0.0) -> float:
    """Give the largest absolute error that an answer may have.

    expected64: the oracle's answer, float64   plain: the same by plain arithmetic in the dtype under test
    exponent: the largest |x| in the answer's exp(x)   terms: how large the terms are that the answer is the sum of, if
    larger than the answer   Both are in the dtype of the sums: float64 for float64, else float32.
    """
    expected, ordinary = expected64.double(), plain.double()
    finite = torch.isfinite(expected)
    usable = finite & torch.isfinite(ordinary)
    plain_error = _largest((ordinary - expected)[usable])
    kind, sums = torch.finfo(plain.dtype), torch.finfo(torch.promote_types(plain.dtype, torch.float32))
    largest = _largest(expected[finite])
    rounding = kind.eps * largest + sums.eps * (exponent * largest + terms)
    return PLAIN_ERRORS * plain_error + ROUNDINGS * rounding + kind.tiny


def plain_float64(expected64: Tensor, plain32: Tensor) -> Tensor:
    """Stand in for plain arithmetic in float64, where the oracle has itself for a measure and would find no error.

    plain32: plain arithmetic in float32 on the same inputs. Its error is carried over by the ratio of the roundings,
    doubled because the oracle has such an error too.
    """
    ratio = torch.finfo(torch.float64).eps / torch.finfo(torch.float32).eps
    error = torch.nan_to_num(plain32.double() - expected64, posinf=0.0, neginf=0.0)
    return expected64 + 2 * ratio * error


def errors(actual: Tensor, expected64: Tensor) -> Tensor:
    """Give the absolute error of every element, float64; inf where one is NaN or infinite and the other differs."""
    got, expected = actual.double(), expected64.double()
    both_finite = torch.isfinite(got) & torch.isfinite(expected)
    same = (got == expected) | (torch.isnan(got) & torch.isnan(expected))
    distance = torch.where(both_finite, (got - expected).abs(), torch.inf)
    return torch.where(same, 0.0, distance)


def compare(
    actual: Tensor, expected64: Tensor, plain: Tensor, *, exponent: float = 0.0, terms: float = 0.0
) -> Comparison:
    """Compare an answer with the oracle, within `allowed_error`.

    Infinities must match in place and sign; NaN passes only where NaN is expected. Raises ValueError when the shapes
    differ, for then no element can be named.
    """
    if actual.shape != expected64.shape or plain.shape != expected64.shape:
        raise ValueError(
            f"actual, expected64 and plain need one shape, got {tuple(actual.shape)}, "
            f"{tuple(expected64.shape)} and {tuple(plain.shape)}"
        )
    allowed = allowed_error(expected64, plain, exponent=exponent, terms=terms)
    if expected64.numel() == 0:
        return Comparison(True, 0.0, allowed, None)
    wrong_by = errors(actual, expected64)
    worst = int(wrong_by.argmax())
    index = tuple(int(i) for i in torch.unravel_index(torch.tensor(worst), wrong_by.shape))
    worst_error = float(wrong_by[index])
    return Comparison(worst_error <= allowed, worst_error, allowed, index)


def _largest(numbers: Tensor) -> float:
    return float(numbers.abs().max()) if numbers.numel() else 0.0


@dataclass(frozen=True)
class RowCase:
    """Rows of logits for softmax, to be read `block` columns at a time.

    shape: (..., columns)   logits: N(shift, spread^2)   masked: columns of the first row set to -inf
    """

    name: str
    shape: tuple[int, ...]
    block: int
    spread: float = 1.0
    shift: float = 0.0
    masked: slice | None = None
    ascending: bool = False
    contiguous: bool = True

    def draw(self, seed: int = 0, dtype: torch.dtype = torch.float32) -> Tensor:
        """Draw the logits; the same seed draws the same ones."""
        x = torch.randn(*self.shape, generator=torch.Generator().manual_seed(seed)) * self.spread + self.shift
        if self.ascending:
            x = x.sort(dim=-1).values
        if self.masked is not None:
            x[(0,) * (x.ndim - 1)][self.masked] = -torch.inf
        return _strided(x.to(dtype), self.contiguous)

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True)
class AttentionCase:
    """One attention problem: its sizes, what is asked, and how large its scores are.

    spread scales the scores, shift moves all of them   block_q, block_k: the tiles to cut it into, where one can choose
    h_kv: heads of keys and values, None for as many as `heads`   d_v: width of the values, None for `d`
    mask: the name of one of `MASKS`   alibi: whether each head gets a slope   Other options as in `tilewise.attention`.
    """

    name: str
    n_q: int = 32
    n_k: int = 32
    d: int = 16
    block_q: int = 16
    block_k: int = 16
    batch: int = 1
    heads: int = 1
    causal: bool = False
    spread: float = 1.0
    shift: float = 0.0
    contiguous: bool = True
    h_kv: int | None = None
    d_v: int | None = None
    mask: str | None = None
    window: int | tuple[int | None, int | None] | None = None
    scale: float | None = None
    softcap: float | None = None
    alibi: bool = False
    dropout_p: float = 0.0

    def draw(self, seed: int = 0, dtype: torch.dtype = torch.float32) -> tuple[Tensor, Tensor, Tensor]:
        """Draw q (B, H, N_q, D), k (B, H_kv, N_k, D) and v (B, H_kv, N_k, D_v); the same seed draws the same ones."""
        generator = torch.Generator().manual_seed(seed)
        h_kv, d_v = self.heads if self.h_kv is None else self.h_kv, self.d if self.d_v is None else self.d_v
        q = torch.randn(self.batch, self.heads, self.n_q, self.d, generator=generator)
        k = torch.randn(self.batch, h_kv, self.n_k, self.d, generator=generator)
        v = torch.randn(self.batch, h_kv, self.n_k, d_v, generator=generator)
        # A last feature of 1 in q and of shift * sqrt(D) in k adds `shift` to every score under the default scale.
        q *= self.spread
        if self.shift:
            q[..., -1], k[..., -1] = 1.0, self.shift * self.d**0.5
        q, k, v = (_strided(t.to(dtype), self.contiguous) for t in (q, k, v))
        return q, k, v

    def draw_gradients(self, seed: int = 0, dtype: torch.dtype = torch.float32) -> tuple[Tensor, Tensor]:
        """Draw what comes back to o, (B, H, N_q, D_v), and to lse, (B, H, N_q), the latter in the dtype of the sums."""
        generator = torch.Generator().manual_seed(seed + 1)
        rows = (self.batch, self.heads, self.n_q)
        do = torch.randn(*rows, self.d if self.d_v is None else self.d_v, generator=generator)
        dlse = torch.randn(*rows, generator=generator)
        return _strided(do.to(dtype), self.contiguous), dlse.to(torch.promote_types(dtype, torch.float32))

    def options(self, seed: int = 0, dtype: torch.dtype = torch.float32) -> dict[str, Any]:
        """Give the options for `tilewise.attention` that are not its defaults; an additive mask has the given dtype."""
        generator = torch.Generator().manual_seed(seed + 2)
        chosen: dict[str, Any] = {"causal": True} if self.causal else {}
        chosen |= {
            name: getattr(self, name) for name in ("window", "scale", "softcap") if getattr(self, name) is not None
        }
        if self.mask is not None:
            mask = MASKS[self.mask](self, generator)
            chosen["mask"] = mask if mask.dtype is torch.bool else mask.to(dtype)
        if self.alibi:
            chosen["alibi_slopes"] = 2.0 ** -torch.arange(1.0, self.heads + 1)
        if self.dropout_p:
            chosen |= {"dropout_p": self.dropout_p, "generator": generator}
        return chosen

    def __str__(self) -> str:
        return self.name


def _random_mask(case: AttentionCase, generator: torch.Generator) -> Tensor:
    """Hide three elements in ten, and the second query from every key. -> (B, H, N_q, N_k) bool"""
    seen = torch.rand(case.batch, case.heads, case.n_q, case.n_k, generator=generator) > 0.3
    seen[:, :, 1:2] = False
    return seen


def _padding(case: AttentionCase, generator: torch.Generator) -> Tensor:
    """Keep fewer keys of each further batch element, and none of the last. -> (B, 1, 1, N_k) bool"""
    lengths = torch.linspace(case.n_k, 0, case.batch).round()
    return (torch.arange(case.n_k) < lengths[:, None])[:, None, None]


def _additive(case: AttentionCase, generator: torch.Generator) -> Tensor:
    """One bias a head, for every batch element. -> (H, N_q, N_k)"""
    return torch.randn(case.heads, case.n_q, case.n_k, generator=generator)


def _hiding(case: AttentionCase, generator: torch.Generator) -> Tensor:
    """The same with -inf where `_random_mask` hides. -> (B, H, N_q, N_k)"""
    return _additive(case, generator).masked_fill(~_random_mask(case, generator), -torch.inf)


MASKS: dict[str, Callable[[AttentionCase, torch.Generator], Tensor]] = {
    "random": _random_mask,
    "padding": _padding,
    "left padding": lambda case, generator: _padding(case, generator).flip(-1),
    "additive": _additive,
    "additive per query": lambda case, generator: torch.randn(case.batch, 1, case.n_q, 1, generator=generator),
    "additive per key": lambda case, generator: torch.randn(case.batch, 1, 1, case.n_k, generator=generator),
    "additive, hiding": _hiding,
}


def _strided(x: Tensor, contiguous: bool) -> Tensor:
    """Keep the numbers, and lay them out with gaps unless `contiguous`."""
    return x if contiguous else torch.stack([x, torch.full_like(x, torch.nan)], dim=-1)[..., 0]


ROW_CASES: tuple[RowCase, ...] = (
    RowCase("aligned", (4, 24), block=8),
    RowCase("ragged tail", (3, 19), block=8),
    RowCase("block larger than the row", (3, 5), block=64),
    RowCase("block of one column", (2, 7), block=1),
    RowCase("maximum grows in every block", (3, 20), block=4, spread=3.0, ascending=True),
    RowCase("large logits", (4, 21), block=8, spread=3.0, shift=1e4),
    RowCase("logits far apart", (4, 21), block=8, spread=1e4),
    RowCase("all logits far below zero", (4, 21), block=8, spread=3.0, shift=-1e4),
    RowCase("masked entries", (2, 19), block=4, masked=slice(3, 17, 2)),
    RowCase("first block masked", (2, 12), block=4, masked=slice(0, 5)),
    RowCase("row masked", (2, 12), block=4, masked=slice(None)),
    RowCase("more than one batch and head", (2, 3, 4, 18), block=8),
    RowCase("non-contiguous", (4, 18), block=8, contiguous=False),
)

ATTENTION_CASES: tuple[AttentionCase, ...] = (
    AttentionCase("aligned"),
    AttentionCase("causal", causal=True),
    AttentionCase("ragged tail", n_q=37, n_k=45),
    AttentionCase("causal, N_k > N_q", n_q=20, n_k=44, causal=True),
    AttentionCase("causal, N_q > N_k (empty rows)", n_q=44, n_k=20, causal=True),
    AttentionCase("BLOCK_M != BLOCK_N, causal", n_q=64, n_k=64, block_q=32, block_k=16, causal=True),
    AttentionCase("BLOCK_M < BLOCK_N, causal", n_q=64, n_k=64, block_q=16, block_k=32, causal=True),
    AttentionCase("large logits", spread=40.0, causal=True),
    AttentionCase("all logits far below zero", shift=-1e4),
    AttentionCase("more than one batch and head", batch=2, heads=3, causal=True),
    AttentionCase("non-contiguous", batch=2, heads=2, n_q=33, n_k=33, causal=True, contiguous=False),
)

# What `tilewise.attention` offers beyond. Several options stand in one case where they meet in the code.
OPTION_CASES: tuple[AttentionCase, ...] = (
    AttentionCase("grouped heads", batch=2, heads=6, h_kv=2, n_q=19, n_k=35, causal=True),
    AttentionCase("one head of keys", batch=2, heads=4, h_kv=1, n_q=21, n_k=21),
    AttentionCase("grouped heads, non-contiguous", heads=4, h_kv=2, n_q=20, n_k=25, contiguous=False),
    AttentionCase("values wider than keys", d_v=40, n_q=21, n_k=33),
    AttentionCase("values narrower than keys", d_v=5, causal=True),
    AttentionCase("D not a power of two", d=40, n_q=21, n_k=33, causal=True),
    AttentionCase("D = 1", d=1, n_q=17, n_k=18),
    AttentionCase("scale given", scale=0.5, n_q=21, n_k=33),
    AttentionCase("one query", n_q=1, n_k=45, heads=4, h_kv=2, causal=True),
    AttentionCase("one key", n_q=19, n_k=1, heads=2),
    AttentionCase("no key", n_q=5, n_k=0),
    AttentionCase("no query", n_q=0, n_k=5, causal=True),
    AttentionCase("no batch element", batch=0, causal=True),
    AttentionCase("bool mask, one query sees nothing", mask="random", batch=2, heads=2, n_q=20, n_k=37),
    AttentionCase("bool mask, causal", mask="random", heads=2, n_q=20, n_k=37, causal=True),
    AttentionCase("key padding, one batch element sees nothing", mask="padding", batch=3, heads=2, n_q=20, n_k=37),
    AttentionCase("left padding, causal", mask="left padding", batch=3, heads=2, n_q=33, n_k=33, causal=True),
    AttentionCase("left padding, grouped heads", mask="left padding", batch=3, heads=4, h_kv=2, causal=True),
    AttentionCase("additive mask", mask="additive", batch=2, heads=4, h_kv=2, n_q=20, n_k=37),
    AttentionCase("additive mask per query", mask="additive per query", batch=2, heads=2, n_q=20, n_k=37),
    AttentionCase("additive mask per key, causal", mask="additive per key", batch=2, heads=2, causal=True),
    AttentionCase("additive mask with -inf", mask="additive, hiding", batch=2, heads=2, n_q=20, n_k=37),
    AttentionCase("window", window=(5, 3), n_q=37, n_k=37),
    AttentionCase("window, causal", window=7, causal=True, n_q=50, n_k=50, heads=2),
    AttentionCase("window, N_k > N_q", window=(4, None), n_q=20, n_k=60),
    AttentionCase("window, N_q > N_k", window=(6, 2), n_q=60, n_k=20),
    AttentionCase("window of the own key alone", window=0, n_q=33, n_k=33),
    AttentionCase("softcap", softcap=2.0, spread=4.0, n_q=21, n_k=33, causal=True),
    AttentionCase("alibi", alibi=True, batch=2, heads=4, h_kv=2, n_q=21, n_k=33, causal=True),
    AttentionCase("alibi, both sides", alibi=True, heads=3, n_q=33, n_k=21),
    AttentionCase("dropout", dropout_p=0.3, batch=2, heads=4, h_kv=2, n_q=21, n_k=33),
    AttentionCase(
        "softcap, alibi, additive mask, window",
        mask="additive",
        window=(9, 4),
        softcap=3.0,
        alibi=True,
        heads=4,
        h_kv=2,
    ),
    AttentionCase(
        "dropout, bool mask, causal",
        dropout_p=0.5,
        mask="random",
        causal=True,
        heads=2,
        n_q=20,
        n_k=37,
        contiguous=False,
    ),
)

ALL_CASES = (*ATTENTION_CASES, *OPTION_CASES)
