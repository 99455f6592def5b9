"""Softmax in parts, and attention from parts, against the float64 oracle; budgets come from `tilewise.testing`."""

from collections.abc import Callable
from functools import partial
from itertools import pairwise

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from tilewise import attention, oracle
from tilewise.parts import (
    SoftmaxPart,
    flash,
    local_softmax,
    merge_attention,
    merge_many,
    merge_softmax,
    merge_tree,
    standard,
)
from tilewise.testing import ATTENTION_CASES, ROW_CASES, AttentionCase, RowCase, compare

UNMASKED = [case for case in ATTENTION_CASES if not case.causal]
seeds = st.integers(0, 2**31)
cuts = st.lists(st.integers(0, 24), min_size=1, max_size=6)
row_cases = st.sampled_from(ROW_CASES)


def cut(x: Tensor, places: list[int]) -> list[SoftmaxPart]:
    """Cut x at the given columns, as far as it has them, and take every piece apart; pieces may be empty."""
    edges = [0, *sorted(min(place, x.shape[-1]) for place in places), x.shape[-1]]
    return [local_softmax(x[..., low:high]) for low, high in pairwise(edges)]


def assert_is_part_of(part: SoftmaxPart, x: Tensor) -> None:
    """The part must be that of all columns of x: m to the last bit, l and f within their budgets."""
    right, plain = local_softmax(x.double()), local_softmax(x)
    assert torch.equal(part.m, plain.m)
    for actual, expected, ordinary in zip(part[1:], right[1:], plain[1:], strict=True):
        result = compare(actual, expected, ordinary)
        assert result.ok, result


@pytest.mark.parametrize("case", ROW_CASES, ids=str)
def test_a_part_divided_by_its_sum_is_the_softmax(case: RowCase) -> None:
    x = case.draw()
    part = local_softmax(x)
    m, l, f = part
    expected = oracle.softmax(x)
    result = compare(part.softmax, expected, torch.softmax(x, dim=-1).masked_fill(expected == 0, 0.0))
    assert result.ok, result
    seen = m > -torch.inf
    assert torch.equal(part.softmax[seen], (f / l[..., None])[seen])
    assert torch.equal(m, x.amax(dim=-1))
    assert torch.equal(l, f.sum(dim=-1))


@pytest.mark.parametrize("merge", [merge_many, merge_tree])
@given(case=row_cases, seed=seeds, places=cuts)
def test_merging_the_parts_gives_the_part_of_the_whole_row(
    merge: Callable[[list[SoftmaxPart]], SoftmaxPart], case: RowCase, seed: int, places: list[int]
) -> None:
    x = case.draw(seed)
    assert_is_part_of(merge(cut(x, places)), x)


def test_a_tree_is_no_deeper_than_it_must_be(monkeypatch: pytest.MonkeyPatch) -> None:
    depths: dict[int, int] = {}

    def counted(a: SoftmaxPart, b: SoftmaxPart) -> SoftmaxPart:
        joined = merge_softmax(a, b)
        depths[id(joined.f)] = 1 + max(depths.get(id(a.f), 0), depths.get(id(b.f), 0))
        kept.append(joined)
        return joined

    kept: list[SoftmaxPart] = []
    monkeypatch.setattr("tilewise.parts.merge_softmax", counted)
    for count, depth in ((1, 0), (2, 1), (8, 3), (9, 4), (100, 7)):
        depths.clear()
        whole = merge_tree(cut(torch.arange(100.0), list(range(1, count))))
        assert depths.get(id(whole.f), 0) == depth
        assert whole.f.shape == (100,)


@given(seed=seeds, places=cuts, spread=st.sampled_from([1.0, 30.0]))
def test_what_parts_of_the_keys_give_merges_into_what_all_give(seed: int, places: list[int], spread: float) -> None:
    q, k, v = AttentionCase("", n_q=3, n_k=24, spread=spread, heads=2).draw(seed)
    edges = [0, *sorted(places), 24]
    of_part = partial(attention, q, return_lse=True, backend="reference")
    parts = [of_part(k[:, :, a:b], v[:, :, a:b]) for a, b in pairwise(edges)]
    o, lse = merge_attention(*(torch.stack(found) for found in zip(*parts, strict=True)))
    (right_o, right_lse), (plain_o, plain_lse) = oracle.attention(q, k, v), of_part(k, v)
    assert compare(lse, right_lse, plain_lse).ok
    result = compare(o, right_o, plain_o, exponent=float(right_lse.abs().max()))  # a part counts for exp(lse)
    assert result.ok, result


def test_queries_that_no_part_had_a_key_for_give_zeros_and_finite_gradients() -> None:
    o = torch.zeros(3, 2, 4, requires_grad=True)
    lse = torch.full((3, 2), -torch.inf, requires_grad=True)
    merged, merged_lse = merge_attention(o, lse)
    assert not merged.any()
    assert (merged_lse == -torch.inf).all()
    (merged.sum() + merged_lse.sum()).backward()
    assert not o.grad.any()
    assert not lse.grad.any()


@given(case=row_cases, seed=seeds, places=st.tuples(st.integers(0, 24), st.integers(0, 24)))
def test_either_bracketing_gives_the_same_up_to_rounding(case: RowCase, seed: int, places: tuple[int, int]) -> None:
    x = case.draw(seed)
    a, b, c = cut(x, list(places))
    assert_is_part_of(merge_softmax(merge_softmax(a, b), c), x)
    assert_is_part_of(merge_softmax(a, merge_softmax(b, c)), x)


@given(case=row_cases, seed=seeds, place=st.integers(0, 24))
def test_the_order_of_two_parts_changes_no_bit_of_m_and_l(case: RowCase, seed: int, place: int) -> None:
    a, b = cut(case.draw(seed), [place])
    for left, right in zip(merge_softmax(a, b).state, merge_softmax(b, a).state, strict=True):
        assert torch.equal(left, right)


@given(case=row_cases, seed=seeds, masked_columns=st.integers(0, 3))
def test_a_part_with_nothing_in_it_changes_no_bit(case: RowCase, seed: int, masked_columns: int) -> None:
    part = local_softmax(case.draw(seed))
    nothing = local_softmax(torch.full((*part.m.shape, masked_columns), -torch.inf))
    assert not nothing.f.any()
    for merged, first in ((merge_softmax(part, nothing), 0), (merge_softmax(nothing, part), masked_columns)):
        assert torch.equal(merged.m, part.m)
        assert torch.equal(merged.l, part.l)
        assert torch.equal(merged.f[..., first : first + part.f.shape[-1]], part.f)


def test_a_part_without_columns_is_the_identity() -> None:
    m, l, f = local_softmax(torch.empty(2, 0))
    assert torch.equal(m, torch.full((2,), -torch.inf))
    assert torch.equal(l, torch.zeros(2))
    assert f.shape == (2, 0)


@pytest.mark.parametrize("case", UNMASKED, ids=str)
@pytest.mark.parametrize("attend", [standard, flash])
def test_attention_from_parts_is_as_exact_as_plain_attention(
    case: AttentionCase, attend: Callable[..., Tensor]
) -> None:
    q, k, v = case.draw()
    actual = attend(q, k, v, case.block_k) if attend is flash else attend(q, k, v)
    plain = torch.softmax(q @ k.mT * case.d**-0.5, dim=-1) @ v
    result = compare(actual, oracle.attention(q, k, v)[0], plain)
    assert result.ok, result


@pytest.mark.parametrize("block", [1, 7, 64])
def test_flash_takes_any_block_size(block: int) -> None:
    q, k, v = (x[0, 0] for x in ATTENTION_CASES[0].draw())
    result = compare(flash(q, k, v, block), oracle.attention(q, k, v)[0], standard(q, k, v))
    assert result.ok, result


@pytest.mark.parametrize("attend", [standard, lambda q, k, v: flash(q, k, v, 8)])
def test_half_precision_comes_back_as_it_came(attend: Callable[..., Tensor]) -> None:
    q, k, v = ATTENTION_CASES[0].draw(dtype=torch.bfloat16)
    assert attend(q, k, v).dtype == torch.bfloat16
    assert local_softmax(q).l.dtype == torch.float32


@pytest.mark.parametrize("attend", [standard, lambda q, k, v: flash(q, k, v, 8)])
def test_scores_that_float16_cannot_hold_are_summed_in_float32(attend: Callable[..., Tensor]) -> None:
    x = torch.full((5, 64), 60.0, dtype=torch.float16)
    assert torch.equal(attend(x, x, x), x)


@pytest.mark.parametrize("attend", [standard, lambda q, k, v: flash(q, k, v, 8)])
def test_queries_without_keys_get_zeros_and_not_nan(attend: Callable[..., Tensor]) -> None:
    assert torch.equal(attend(torch.ones(3, 4), torch.ones(0, 4), torch.ones(0, 6)), torch.zeros(3, 6))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: merge_many([]), "parts is empty.*at least one"),
        (lambda: merge_tree([]), "parts is empty.*at least one"),
        (lambda: merge_attention(torch.zeros(0, 2, 4), torch.zeros(0, 2)), r"one part at least, got \(0, 2, 4\)"),
        (lambda: merge_attention(torch.zeros(3, 2, 4), torch.zeros(2, 2)), r"got \(3, 2, 4\) and \(2, 2\)"),
        (
            lambda: merge_softmax(local_softmax(torch.zeros(2, 3)), local_softmax(torch.zeros(1, 3))),
            r"same rows, got m of shape \(2,\) and \(1,\)",
        ),
        (lambda: flash(torch.zeros(2, 3), torch.zeros(2, 3), torch.zeros(2, 3), 0), "at least 1 key, got 0"),
        (lambda: local_softmax(torch.tensor(1.0)), r"x must hold floating-point rows, got shape \(\).*give x\[None\]"),
        (lambda: local_softmax(torch.arange(3)), r"x must hold floating-point rows.*int64; give x.float\(\)"),
    ],
)
def test_errors_say_what_was_expected_and_what_came(call: Callable[[], object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()
