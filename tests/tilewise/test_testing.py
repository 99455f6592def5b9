"""The helper that decides right or wrong must be able to say wrong, and the cases must be what their names say."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from tilewise import oracle
from tilewise.testing import (
    ALL_CASES,
    ATTENTION_CASES,
    MASKS,
    ROW_CASES,
    AttentionCase,
    RowCase,
    allowed_error,
    compare,
    errors,
    plain_float64,
)

EXPECTED = torch.tensor([0.125, 0.5, 0.25], dtype=torch.float64)
INF, NAN = torch.inf, torch.nan


def off_by(amount: float) -> Tensor:
    """Give the expected numbers, the second one off by the given amount, in float64 so that the amount is exact."""
    return EXPECTED + torch.tensor([0.0, amount, 0.0], dtype=torch.float64)


def test_an_error_up_to_the_budget_passes_and_a_larger_one_fails() -> None:
    plain = EXPECTED.float()
    allowed = allowed_error(EXPECTED, plain)
    assert compare(off_by(0.9 * allowed), EXPECTED, plain).ok
    too_far = compare(off_by(1.1 * allowed), EXPECTED, plain)
    assert not too_far.ok
    assert too_far.index == (1,)
    assert too_far.worst_error > too_far.allowed == allowed


def test_the_budget_is_a_few_roundings_where_plain_arithmetic_is_exact() -> None:
    plain = EXPECTED.float()
    eps = torch.finfo(torch.float32).eps
    assert eps < allowed_error(EXPECTED, plain) < 10 * eps


def test_the_budget_grows_with_the_error_of_plain_arithmetic() -> None:
    exact, poor = EXPECTED.float(), off_by(0.01).float()
    assert allowed_error(EXPECTED, poor) > 0.02 > allowed_error(EXPECTED, exact)


def test_a_coarser_dtype_is_allowed_more() -> None:
    assert allowed_error(EXPECTED, EXPECTED.bfloat16()) > allowed_error(EXPECTED, EXPECTED.float())


def test_plain_arithmetic_that_overflows_buys_no_budget() -> None:
    plain = torch.tensor([0.125, INF, NAN])
    assert allowed_error(EXPECTED, plain) == allowed_error(EXPECTED, EXPECTED.float())


def test_the_budget_grows_with_the_exponents_that_were_rounded() -> None:
    """Rounding x to float32 moves exp(x) by eps * |x|, in half precision too: there sums are float32."""
    x = torch.tensor([200.3, -1000.7], dtype=torch.float64)
    expected = torch.exp(x - x.round())
    rounded = torch.exp(x.float().double() - x.round())
    assert not compare(rounded, expected, expected.float()).ok
    assert compare(rounded, expected, expected.float(), exponent=1000.7).ok
    for_half = allowed_error(expected, expected.half(), exponent=1000.7) - allowed_error(expected, expected.half())
    for_single = allowed_error(expected, expected.float(), exponent=1000.7) - allowed_error(expected, expected.float())
    assert for_half == pytest.approx(for_single)


def test_plain_arithmetic_in_float64_is_as_exact_as_the_ratio_of_the_roundings_says() -> None:
    expected = torch.tensor([0.3, 0.7, -INF], dtype=torch.float64)
    off_by_one_part_in_a_thousand = expected * 1.001
    plain = plain_float64(expected, off_by_one_part_in_a_thousand.float())
    assert plain[2] == -INF
    assert 0 < allowed_error(expected, plain) < 0.01 * torch.finfo(torch.float32).eps
    assert compare(expected, expected, plain).ok
    assert not compare(expected.float(), expected, plain).ok


@pytest.mark.parametrize("bad", [NAN, INF, -INF])
def test_no_budget_is_wide_enough_for_nan_or_infinity(bad: float) -> None:
    actual = torch.tensor([0.125, 0.5, bad])
    result = compare(actual, EXPECTED, torch.full((3,), 1e30))
    assert not result.ok
    assert result.index == (2,)
    assert result.worst_error == INF


@pytest.mark.parametrize(
    ("actual", "expected", "passes"),
    [
        (-INF, -INF, True),
        (INF, INF, True),
        (NAN, NAN, True),
        (INF, -INF, False),
        (0.0, -INF, False),
        (-3e38, -INF, False),
        (NAN, -INF, False),
        (0.0, NAN, False),
        (INF, NAN, False),
    ],
)
def test_infinities_and_nan_must_stand_where_they_are_expected(actual: float, expected: float, passes: bool) -> None:
    numbers = torch.tensor([1.0, expected], dtype=torch.float64)
    assert compare(torch.tensor([1.0, actual]), numbers, numbers.float()).ok is passes


def test_the_worst_element_is_named_in_every_dimension() -> None:
    expected = torch.ones(2, 3, 4, dtype=torch.float64)
    actual = expected.clone()
    actual[1, 2, 3], actual[0, 1, 0] = 9.0, 5.0
    assert compare(actual, expected, expected.float()).index == (1, 2, 3)


def test_empty_answers_agree() -> None:
    nothing = torch.empty(2, 0, dtype=torch.float64)
    result = compare(nothing.float(), nothing, nothing.float())
    assert result.ok
    assert result.index is None


@pytest.mark.parametrize("shape", [(3, 1), (1, 3), (), (4,)])
def test_a_shape_that_would_broadcast_is_an_error(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="need one shape"):
        compare(torch.zeros(shape), EXPECTED, EXPECTED.float())


def test_errors_are_measured_element_by_element() -> None:
    actual = torch.tensor([0.0, NAN, INF, 1.0])
    expected = torch.tensor([0.5, NAN, 1.0, 1.0], dtype=torch.float64)
    assert torch.equal(errors(actual, expected), torch.tensor([0.5, 0.0, INF, 0.0], dtype=torch.float64))


@pytest.mark.parametrize("case", [*ROW_CASES, *(case for case in ALL_CASES if case.batch)], ids=str)
def test_the_same_seed_draws_the_same_numbers_and_another_seed_others(case: RowCase | AttentionCase) -> None:
    def numbers(seed: int) -> list[float]:
        drawn = case.draw(seed)
        return [n for t in ((drawn,) if isinstance(drawn, Tensor) else drawn) for n in t.flatten().tolist()]

    assert numbers(1) == numbers(1) != numbers(2)


@pytest.mark.parametrize("case", [*ROW_CASES, *ALL_CASES], ids=str)
def test_a_case_is_laid_out_as_it_says(case: RowCase | AttentionCase) -> None:
    drawn = case.draw()
    tensors = (drawn,) if isinstance(drawn, Tensor) else drawn
    assert all(t.is_contiguous() is case.contiguous for t in tensors)


@pytest.mark.parametrize("case", ALL_CASES, ids=str)
def test_a_case_asks_what_it_says(case: AttentionCase) -> None:
    options = case.options(dtype=torch.bfloat16)
    asked = {"causal", "mask", "window", "scale", "softcap", "dropout_p"}
    assert {name for name in asked if getattr(case, name)} <= set(options)
    assert ("alibi_slopes" in options) is case.alibi
    for name in ("causal", "window", "scale", "softcap", "dropout_p"):
        assert options.get(name, getattr(case, name)) == getattr(case, name)
    mask = options.get("mask", torch.ones(1, dtype=torch.bool))
    assert mask.dtype is (torch.bfloat16 if "additive" in str(case.mask) else torch.bool)
    assert mask.broadcast_to(case.batch, case.heads, case.n_q, case.n_k).ndim == 4


def test_masks_are_what_their_names_say() -> None:
    case = AttentionCase("masked", batch=3, heads=2, n_q=5, n_k=8)
    drawn = {name: make(case, torch.Generator().manual_seed(0)) for name, make in MASKS.items()}
    assert drawn["random"].shape == (3, 2, 5, 8)
    assert not drawn["random"][:, :, 1].any()
    assert drawn["random"][:, :, 2:].any(dim=-1).all()
    assert drawn["padding"].squeeze().sum(dim=-1).tolist() == [8, 4, 0]
    assert drawn["padding"][1].squeeze().tolist() == [True] * 4 + [False] * 4
    assert torch.equal(drawn["left padding"], drawn["padding"].flip(-1))
    assert drawn["additive"].isfinite().all()
    hidden = drawn["additive, hiding"] == -INF
    assert hidden[:, :, 1].all()
    assert 0 < hidden[:, :, 2:].sum() < hidden[:, :, 2:].numel() / 2


def test_scores_that_should_lie_far_below_zero_do() -> None:
    case = next(c for c in ATTENTION_CASES if c.shift < 0)
    _, lse = oracle.attention(*case.draw())
    assert (lse < case.shift / 2).all()


def planted(block_of: Callable[[int], int] = lambda n: n, start: float = -INF, rescale: bool = True) -> Callable:
    """Make an online softmax with one bug; the defaults have none (save NaN for a row whose first block is masked)."""

    def softmax(x: Tensor, block: int) -> Tensor:
        m = torch.full(x.shape[:-1], start)
        l = torch.zeros(x.shape[:-1])
        for tile in x[..., : block_of(x.shape[-1])].split(block, dim=-1):
            m_new = torch.maximum(m, tile.amax(dim=-1))
            l = l * (torch.exp(m - m_new) if rescale else 1.0) + torch.exp(tile - m_new[..., None]).sum(dim=-1)
            m = m_new
        return torch.exp(x - m[..., None]) / l[..., None]

    return softmax


def caught_by(softmax: Callable[[Tensor, int], Tensor]) -> set[str]:
    """Name the row cases that the given softmax fails."""
    failed = set()
    for case in ROW_CASES:
        x = case.draw()
        expected = oracle.softmax(x)
        if not compare(softmax(x, case.block), expected, expected.float()).ok:
            failed.add(case.name)
    return failed


def test_the_row_cases_catch_planted_bugs_and_nothing_else() -> None:
    masked_whole = {"first block masked", "row masked"}
    assert caught_by(planted()) == masked_whole
    assert "maximum grows in every block" in caught_by(planted(rescale=False))
    assert "all logits far below zero" in caught_by(planted(start=0.0))
    assert "ragged tail" in caught_by(planted(block_of=lambda n: max(n // 8 * 8, 1)))
