"""The oracle against numbers worked out by hand and against PyTorch's own attention."""

import math

import pytest
import torch
import torch.nn.functional as F

from tilewise import oracle
from tilewise.testing import ATTENTION_CASES, AttentionCase, compare


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
