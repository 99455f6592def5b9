"""How `attention` lives with autograd, autocast, function transforms and whoever changes its tensors afterwards."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

import tilewise
from tests.tilewise.answers import Problem, by_attention, wrong_parts
from tilewise.testing import ALL_CASES, AttentionCase, compare

BACKENDS = [name for name, status in tilewise.backends().items() if status.available]
CASE = AttentionCase("small", batch=2, heads=4, h_kv=2, n_q=5, n_k=7, d=8, d_v=6)
every_backend = pytest.mark.parametrize("backend", BACKENDS)


def leaves(seed: int = 0) -> list[Tensor]:
    return [x.requires_grad_() for x in CASE.draw(seed)]


@every_backend
@pytest.mark.parametrize("wanted", range(3))
def test_gradients_come_to_those_tensors_alone_that_want_one(backend: str, wanted: int) -> None:
    tensors, full = list(CASE.draw()), leaves()
    tensors[wanted].requires_grad_()
    for inputs in (tensors, full):
        tilewise.attention(*inputs, backend=backend).sum().backward()
    assert [x.grad is not None for x in tensors] == [n == wanted for n in range(3)]
    assert torch.equal(tensors[wanted].grad, full[wanted].grad)


@every_backend
def test_a_mask_alone_may_want_a_gradient(backend: str) -> None:
    mask = torch.zeros(5, 7, requires_grad=True)
    tilewise.attention(*CASE.draw(), mask=mask, backend=backend).square().sum().backward()
    assert mask.grad is not None
    assert mask.grad.any()


@every_backend
def test_only_the_output_that_is_used_sends_a_gradient_back(backend: str) -> None:
    """lse does not depend on v, and nothing used sends nothing."""
    problem = Problem.of(CASE)
    q, k, v = leaves()
    _, lse = tilewise.attention(q, k, v, backend=backend, return_lse=True)
    dq, dk, dv = torch.autograd.grad(lse, (q, k, v), problem.dlse)
    silent = Problem(problem.q, problem.k, problem.v, torch.zeros_like(problem.do), problem.dlse)
    answer = silent.plain._replace(dq=dq, dk=dk, dv=dv)
    assert wrong_parts(silent, answer) == {}
    assert not dv.any()


@every_backend
def test_without_gradients_nothing_is_kept(backend: str) -> None:
    expected = tilewise.attention(*CASE.draw(), backend=backend)
    for mode in (torch.no_grad, torch.inference_mode):
        with mode():
            o = tilewise.attention(*leaves(), backend=backend)
        assert not o.requires_grad
        assert o.grad_fn is None
        assert torch.equal(o, expected)


@every_backend
@pytest.mark.parametrize("which", ["q", "k", "v", "bool mask", "additive mask", "o"])
def test_what_is_changed_between_the_passes_raises(backend: str, which: str) -> None:
    q, k, v = (x.clone() for x in leaves())
    mask = {"bool mask": torch.ones(5, 7) > 0, "additive mask": torch.zeros(5, 7)}.get(which)
    o = tilewise.attention(q, k, v, mask=mask, backend=backend)
    changed = {"q": q, "k": k, "v": v, "o": o}.get(which, mask)
    with torch.no_grad():
        changed.zero_()
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        o.sum().backward()


@every_backend
def test_slopes_that_are_changed_between_the_passes_change_nothing(backend: str) -> None:
    gradients = []
    for factor in (1.0, 5.0):
        slopes = torch.tensor([0.5, 0.25, 0.125, 0.0625])
        q, k, v = leaves()
        o = tilewise.attention(q, k, v, alibi_slopes=slopes, backend=backend)
        slopes.mul_(factor)
        gradients.append(torch.autograd.grad(o.square().sum(), (q, k, v)))
    assert all(torch.equal(a, b) for a, b in zip(*gradients, strict=True))


@every_backend
def test_results_are_memory_of_their_own(backend: str) -> None:
    """Also where a result equals an input: one key, and v comes out as it went in."""
    q, k, v = (x.requires_grad_() for x in AttentionCase("one key", n_q=1, n_k=1).draw())
    mask = torch.zeros(1, 1, requires_grad=True)
    o, lse = tilewise.attention(q, k, v, mask=mask, backend=backend, return_lse=True)
    do, dlse = torch.ones_like(o), torch.ones_like(lse)
    gradients = torch.autograd.grad((o, lse), (q, k, v, mask), (do, dlse))
    results = [x.untyped_storage().data_ptr() for x in (o, lse, *gradients)]
    inputs = [x.untyped_storage().data_ptr() for x in (q, k, v, mask, do, dlse)]
    assert len(set(results)) == len(results)
    assert not set(results) & set(inputs)


@every_backend
@pytest.mark.parametrize("case", [case for case in ALL_CASES if case.batch and case.n_q and case.n_k][::4], ids=str)
def test_inputs_are_left_as_they_were(backend: str, case: AttentionCase) -> None:
    problem, untouched = Problem.of(case), Problem.of(case)
    by_attention(backend, problem)
    for name in ("q", "k", "v", "do", "dlse"):
        assert torch.equal(getattr(problem, name), getattr(untouched, name)), name
    for name in problem.options.keys() & {"mask", "alibi_slopes"}:
        assert torch.equal(problem.options[name], untouched.options[name]), name


@every_backend
def test_both_passes_give_the_same_numbers_again(backend: str) -> None:
    q, k, v = leaves()
    generator = torch.Generator().manual_seed(3)
    o = tilewise.attention(q, k, v, dropout_p=0.4, generator=generator.clone_state(), backend=backend)
    again = tilewise.attention(q, k, v, dropout_p=0.4, generator=generator.clone_state(), backend=backend)
    other = tilewise.attention(q, k, v, dropout_p=0.4, generator=torch.Generator().manual_seed(4), backend=backend)
    assert torch.equal(o, again)
    assert not torch.equal(o, other)
    first = torch.autograd.grad(o.sum(), (q, k, v), retain_graph=True)
    second = torch.autograd.grad(o.sum(), (q, k, v))
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))


@every_backend
def test_every_backend_drops_the_same_weights_and_in_no_other_share(backend: str) -> None:
    """Values that are one-hot show the weights themselves."""
    case = AttentionCase("weights", batch=2, heads=3, n_q=40, n_k=50, d=4, spread=0.0)
    q, k, _ = case.draw()
    v = torch.eye(case.n_k).expand(2, 3, -1, -1)

    def weights(backend: str) -> Tensor:
        generator = torch.Generator().manual_seed(11)
        return tilewise.attention(q, k, v, dropout_p=0.25, generator=generator, backend=backend)

    dropped = weights(backend) == 0
    assert torch.equal(dropped, weights("reference") == 0)
    share, deviation = dropped.double().mean(), (0.25 * 0.75 / dropped.numel()) ** 0.5
    assert abs(share - 0.25) < 4 * deviation
    expected = torch.where(dropped, 0.0, 1 / case.n_k / 0.75).double()
    assert compare(weights(backend), expected, expected.float()).ok


@every_backend
def test_checkpointing_recomputes_the_same_dropout(backend: str) -> None:
    def attend(*inputs: Tensor) -> Tensor:
        return tilewise.attention(*inputs, dropout_p=0.4, backend=backend)

    gradients = []
    for run in (attend, lambda *inputs: checkpoint(attend, *inputs, use_reentrant=False)):
        torch.manual_seed(5)
        inputs = leaves()
        gradients.append(torch.autograd.grad(run(*inputs).sum(), inputs))
    assert all(torch.equal(a, b) for a, b in zip(*gradients, strict=True))


@every_backend
def test_autocast_does_not_take_the_sums_out_of_float32(backend: str) -> None:
    """Both passes under autocast give, to the bit, what they give without."""
    problem = Problem.of(CASE)
    expected = by_attention(backend, problem)
    with torch.autocast("cpu", torch.bfloat16):
        answer = by_attention(backend, problem)
    assert all(torch.equal(a, b) for a, b in zip(answer[:5], expected[:5], strict=True))


def test_autocast_works_on_what_a_linear_layer_gives() -> None:
    x, layer = torch.randn(2, 5, 8, generator=torch.Generator().manual_seed(0)), torch.nn.Linear(8, 24)
    with torch.autocast("cpu", torch.bfloat16):
        q, k, v = layer(x).unflatten(-1, (2, 12)).transpose(1, 2).chunk(3, dim=-1)
        o = tilewise.attention(q, k, v)
    assert o.dtype is torch.bfloat16
    o.float().sum().backward()
    assert layer.weight.grad is not None
    assert layer.weight.grad.dtype is torch.float32


@every_backend
def test_a_second_derivative_raises_and_is_never_zero_in_silence(backend: str) -> None:
    """The gradient of o.sum() does not depend on do, but on q, k and v it does."""
    q, k, v = leaves()
    o = tilewise.attention(q, k, v, backend=backend)
    (dq,) = torch.autograd.grad(o.sum(), q, create_graph=True)
    assert dq.requires_grad
    with pytest.raises(RuntimeError, match=r"can be differentiated once.*SDPBackend\.MATH"):
        (o.sum() + dq.square().sum()).backward()


def test_the_way_out_that_the_errors_name_is_one() -> None:
    attend = torch.nn.functional.scaled_dot_product_attention
    q, k, v = AttentionCase("second").draw()
    with torch.nn.attention.sdpa_kernel(torch.nn.attention.SDPBackend.MATH):
        gradient = torch.func.grad(lambda q: attend(q, k, v).sum())
        assert torch.func.grad(lambda q: gradient(q).square().sum())(q).any()
        assert torch.func.jvp(lambda q: attend(q, k, v), (q,), (q,))[1].any()
        assert torch.vmap(attend)(q[None], k[None], v[None]).any()


@pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated")
@pytest.mark.parametrize("dynamic", [True, False])
@pytest.mark.parametrize("backend", ["reference", "torch_fa1", "torch_fa2"])
def test_compiled_code_gives_what_it_gives_uncompiled(backend: str, dynamic: bool) -> None:
    """Sizes that are symbols reach no loop over tiles: torch.compile failed at the length of a range."""

    def attend(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        return tilewise.attention(2 * q, k, v, mask=mask, causal=True, backend=backend) + 1

    mask = torch.arange(7) != 3  # a tile of a bool mask is looked at, and the graph breaks there
    torch.compiler.reset()
    compiled = torch.compile(attend, backend="eager", dynamic=dynamic)
    for n_q in (5, 4, 3):
        answers = []
        for function in (attend, compiled):
            q, k, v = leaves()
            o = function(q[:, :, :n_q], k, v)
            answers.append((o, *torch.autograd.grad(o.square().sum(), (q, k, v))))
        assert all(torch.equal(a, b) for a, b in zip(*answers, strict=True))


def over_q(transform: Callable[..., Any]) -> Any:
    q, k, v = CASE.draw()
    return transform(lambda q: tilewise.attention(q, k, v))(q)


@pytest.mark.parametrize(
    "transformed",
    [
        lambda: over_q(lambda f: torch.func.grad(lambda q: f(q).sum())),
        lambda: over_q(lambda f: torch.func.jacrev(f)),
        lambda: over_q(lambda f: torch.vmap(lambda head: f(head[:, None].expand(-1, 4, -1, -1)), in_dims=1)),
        lambda: over_q(lambda f: lambda q: torch.func.jvp(f, (q,), (q,))),
        lambda: over_q(lambda f: torch.func.functionalize(f)),
    ],
    ids=["grad", "jacrev", "vmap", "jvp", "functionalize"],
)
def test_function_transforms_raise_and_give_no_wrong_number(transformed: Callable[[], Any]) -> None:
    with pytest.raises(RuntimeError, match=r"cannot be transformed by torch.func or vmap; take .*SDPBackend\.MATH"):
        transformed()


def test_forward_mode_raises_and_gives_no_wrong_number() -> None:
    q, k, v = CASE.draw()
    with torch.autograd.forward_ad.dual_level(), pytest.raises(NotImplementedError, match=r"no forward mode AD; take"):
        tilewise.attention(torch.autograd.forward_ad.make_dual(q, torch.ones_like(q)), k, v)


@every_backend
def test_numbers_that_are_none_stay_in_their_own_rows(backend: str) -> None:
    """NaN in one query reaches that query's output, and no other."""
    q, k, v = CASE.draw()
    expected = tilewise.attention(q, k, v, backend=backend)
    q[0, 1, 3] = torch.nan
    o, lse = tilewise.attention(q, k, v, backend=backend, return_lse=True)
    reached = torch.zeros_like(lse, dtype=torch.bool)
    reached[0, 1, 3] = True
    assert torch.equal(o.isnan().all(dim=-1), reached)
    assert torch.equal(lse.isnan(), reached)
    assert torch.equal(o[~reached], expected[~reached])


def test_explain_backend_says_which_and_why_not_the_others() -> None:
    q, k, v = CASE.draw()
    choice = tilewise.explain_backend(q, k, v, causal=True)
    assert choice.name in BACKENDS
    assert str(choice).splitlines()[0] == choice.name
    assert torch.equal(tilewise.attention(q, k, v), tilewise.attention(q, k, v, backend=choice.name))
    with pytest.raises(ValueError, match="same length"):
        tilewise.explain_backend(q, k[:, :, :2], v)
