"""Where numbers are as large as they get: scores near the end of the range, windows near the end of the integers."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

import tilewise
from tilewise.testing import AttentionCase, compare

BACKENDS = [name for name, status in tilewise.backends().items() if status.available]
CASE = AttentionCase("with more than one tile", heads=2, n_q=40, n_k=600, d=16)
LOWEST = torch.finfo(torch.float32).min
every_backend = pytest.mark.parametrize("backend", BACKENDS)
# What people write for "hidden" where -inf was meant: -1e4 fits into float16, the last is what many models take.
low_rows = pytest.mark.parametrize("low", [-1e4, -1e9, -1e30, LOWEST])


def low_mask(low: float) -> Tensor:
    """Rows 3 and 5 have nothing but `low`, but for one key of row 5, which is hidden."""
    mask = torch.zeros(CASE.n_q, CASE.n_k)
    mask[3] = mask[5] = low
    mask[5, 7] = -torch.inf
    return mask


def leaves() -> list[Tensor]:
    return [x.requires_grad_() for x in CASE.draw()]


@every_backend
@low_rows
def test_weights_add_up_to_one_however_low_all_scores_of_a_row_are(backend: str, low: float) -> None:
    q, k, v = CASE.draw()
    o = tilewise.attention(q, k, torch.ones_like(v), mask=low_mask(low), backend=backend)
    ones = torch.ones_like(o)
    result = compare(o, ones.double(), ones, terms=1.0)
    assert result.ok, result


@every_backend
@low_rows
def test_gradients_stay_finite_however_low_all_scores_of_a_row_are(backend: str, low: float) -> None:
    tensors = leaves()
    o = tilewise.attention(*tensors, mask=low_mask(low), backend=backend)
    assert all(g.isfinite().all() for g in torch.autograd.grad(o, tensors, torch.ones_like(o)))


@pytest.mark.parametrize("backend", ["reference", "torch_fa2"])
@low_rows
def test_these_backends_give_such_rows_their_gradients_too(backend: str, low: float) -> None:
    """From scores as float32 has them, in which q @ k is lost beside the mask, on to the gradients in float64."""
    tensors, mask = leaves(), low_mask(low)
    do = torch.randn(tensors[0].shape, generator=torch.Generator().manual_seed(1))
    got = torch.autograd.grad(tilewise.attention(*tensors, mask=mask, backend=backend), tensors, do)
    q, k, v = tensors
    s = q @ k.mT * CASE.d**-0.5 + mask
    plain = torch.autograd.grad(torch.softmax(s, dim=-1) @ v, tensors, do, retain_graph=True)
    wanted = torch.autograd.grad(torch.softmax(s.double(), dim=-1) @ v.double(), tensors, do.double())
    # Scores of about -1e4 are rounded in another unit by the one than by the other.
    exponent = 1e4 if low == -1e4 else 0.0
    results = [
        compare(*x, exponent=exponent, terms=1.0) for x in zip(got, (w.double() for w in wanted), plain, strict=True)
    ]
    assert all(result.ok for result in results), results


def test_weights_of_a_padded_sequence_add_up_to_one() -> None:
    module = tilewise.nn.MultiheadAttention(16, 2, batch_first=True)
    x, padded = torch.randn(2, 7, 16), torch.zeros(2, 7)
    padded[0, 4:] = padded[1] = -1e9  # and of the second one all
    _, weights = module(x, x, x, key_padding_mask=padded)
    weights = weights.detach()
    ones = torch.ones(2, 7)
    result = compare(weights.sum(dim=-1), ones.double(), ones, terms=1.0)
    assert result.ok, result
    assert not weights[0, :, 4:].any()


@every_backend
@pytest.mark.parametrize("most", [2**31 - 2, 2**31 - 1, 2**63 - 1, 2**64])
@pytest.mark.parametrize("side", [0, 1])
def test_a_window_wider_than_any_sequence_bounds_nothing(backend: str, most: int, side: int) -> None:
    tensors = CASE.draw()
    bounded: list[Any] = [0, 0]
    unbounded: list[Any] = [0, 0]
    bounded[side], unbounded[side] = most, None
    got = tilewise.attention(*tensors, window=tuple(bounded), backend=backend)
    assert torch.equal(got, tilewise.attention(*tensors, window=tuple(unbounded), backend=backend))


@every_backend
def test_a_tensor_that_torch_only_noted_as_negated_is_read_as_it_is(backend: str) -> None:
    def passes(*inputs: Tensor) -> tuple[Tensor, ...]:
        q, k, v, mask, do = inputs
        wanted = [x.detach().requires_grad_() for x in (q, k, v, mask)]
        o, lse = tilewise.attention(*wanted[:3], mask=wanted[3], backend=backend, return_lse=True)
        return o, lse, *torch.autograd.grad((o, lse), wanted, (do, torch.ones_like(lse)))

    tensors = [*CASE.draw(), torch.randn(CASE.n_q, CASE.n_k), torch.randn(1, CASE.heads, CASE.n_q, CASE.d)]
    noted = [torch._neg_view(-x) for x in tensors]
    assert all(x.is_neg() for x in noted)
    assert all(torch.equal(a, b) for a, b in zip(passes(*noted), passes(*tensors), strict=True))
