"""The oracle against numbers worked out by hand and against PyTorch's own attentions."""

import math
from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.nn.attention.flex_attention import AuxRequest, flex_attention

from tests.tilewise.answers import Problem
from tilewise import oracle
from tilewise.testing import ALL_CASES, ATTENTION_CASES, AttentionCase, compare

KEPT = [case for case in ALL_CASES if not case.dropout_p]
SEEING = [case for case in KEPT if 0 not in (case.batch, case.n_q, case.n_k)]


def test_softmax_and_logsumexp_of_numbers_worked_out_by_hand() -> None:
    x = torch.tensor([[0.0, math.log(3.0)], [-math.inf, 5.0], [-math.inf, -math.inf]], dtype=torch.float64)
    weights = torch.tensor([[0.25, 0.75], [0.0, 1.0], [0.0, 0.0]], dtype=torch.float64)
    totals = torch.tensor([math.log(4.0), 5.0, -math.inf], dtype=torch.float64)
    assert compare(oracle.softmax(x), weights, weights).ok
    assert compare(oracle.logsumexp(x), totals, totals).ok


def test_the_causal_mask_is_aligned_at_the_bottom_right() -> None:
    assert oracle.visible(2, 4, causal=True).int().tolist() == [[1, 1, 1, 0], [1, 1, 1, 1]]
    assert oracle.visible(4, 2, causal=True).int().tolist() == [[0, 0], [0, 0], [1, 0], [1, 1]]
    assert oracle.visible(2, 3, causal=False).all()


@pytest.mark.parametrize("case", ATTENTION_CASES, ids=str)
def test_attention_agrees_with_torch_where_a_query_sees_a_key(case: AttentionCase) -> None:
    q, k, v = (t.double() for t in case.draw())
    o, lse = oracle.attention(q, k, v, causal=case.causal)
    mask = oracle.visible(case.n_q, case.n_k, causal=case.causal)
    sees = mask.any(dim=1)
    theirs = F.scaled_dot_product_attention(q[:, :, sees], k, v, attn_mask=mask[sees])
    # In float64 torch's answer is as good an oracle as ours; float32 attention sets the budget.
    plain = F.scaled_dot_product_attention(q[:, :, sees].float(), k.float(), v.float(), attn_mask=mask[sees])
    result = compare(o[:, :, sees], theirs, plain)
    assert result.ok, result
    assert torch.isfinite(lse[:, :, sees]).all()


def test_rows_that_see_no_key_give_zero_and_minus_infinity() -> None:
    case = next(c for c in ATTENTION_CASES if c.causal and c.n_q > c.n_k)
    o, lse = oracle.attention(*case.draw(), causal=True)
    blind = case.n_q - case.n_k
    assert torch.equal(o[:, :, :blind], torch.zeros_like(o[:, :, :blind]))
    assert torch.equal(lse[:, :, :blind], torch.full_like(lse[:, :, :blind], -torch.inf))
    assert torch.isfinite(lse[:, :, blind:]).all()


def test_the_logsumexp_agrees_with_the_flash_kernel_of_torch() -> None:
    q, k, v = (t.double() for t in ATTENTION_CASES[0].draw())
    o, lse = oracle.attention(q, k, v)
    their_o, their_lse = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu(q, k, v)
    assert compare(o, their_o, their_o.float()).ok
    assert compare(lse, their_lse, their_lse.float()).ok


def test_the_scale_defaults_to_one_over_the_root_of_d() -> None:
    q, k, v = ATTENTION_CASES[0].draw()
    for ours, given in zip(
        oracle.attention(q, k, v), oracle.attention(q, k, v, scale=q.shape[-1] ** -0.5), strict=True
    ):
        assert torch.equal(ours, given)


def test_a_window_counts_keys_from_the_position_of_the_query() -> None:
    assert oracle.visible(2, 4, causal=False, window=(1, 0)).int().tolist() == [[0, 1, 1, 0], [0, 0, 1, 1]]
    assert oracle.visible(3, 3, causal=False, window=(0, None)).int().tolist() == [[1, 1, 1], [0, 1, 1], [0, 0, 1]]
    assert oracle.visible(3, 3, causal=True, window=1).int().tolist() == [[1, 0, 0], [1, 1, 0], [0, 1, 1]]
    assert oracle.visible(3, 1, causal=False, window=1).int().tolist() == [[0], [1], [1]]


def test_attention_of_numbers_worked_out_by_hand() -> None:
    """Two keys with scores 0 and log 3: weights 1/4 and 3/4, until something changes the scores."""
    q, k = (
        torch.tensor([[[[1.0]]]], dtype=torch.float64),
        torch.tensor([[[[0.0], [math.log(3.0)]]]], dtype=torch.float64),
    )
    v = torch.tensor([[[[4.0], [8.0]]]], dtype=torch.float64)

    def output(**options) -> Tensor:
        return oracle.attention(q, k, v, **options)[0]

    def is_right(actual: Tensor, value: float) -> bool:
        expected = torch.full_like(actual, value)
        return compare(actual, expected, expected).ok

    assert is_right(output(), 7.0)
    assert is_right(output(scale=2.0), 7.6)
    assert is_right(output(window=(0, None)), 8.0)
    assert is_right(output(mask=torch.tensor([True, False])), 4.0)
    assert is_right(output(mask=torch.tensor([math.log(3.0), 0.0], dtype=torch.float64)), 6.0)
    # The first key is one step away from the query, the second none.
    assert is_right(output(alibi_slopes=torch.tensor([math.log(2.0)], dtype=torch.float64)), (4 * 0.5 + 8 * 3) / 3.5)
    capped = 3 ** math.tanh(1.0)
    assert is_right(output(softcap=math.log(3.0)), (4 + 8 * capped) / (1 + capped))
    assert is_right(output(keep=torch.tensor([True, False]), dropout_p=0.5), 4 * 0.25 / 0.5)


def scores_of(case: AttentionCase) -> Callable[..., Tensor]:
    """Say for one score what the case makes of it, in the form that flex_attention wants."""
    options = case.options(dtype=torch.float64)
    batch, heads, n_q, n_k = case.batch, case.heads, case.n_q, case.n_k
    mask = options.get("mask")
    seen = oracle.visible(n_q, n_k, causal=case.causal, window=case.window)
    added = torch.zeros(n_q, n_k, dtype=torch.float64).masked_fill(~seen, -torch.inf).expand(batch, heads, n_q, n_k)
    if mask is not None:
        added = added.masked_fill(~mask, -torch.inf) if mask.dtype is torch.bool else added + mask
    slopes = options.get("alibi_slopes", torch.zeros(heads))

    def modified(s: Tensor, b: Tensor, h: Tensor, i: Tensor, j: Tensor) -> Tensor:
        capped = s if case.softcap is None else case.softcap * torch.tanh(s / case.softcap)
        return capped - slopes[h] * (i + n_k - n_q - j).abs() + added[b, h, i, j]

    return modified


@pytest.mark.filterwarnings("ignore:flex_attention called without torch.compile")
@pytest.mark.parametrize("case", SEEING, ids=str)
def test_every_option_agrees_with_flex_attention(case: AttentionCase) -> None:
    q, k, v = case.draw(dtype=torch.float64)
    options = case.options(dtype=torch.float64)
    o, lse = oracle.attention(q, k, v, **options)
    theirs, aux = flex_attention(
        q, k, v, score_mod=scores_of(case), scale=case.scale, enable_gqa=True, return_aux=AuxRequest(lse=True)
    )
    sees = lse > -torch.inf
    plain = Problem.of(case).plain
    assert compare(o[sees], theirs[sees], plain.o[sees]).ok
    assert compare(lse[sees], aux.lse[sees], plain.lse[sees]).ok
    assert not o[~sees].any()


@pytest.mark.parametrize("case", [case for case in SEEING if case.softcap is None], ids=str)
def test_gradients_agree_with_those_of_torch_where_a_query_sees_a_key(case: AttentionCase) -> None:
    problem = Problem.of(case, torch.float64)
    expected = oracle.attention_gradients(problem.q, problem.k, problem.v, problem.do, **problem.options)
    sees = (expected.lse > -torch.inf)[..., None]
    q, k, v = (x.detach().requires_grad_() for x in (problem.q, problem.k, problem.v))
    zeros = torch.zeros(case.batch, case.heads, case.n_q, case.n_k, dtype=torch.float64)
    modified = scores_of(case)
    b, h, i, j = (torch.arange(n) for n in zeros.shape)
    grid = (b[:, None, None, None], h[:, None, None], i[:, None], j)
    # Where a query sees no key, torch gives NaN: there it shall see all, and what comes of it not count.
    mask = torch.where(sees, modified(zeros, *grid), 0.0)
    o = F.scaled_dot_product_attention(q, k, v, attn_mask=mask, scale=case.scale, enable_gqa=True)
    theirs = torch.autograd.grad((o * problem.do * sees).sum(), (q, k, v))
    for ours, their, plain in zip(expected[2:5], theirs, Problem.of(case).plain[2:5], strict=True):
        assert compare(ours, their, plain).ok


def test_the_gradient_of_the_logsumexp_is_the_weights() -> None:
    case = next(c for c in ALL_CASES if c.mask == "additive, hiding")
    problem = Problem.of(case, torch.float64)
    q, k, v = problem.q, problem.k, problem.v
    ones, nothing = torch.ones(q.shape[:-1], dtype=torch.float64), torch.zeros_like(problem.do)
    weights = oracle.attention(q, k, torch.eye(case.n_k, dtype=torch.float64).expand(2, 2, -1, -1), **problem.options)[
        0
    ]
    dmask = oracle.attention_gradients(q, k, v, nothing, ones, **problem.options).dmask
    assert dmask is not None
    assert compare(dmask, weights, weights.float()).ok


@pytest.mark.parametrize("case", KEPT, ids=str)
def test_a_query_that_sees_no_key_gives_and_gets_zero_gradients(case: AttentionCase) -> None:
    problem = Problem.of(case)
    answer = problem.expected
    assert all(part.isfinite().all() for part in answer[2:] if part is not None)
    blind = answer.lse == -torch.inf
    assert not answer.dq[blind].any()
    changed = oracle.attention_gradients(
        problem.q,
        problem.k,
        problem.v,
        problem.do.masked_fill(blind[..., None], 7.0),
        problem.dlse.masked_fill(blind, 7.0),
        **problem.options,
    )
    assert all(torch.equal(a, b) for a, b in zip(answer, changed, strict=True) if a is not None)


def test_another_dtype_is_plain_arithmetic_in_it() -> None:
    q, k, v = ATTENTION_CASES[0].draw(dtype=torch.bfloat16)
    o, lse = oracle.attention(q, k, v, dtype=torch.bfloat16)
    assert o.dtype is lse.dtype is torch.bfloat16
    assert torch.equal(o, torch.softmax(q @ k.mT * q.shape[-1] ** -0.5, dim=-1) @ v)
