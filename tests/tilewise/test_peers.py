"""Where others attend right, we agree with them to rounding; where conventions or faults part us, it shows here.

Agreeing is being as near to the float64 oracle as plain attention is, both of us, on the same numbers.
"""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from memory_efficient_attention_pytorch.flash_attention import FlashAttentionFunction
from torch import Tensor
from torch.nn.attention.bias import causal_lower_right

import tilewise
from tests.tilewise.answers import Problem, by_attention, wrong_parts
from tilewise import oracle
from tilewise.oracle import Answer
from tilewise.testing import ALL_CASES, AttentionCase, compare

BACKENDS = [name for name, status in tilewise.backends().items() if status.available]
BUCKET = 8


def theirs(problem: Problem, o: Tensor, *inputs: Tensor) -> Answer:
    """Complete their output by its gradients, and by our lse where they give none."""
    dq, dk, dv, *dmask = torch.autograd.grad(o, inputs, problem.do)
    return Answer(o.detach(), problem.plain.lse, dq, dk, dv, dmask[0] if dmask else None)


def without_lse(case: AttentionCase) -> Problem:
    drawn = Problem.of(case)
    return Problem(drawn.q, drawn.k, drawn.v, drawn.do, None, drawn.options)


def leaves(problem: Problem) -> list[Tensor]:
    return [x.detach().requires_grad_() for x in (problem.q, problem.k, problem.v)]


def has_torchs_conventions(case: AttentionCase) -> bool:
    """Whether torch has all that is asked, means the same by it, and every query sees a key."""
    beyond = case.softcap or case.alibi or case.window is not None or case.dropout_p
    if beyond or 0 in (case.batch, case.n_q, case.n_k) or (case.causal and (case.mask or case.n_q != case.n_k)):
        return False
    lse = Problem.of(case).expected.lse
    return bool((lse > -torch.inf).all())


@pytest.mark.parametrize("case", [case for case in ALL_CASES if has_torchs_conventions(case)], ids=str)
def test_torchs_attention_and_ours_agree(case: AttentionCase) -> None:
    problem = without_lse(case)
    inputs = leaves(problem)
    mask = problem.options.get("mask")
    if problem.additive:
        mask = mask.detach().requires_grad_()
    o = F.scaled_dot_product_attention(
        *inputs, attn_mask=mask, is_causal=case.causal, scale=case.scale, enable_gqa=case.h_kv is not None
    )
    assert wrong_parts(problem, theirs(problem, o, *inputs, *([mask] if problem.additive else []))) == {}
    assert wrong_parts(problem, by_attention("auto", problem)) == {}


def keys_seen(o: Tensor) -> list[int]:
    """For values that are one-hot, count the keys that each query saw. o: (1, 1, N_q, N_k)"""
    return (o[0, 0] > 0).sum(dim=-1).tolist()


@pytest.mark.parametrize("backend", BACKENDS)
def test_causal_is_bottom_right_here_and_top_left_in_torch(backend: str) -> None:
    """Two new queries after two cached keys: ours see them, torch's do not."""
    q, k, v = torch.zeros(1, 1, 2, 4), torch.zeros(1, 1, 4, 4), torch.eye(4)[None, None]
    ours = tilewise.attention(q, k, v, causal=True, backend=backend)
    assert keys_seen(ours) == [3, 4]
    assert keys_seen(F.scaled_dot_product_attention(q, k, v, is_causal=True)) == [1, 2]
    lower_right = causal_lower_right(2, 4)
    assert keys_seen(F.scaled_dot_product_attention(q, k, v, attn_mask=lower_right)) == [3, 4]


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("causal", [False, True])
def test_lse_agrees_with_that_of_torchs_flash_attention(backend: str, causal: bool) -> None:
    problem = Problem.of(AttentionCase("flash", batch=2, heads=3, n_q=40, n_k=40, causal=causal))
    q, k, v = problem.q, problem.k, problem.v
    o, lse = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu(q, k, v, is_causal=causal)
    our_o, our_lse = tilewise.attention(q, k, v, causal=causal, backend=backend, return_lse=True)
    for expected, plain, answers in zip(problem.expected, problem.plain, ((o, our_o), (lse, our_lse)), strict=False):
        assert all(compare(answer, expected, plain).ok for answer in answers)


def peer(q: Tensor, k: Tensor, v: Tensor, *, mask: Tensor | None = None, causal: bool = False) -> Tensor:
    """Attend with the package memory-efficient-attention-pytorch. mask: (B, N_k) bool"""
    return FlashAttentionFunction.apply(q, k, v, mask, causal, BUCKET, BUCKET)


PEER_IS_RIGHT = (
    AttentionCase("aligned", batch=2, heads=2),
    AttentionCase("ragged", n_q=21, n_k=35),
    AttentionCase("more queries than keys", n_q=35, n_k=21),
    AttentionCase("causal", causal=True, batch=2, heads=2, n_q=35, n_k=35),
    AttentionCase("large logits", spread=20.0),
)


@pytest.mark.parametrize("case", PEER_IS_RIGHT, ids=str)
@pytest.mark.parametrize("padded", [False, True])
def test_the_peer_and_we_agree_where_it_is_right(case: AttentionCase, padded: bool) -> None:
    drawn = without_lse(case)
    kept = torch.arange(case.n_k) < torch.tensor([[case.n_k - 5], [case.n_k]])[: case.batch] if padded else None
    mask = {} if kept is None else {"mask": kept[:, None, None]}
    problem = Problem(drawn.q, drawn.k, drawn.v, drawn.do, None, drawn.options | mask)
    inputs = leaves(problem)
    o = peer(*inputs, mask=kept, causal=case.causal)
    assert wrong_parts(problem, theirs(problem, o, *inputs)) == {}
    assert wrong_parts(problem, by_attention("torch_fa2", problem)) == {}


def test_the_peer_hides_too_much_where_keys_outnumber_queries_and_we_do_not() -> None:
    """It moves the queries as far to the left as it should move them to the right."""
    problem = without_lse(AttentionCase("cached keys", n_q=20, n_k=33, causal=True))
    inputs = leaves(problem)
    found = wrong_parts(problem, theirs(problem, peer(*inputs, causal=True), *inputs))
    assert set(found) == {"o", "dq", "dk", "dv"}
    assert wrong_parts(problem, by_attention("torch_fa2", problem)) == {}


@pytest.mark.parametrize("dtype", [torch.float64, torch.float16, torch.bfloat16])
def test_the_peer_raises_in_all_but_float32_and_we_do_not(dtype: torch.dtype) -> None:
    problem = Problem.of(AttentionCase("precision"), dtype)
    with pytest.raises(RuntimeError, match=r"dtype|overflow"):
        peer(problem.q, problem.k, problem.v)
    assert wrong_parts(problem, by_attention("torch_fa2", problem)) == {}


@pytest.mark.parametrize("backend", [None, *BACKENDS])
def test_left_padding_leaks_later_keys_in_the_peer_and_not_here(backend: str | None) -> None:
    """What a causal query gives must not change with the keys that come after it."""
    q, k, v = AttentionCase("padded", n_q=20, n_k=20).draw()
    kept = torch.arange(20)[None] >= 7
    changed = v.clone()
    changed[:, :, 12:] += 1.0

    def first_rows(values: Tensor) -> Tensor:
        if backend is None:
            return peer(q, k, values, mask=kept, causal=True)[:, :, :12]
        return tilewise.attention(q, k, values, mask=kept[:, None, None], causal=True, backend=backend)[:, :, :12]

    leaks = not torch.equal(first_rows(v), first_rows(changed))
    assert leaks is (backend is None)
    expected = oracle.attention(q, k, v, mask=kept[:, None, None], causal=True)[0][:, :, :12]
    assert compare(first_rows(v), expected, expected.float()).ok is not leaks
