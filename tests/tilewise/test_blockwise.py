"""Blockwise attention against the float64 oracle; error budgets come from `tilewise.testing`."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tilewise import oracle
from tilewise.blockwise import attend_block, blockwise_attention, nothing_seen, output
from tilewise.testing import ATTENTION_CASES, AttentionCase, compare

CASES = [case for case in ATTENTION_CASES if not case.causal]


def plain(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
    """Attend with the whole matrix of scores, in the inputs' own dtype."""
    return torch.softmax(q @ k.mT * q.shape[-1] ** -0.5, dim=-1) @ v


def assert_right(actual: torch.Tensor, q: torch.Tensor, k: torch.Tensor, v: torch.Tensor) -> None:
    result = compare(actual, oracle.attention(q, k, v)[0], plain(q, k, v))
    assert result.ok, result


@pytest.mark.parametrize("case", CASES, ids=str)
def test_blockwise_attention_is_as_exact_as_plain_attention(case: AttentionCase) -> None:
    q, k, v = case.draw()
    assert_right(blockwise_attention(q, k, v, case.block_q, case.block_k), q, k, v)


@given(
    n_q=st.integers(1, 30),
    n_k=st.integers(1, 30),
    block_q=st.integers(1, 40),
    block_k=st.integers(1, 40),
    seed=st.integers(0, 2**31),
)
def test_the_cut_into_blocks_changes_nothing(n_q: int, n_k: int, block_q: int, block_k: int, seed: int) -> None:
    q, k, v = AttentionCase("drawn", n_q=n_q, n_k=n_k, d=8, spread=3.0).draw(seed)
    assert_right(blockwise_attention(q, k, v, block_q, block_k), q, k, v)


def test_the_state_after_each_block_is_that_of_the_keys_seen_so_far() -> None:
    q, k, v = AttentionCase("states", n_q=5, n_k=12, d=8, spread=3.0).draw()
    state = nothing_seen(q, v.shape[-1])
    for seen in (4, 8, 12):
        state = attend_block(state, q, k[..., seen - 4 : seen, :], v[..., seen - 4 : seen, :], 8**-0.5)
        assert_right(output(state), q, k[..., :seen, :], v[..., :seen, :])
        scores = q @ k[..., :seen, :].mT * 8**-0.5
        highest = (q.double() @ k[..., :seen, :].double().mT * 8**-0.5).amax(dim=-1)
        assert compare(state.m, highest, scores.amax(dim=-1)).ok
        lse = oracle.attention(q, k[..., :seen, :], v[..., :seen, :])[1]
        assert compare(state.m + torch.log(state.l), lse, torch.logsumexp(scores, dim=-1)).ok


def test_a_query_that_sees_no_key_gives_zero_and_not_nan() -> None:
    q, k, v = torch.ones(3, 4), torch.ones(0, 4), torch.ones(0, 6)
    assert torch.equal(blockwise_attention(q, k, v, 2, 2), torch.zeros(3, 6))


def test_the_values_may_have_another_width_than_the_keys() -> None:
    q, k, _ = AttentionCase("wide values", n_q=7, n_k=9).draw()
    v = torch.randn(1, 1, 9, 3, generator=torch.Generator().manual_seed(1))
    assert_right(blockwise_attention(q, k, v, 2, 4), q, k, v)


def test_half_precision_sums_in_float32_and_returns_its_own_dtype() -> None:
    q, k, v = AttentionCase("half").draw(dtype=torch.bfloat16)
    o = blockwise_attention(q, k, v, 16, 16)
    assert o.dtype is torch.bfloat16
    assert_right(o, q, k, v)


def test_scores_that_float16_cannot_hold_are_summed_in_float32() -> None:
    x = torch.full((5, 64), 60.0, dtype=torch.float16)
    assert torch.equal(blockwise_attention(x, x, x, 2, 2), x)


@pytest.mark.parametrize("blocks", [(0, 4), (4, 0)])
def test_a_block_of_no_rows_is_refused(blocks: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="at least 1"):
        blockwise_attention(torch.ones(4, 2), torch.ones(4, 2), torch.ones(4, 2), *blocks)


def test_keys_and_values_of_different_length_are_refused_with_both_lengths() -> None:
    with pytest.raises(ValueError, match="got 4 and 3"):
        blockwise_attention(torch.ones(4, 2), torch.ones(4, 2), torch.ones(3, 2), 2, 2)
