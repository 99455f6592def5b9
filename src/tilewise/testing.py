"""Cases and error budgets: the one module that owns them, for the library's own tests and for the judge.

The allowed error is not tuned by hand. The oracle is float64; plain arithmetic in the case's own dtype shows what
error that dtype makes unavoidable; and an answer may be twice as far from the oracle as plain arithmetic is, plus
a few roundings, since plain arithmetic can be exact by luck.
"""

from __future__ import annotations

from dataclasses import dataclass

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


def allowed_error(expected64: Tensor, plain: Tensor) -> float:
    """Give the largest absolute error that an answer may have.

    expected64: the oracle's answer, float64   plain: the same by plain arithmetic in the dtype under test
    """
    expected, ordinary = expected64.double(), plain.double()
    finite = torch.isfinite(expected)
    usable = finite & torch.isfinite(ordinary)
    plain_error = _largest((ordinary - expected)[usable])
    kind = torch.finfo(plain.dtype)
    return PLAIN_ERRORS * plain_error + ROUNDINGS * kind.eps * _largest(expected[finite]) + kind.tiny


def errors(actual: Tensor, expected64: Tensor) -> Tensor:
    """Give the absolute error of every element, float64; inf where one is NaN or infinite and the other differs."""
    got, expected = actual.double(), expected64.double()
    both_finite = torch.isfinite(got) & torch.isfinite(expected)
    same = (got == expected) | (torch.isnan(got) & torch.isnan(expected))
    distance = torch.where(both_finite, (got - expected).abs(), torch.inf)
    return torch.where(same, 0.0, distance)


def compare(actual: Tensor, expected64: Tensor, plain: Tensor) -> Comparison:
    """Compare an answer with the oracle, within `allowed_error`.

    Infinities must match in place and sign; NaN passes only where NaN is expected. Raises ValueError when the shapes
    differ, for then no element can be named.
    """
    if actual.shape != expected64.shape or plain.shape != expected64.shape:
        raise ValueError(
            f"actual, expected64 and plain need one shape, got {tuple(actual.shape)}, "
            f"{tuple(expected64.shape)} and {tuple(plain.shape)}"
        )
    allowed = allowed_error(expected64, plain)
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
    """Sizes and magnitudes of one attention problem; `spread` scales the scores, `shift` moves all of them."""

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

    def draw(self, seed: int = 0, dtype: torch.dtype = torch.float32) -> tuple[Tensor, Tensor, Tensor]:
        """Draw q (B, H, N_q, D) and k, v (B, H, N_k, D); the same seed draws the same ones."""
        generator = torch.Generator().manual_seed(seed)
        lengths = (self.n_q, self.n_k, self.n_k)
        q, k, v = (torch.randn(self.batch, self.heads, n, self.d, generator=generator) for n in lengths)
        # A last feature of 1 in q and of shift * sqrt(D) in k adds `shift` to every score under the default scale.
        q *= self.spread
        if self.shift:
            q[..., -1], k[..., -1] = 1.0, self.shift * self.d**0.5
        q, k, v = (_strided(t.to(dtype), self.contiguous) for t in (q, k, v))
        return q, k, v

    def __str__(self) -> str:
        return self.name


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
