"""Softmax and the (m, l) algebra against the float64 oracle; error budgets come from `tilewise.testing`."""

from collections.abc import Callable

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from tilewise import oracle
from tilewise.softmax import (
    SoftmaxState,
    absorb,
    identity,
    logsumexp,
    lse,
    merge,
    naive_softmax,
    online_softmax,
    safe_softmax,
    weights,
)
from tilewise.testing import ROW_CASES, RowCase, compare


def read(x: Tensor, widths: list[int]) -> SoftmaxState:
    """Absorb x tile by tile; what the widths leave over comes last."""
    state = identity(*x.shape[:-1], dtype=x.dtype)
    for tile in x.split([*widths, x.shape[-1] - sum(widths)], dim=-1):
        state = absorb(state, tile)
    return state


def assert_state(actual: SoftmaxState, x: Tensor) -> None:
    """The state must be that of all columns of x: m to the last bit, l within the budget."""
    expected, plain = read(x.double(), []), read(x, [])
    assert torch.equal(actual.m, plain.m)
    result = compare(actual.l, expected.l, plain.l)
    assert result.ok, result


rows_of_logits = st.builds(
    RowCase,
    name=st.just("drawn"),
    shape=st.tuples(st.integers(1, 4), st.integers(1, 40)),
    block=st.integers(1, 48),
    spread=st.sampled_from([0.0, 1e-3, 1.0, 5.0, 1e3]),
    shift=st.sampled_from([0.0, -1e4, 1e4]),
    masked=st.none() | st.builds(slice, st.integers(0, 20), st.integers(0, 40)),
    ascending=st.booleans(),
    contiguous=st.booleans(),
)
seeds = st.integers(0, 2**31)
cuts = st.lists(st.integers(0, 6), max_size=5)


@pytest.mark.parametrize("softmax", [safe_softmax, online_softmax])
@pytest.mark.parametrize("case", ROW_CASES, ids=str)
def test_softmax_is_as_exact_as_plain_arithmetic(case: RowCase, softmax: Callable[..., Tensor]) -> None:
    x = case.draw()
    actual = softmax(x, case.block) if softmax is online_softmax else softmax(x)
    expected = oracle.softmax(x)
    result = compare(actual, expected, torch.softmax(x, dim=-1).masked_fill(expected == 0, 0.0))
    assert result.ok, result
    assert actual.dtype == x.dtype


@pytest.mark.parametrize("case", ROW_CASES, ids=str)
def test_logsumexp_is_as_exact_as_torch(case: RowCase) -> None:
    x = case.draw()
    result = compare(logsumexp(x), oracle.logsumexp(x), torch.logsumexp(x, dim=-1))
    assert result.ok, result


@given(case=rows_of_logits, seed=seeds)
def test_the_block_size_changes_nothing_but_rounding(case: RowCase, seed: int) -> None:
    x = case.draw(seed)
    result = compare(online_softmax(x, case.block), oracle.softmax(x), safe_softmax(x))
    assert result.ok, result


@given(case=rows_of_logits, seed=seeds, widths=cuts)
def test_tiles_of_any_width_give_the_state_of_the_whole_row(case: RowCase, seed: int, widths: list[int]) -> None:
    x = case.draw(seed)
    fitting = [w for i, w in enumerate(widths) if sum(widths[: i + 1]) <= x.shape[-1]]
    assert_state(read(x, fitting), x)


@given(case=rows_of_logits, seed=seeds, first=st.integers(0, 40), second=st.integers(0, 40))
def test_merge_is_associative_up_to_rounding(case: RowCase, seed: int, first: int, second: int) -> None:
    x = case.draw(seed)
    low, high = sorted((min(first, x.shape[-1]), min(second, x.shape[-1])))
    a, b, c = (read(part, []) for part in (x[..., :low], x[..., low:high], x[..., high:]))
    assert_state(merge(merge(a, b), c), x)
    assert_state(merge(a, merge(b, c)), x)


@given(case=rows_of_logits, seed=seeds, cut=st.integers(0, 40))
def test_merge_does_not_mind_the_order(case: RowCase, seed: int, cut: int) -> None:
    x = case.draw(seed)
    a, b = read(x[..., :cut], []), read(x[..., cut:], [])
    for left, right in zip(merge(a, b), merge(b, a), strict=True):
        assert torch.equal(left, right)


@given(case=rows_of_logits, seed=seeds)
def test_the_identity_changes_no_bit(case: RowCase, seed: int) -> None:
    state = read(case.draw(seed), [])
    nothing = identity(*state.m.shape)
    for merged in (merge(state, nothing), merge(nothing, state)):
        assert torch.equal(merged.m, state.m)
        assert torch.equal(merged.l, state.l)


@given(case=rows_of_logits, seed=seeds, at=st.integers(0, 40))
def test_masked_columns_change_no_bit(case: RowCase, seed: int, at: int) -> None:
    x = case.draw(seed)
    state = read(x, [])
    masked_tile = torch.full((*x.shape[:-1], 3), -torch.inf)
    for before, after in zip(state, absorb(state, masked_tile), strict=True):
        assert torch.equal(before, after)


def test_a_first_tile_of_masked_entries_gives_no_nan() -> None:
    x = torch.tensor([[-torch.inf, -torch.inf, 2.0, 1.0]])
    assert_state(read(x, [2]), x)


def test_a_row_that_is_masked_whole_gives_zeros_and_minus_infinity() -> None:
    x = torch.full((2, 5), -torch.inf)
    assert torch.equal(online_softmax(x, 2), torch.zeros(2, 5))
    assert torch.equal(safe_softmax(x), torch.zeros(2, 5))
    assert torch.equal(logsumexp(x), torch.full((2,), -torch.inf))


def test_a_row_that_is_masked_whole_gets_no_gradient_and_no_nan() -> None:
    x = torch.tensor([[-torch.inf, -torch.inf], [1.0, -torch.inf], [1.0, 2.0]], requires_grad=True)
    logsumexp(x).sum().backward()
    result = compare(x.grad, oracle.softmax(x.detach()), safe_softmax(x.detach()))
    assert result.ok, result


def test_rows_of_no_columns_have_seen_nothing() -> None:
    x = torch.empty(3, 0)
    assert online_softmax(x, 4).shape == (3, 0)
    assert torch.equal(logsumexp(x), torch.full((3,), -torch.inf))


def test_an_infinite_logit_makes_the_logsumexp_infinite() -> None:
    x = torch.tensor([[0.0, torch.inf, 1.0], [torch.inf, -torch.inf, torch.inf]])
    assert torch.equal(lse(read(x, [1, 1])), torch.full((2,), torch.inf))


def test_nan_is_not_swallowed() -> None:
    x = torch.tensor([[0.0, torch.nan, 1.0]])
    assert online_softmax(x, 2).isnan().all()
    assert logsumexp(x).isnan().all()


def test_weights_of_the_tiles_sum_to_one() -> None:
    x = ROW_CASES[0].draw()
    state = read(x, [7, 7])
    total = sum(weights(state, tile).sum(dim=-1) for tile in x.split(5, dim=-1))
    result = compare(total, torch.ones(x.shape[0], dtype=torch.float64), torch.softmax(x, dim=-1).sum(dim=-1))
    assert result.ok, result


def test_naive_softmax_is_right_for_small_logits_only() -> None:
    x = ROW_CASES[0].draw()
    assert compare(naive_softmax(x), oracle.softmax(x), torch.softmax(x, dim=-1)).ok
    assert naive_softmax(x + 1e4).isnan().all()
    assert naive_softmax(x - 1e4).isnan().all()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_summed_in_float32_and_returned_as_it_came(dtype: torch.dtype) -> None:
    # In float16 a sum of 4,096 ones stops at 2,048.
    x = torch.zeros(1, 4096, dtype=dtype)
    y = online_softmax(x, 64)
    assert y.dtype == dtype
    assert torch.equal(y, torch.full_like(y, 1 / 4096))
    assert logsumexp(x).dtype == torch.float32


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: online_softmax(torch.zeros(2, 3), 0), "block must be at least 1 column, got 0"),
        (lambda: online_softmax(torch.zeros(2, 3), 1.5), "block must be a whole number, got 1.5"),
        (lambda: safe_softmax(torch.zeros(2, 3, dtype=torch.int64)), r"floating-point rows.*int64; give x.float\(\)"),
        (lambda: logsumexp(torch.tensor(1.0)), r"floating-point rows.*shape \(\).*; give x\[None\]"),
        (lambda: online_softmax(torch.tensor(1.0), 2), r"floating-point rows.*shape \(\)"),
        (lambda: online_softmax([1.0], 2), r"x must be a torch.Tensor, got list; give torch.as_tensor\(x\)"),
        (lambda: naive_softmax([1.0]), "x must be a torch.Tensor, got list"),
        (lambda: safe_softmax(None), "x must be a torch.Tensor, got NoneType"),
        (
            lambda: absorb(identity(2), torch.zeros(3, 4)),
            r"one dimension more, got \(3, 4\) for a state of shape \(2,\)",
        ),
    ],
)
def test_errors_say_what_was_expected_and_what_came(call: Callable[[], object], message: str) -> None:
    with pytest.raises((TypeError, ValueError), match=message):
        call()
