"""Bad input gets an error that names the argument, says what was expected and what came, and what to do."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

import pytest
import torch
from torch._subclasses import FakeTensorMode

import tilewise
from tests.tilewise.answers import Problem, by_attention, wrong_parts
from tilewise.nn import FlashAttention, MultiheadAttention
from tilewise.spec import make_spec
from tilewise.testing import AttentionCase

B, H, H_KV, N_Q, N_K, D, D_V = 2, 4, 2, 5, 7, 8, 6
GOOD = AttentionCase("good", batch=B, heads=H, h_kv=H_KV, n_q=N_Q, n_k=N_K, d=D, d_v=D_V)
Q, K, V = GOOD.draw()
ZEROS = torch.zeros(N_Q, N_K)
with FakeTensorMode():
    ELSEWHERE = {shape: torch.zeros(shape, device="cuda") for shape in ((N_Q, N_K), (H,))}  # the GPU need not be there


class Ours(float):
    """A number of another class than float."""


BAD: list[tuple[str, dict[str, Any], type[Exception], list[str]]] = [
    ("an array", {"q": Q.numpy()}, TypeError, ["q must be a torch.Tensor", "got ndarray", "give torch.as_tensor(q)"]),
    ("a list", {"k": [1.0]}, TypeError, ["k must be a torch.Tensor", "got list", "give torch.as_tensor(k)"]),
    ("nothing", {"v": None}, TypeError, ["v must be a torch.Tensor", "got NoneType"]),
    ("no batch", {"q": Q[0]}, ValueError, ["q must have the shape (B, H, N, D)", "got (4, 5, 8)", "q[None]"]),
    ("one dimension more", {"k": K[None]}, ValueError, ["k must have the shape (B, H, N, D)", "got (1, 2, 2, 7, 8)"]),
    ("integers", {"q": Q.int()}, TypeError, ["q, k and v", "float64, float32, float16, bfloat16", ".float()"]),
    ("two dtypes", {"k": K.half()}, TypeError, ["one dtype", "torch.float32, torch.float16", ".to(q.dtype)"]),
    ("complex values", {"v": V * 1j}, TypeError, ["q, k and v", "one dtype", "torch.complex64", "view_as_real(x)"]),
    ("complex numbers", {"q": Q * 1j, "k": K * 1j, "v": V * 1j}, TypeError, ["one dtype", "view_as_real(x).flatten(-"]),
    ("no numbers", {"q": Q.to("meta")}, ValueError, ["q must hold numbers", "meta", "give one on a CPU or a GPU"]),
    ("sparse", {"v": V.to_sparse()}, TypeError, ["v must be a dense tensor", "got torch.sparse_coo", "v.to_dense()"]),
    (
        "another batch",
        {"k": K[:1]},
        ValueError,
        ["q, k and v", "same batch size", "2, 1 and 2", "x.expand(B, -1, -1, -1)"],
    ),
    (
        "heads of k and v",
        {"v": V[:, :1]},
        ValueError,
        ["k and v", "same number of heads", "2 and 1", "split only one?"],
    ),
    ("heads that do not divide", {"q": Q[:, :3]}, ValueError, ["q has 3 heads and k 2", "multiple", "before tokens?"]),
    ("fewer heads of q", {"q": Q[:, :1]}, ValueError, ["q has 1 heads and k 2", "multiple"]),
    ("no head of q", {"q": Q[:, :0]}, ValueError, ["q has 0 heads and k 2", "multiple"]),
    ("no head of k", {"k": K[:, :0], "v": V[:, :0]}, ValueError, ["q has 4 heads and k 0", "multiple"]),
    ("lengths", {"k": K[:, :, :3]}, ValueError, ["k and v", "same length", "3 and 7", "did you slice only one?"]),
    ("widths", {"q": Q[..., :3]}, ValueError, ["q and k", "same head dimension D", "3 and 8", "project both"]),
    ("k transposed", {"k": K.mT}, ValueError, ["q and k", "same head dimension D", "8 and 7", "give k.mT"]),
    (
        "no width",
        {"q": Q[..., :0], "k": K[..., :0]},
        ValueError,
        ["head dimension D", "at least 1", "(2, 4, 5, 0)", "slice"],
    ),
    ("causal as a number", {"causal": 1}, TypeError, ["causal must be True or False", "got 1"]),
    ("causal as text", {"causal": "yes"}, TypeError, ["causal must be True or False", "got 'yes'"]),
    (
        "a mask that is an array",
        {"mask": ZEROS.numpy()},
        TypeError,
        ["mask must be a torch.Tensor", "ndarray", "torch.as_tensor(mask)"],
    ),
    ("a mask of integers", {"mask": ZEROS.int()}, TypeError, ["mask must be bool", "torch.int32", "mask.bool()?"]),
    ("a sparse mask", {"mask": ZEROS.to_sparse()}, TypeError, ["mask must be a dense tensor", "mask.to_dense()"]),
    (
        "a mask too short",
        {"mask": ZEROS[:, :6]},
        ValueError,
        ["mask must broadcast", "(2, 4, 5, 7)", "got (5, 6)", "1 or"],
    ),
    ("a mask of key heads", {"mask": ZEROS.expand(2, 2, 5, 7)}, ValueError, ["(2, 2, 5, 7)", "repeat_interleave"]),
    ("a mask too deep", {"mask": ZEROS[None, None, None]}, ValueError, ["(1, 1, 1, 5, 7)", "at most four dimensions"]),
    ("a mask of a batch", {"mask": ZEROS.expand(2, 5, 7)}, ValueError, ["got (2, 5, 7)", "mask[:, None]"]),
    ("torch's mask of heads", {"mask": ZEROS.expand(8, 5, 7)}, ValueError, ["got (8, 5, 7)", "unflatten(0, (B, H))"]),
    ("keys before queries", {"mask": ZEROS.mT}, ValueError, ["got (7, 5)", "queries come before keys", "mask.mT"]),
    (
        "a mask for another batch, as many queries as keys",
        {"q": K.repeat(1, 2, 1, 1), "mask": torch.zeros(3, 1, N_K, N_K)},
        ValueError,
        ["(2, 4, 7, 7), got (3, 1, 7, 7); give at most four dimensions, each of them"],
    ),
    ("a mask too deep, keys first", {"mask": ZEROS.mT[None, None, None]}, ValueError, ["; give at most four dim"]),
    ("a padding mask", {"mask": torch.ones(2, 7) > 0}, ValueError, ["got (2, 7)", "mask[:, None, None, :]"]),
    (
        "a mask without numbers",
        {"mask": ZEROS.to("meta")},
        ValueError,
        ["mask must lie on the device of q, cpu, got meta; it holds no numbers there, make it on that of q"],
    ),
    (
        "a mask elsewhere",
        {"mask": ELSEWHERE[N_Q, N_K]},
        ValueError,
        ["device of q, cpu, got cuda:0; give mask.to(q.device)"],
    ),
    ("scale as text", {"scale": "1"}, TypeError, ["scale must be a finite number or None", "got str"]),
    ("scale as a flag", {"scale": True}, TypeError, ["scale must be a finite number or None", "got bool"]),
    ("scale NaN", {"scale": math.nan}, ValueError, ["scale must be a finite number or None", "got nan"]),
    ("a learned scale", {"scale": torch.ones(())}, TypeError, ["scale must be", "got Tensor", "give scale.item()"]),
    ("softcap 0", {"softcap": 0}, ValueError, ["softcap must be a finite number above 0, or None", "got 0"]),
    ("softcap infinite", {"softcap": math.inf}, ValueError, ["softcap must be a finite number", "got inf"]),
    ("softcap a tensor", {"softcap": torch.ones(())}, TypeError, ["softcap must be", "give softcap.item()"]),
    (
        "dropout of all",
        {"dropout_p": 1.0},
        ValueError,
        ["dropout_p must be a finite number in [0, 1)", "got 1.0; it is a share", "0.1"],
    ),
    ("dropout below 0", {"dropout_p": -0.1}, ValueError, ["dropout_p must be a finite number in [0, 1)", "got -0.1"]),
    (
        "dropout None",
        {"dropout_p": None},
        TypeError,
        ["dropout_p must be a finite number in [0, 1)", "NoneType; it is a share"],
    ),
    ("a seed", {"generator": 3}, TypeError, ["generator must be a torch.Generator or None", "got int", "manual_seed"]),
    ("half a key", {"window": 2.5}, ValueError, ["window must be None, a whole number", "(left, right)", "got 2.5"]),
    ("a window of -1", {"window": (-1, 0)}, ValueError, ["window must be", "no bound is None, not -1", "got (-1, 0)"]),
    ("three sides", {"window": (1, 2, 3)}, ValueError, ["window must be", "(left, right)", "got (1, 2, 3)"]),
    ("a window flag", {"window": True}, ValueError, ["window must be", "whole number", "got True"]),
    (
        "slopes in a list",
        {"alibi_slopes": [1.0]},
        TypeError,
        ["alibi_slopes must be a torch.Tensor", "as_tensor(alibi"],
    ),
    (
        "slopes of key heads",
        {"alibi_slopes": torch.ones(2)},
        ValueError,
        ["(H,) = (4,) or (B, H) = (2, 4)", "(2,)", "alibi_slopes.repeat_interleave(H // H_kv, dim=-1)"],
    ),
    ("slopes to broadcast", {"alibi_slopes": torch.ones(1, 4, 1, 1)}, ValueError, ["give alibi_slopes[..., 0, 0]"]),
    ("slopes in a row", {"alibi_slopes": torch.ones(8)}, ValueError, ["alibi_slopes.unflatten(0, (B, H))"]),
    ("one slope", {"alibi_slopes": torch.ones(())}, ValueError, ["got (); to give all", "alibi_slopes.expand(H)"]),
    ("slopes too many", {"alibi_slopes": torch.ones(5)}, ValueError, ["got (5,); give one slope for each head of q"]),
    ("whole slopes", {"alibi_slopes": torch.ones(4).int()}, TypeError, ["alibi_slopes must be floating", ".float()?"]),
    ("complex slopes", {"alibi_slopes": torch.ones(4) * 1j}, TypeError, ["complex64; give alibi_slopes.real"]),
    ("slopes without numbers", {"alibi_slopes": torch.ones(4, device="meta")}, ValueError, ["got meta; it holds no n"]),
    ("slopes elsewhere", {"alibi_slopes": ELSEWHERE[(H,)]}, ValueError, ["cuda:0; give alibi_slopes.to(q.device)"]),
    (
        "learned slopes",
        {"alibi_slopes": torch.ones(4, requires_grad=True)},
        ValueError,
        ["alibi_slopes requires grad", "alibi_slopes.detach()", "an additive mask"],
    ),
    ("an unknown backend", {"backend": "flash"}, ValueError, ["backend must be 'auto' or one of reference", "'flash'"]),
    ("no backend", {"backend": None}, ValueError, ["backend must be 'auto' or one of", "got None"]),
    ("two backends", {"backend": ["reference"]}, ValueError, ["backend must be 'auto' or one of", "got ['reference']"]),
    ("torch's keyword", {"is_causal": True}, TypeError, ["attention", "is_causal"]),
]


@pytest.mark.parametrize(("arguments", "error", "words"), [bad[1:] for bad in BAD], ids=[bad[0] for bad in BAD])
def test_bad_input_gets_an_error_that_says_what_to_do(
    arguments: dict[str, Any], error: type[Exception], words: list[str]
) -> None:
    with pytest.raises(error) as caught:
        tilewise.attention(**({"q": Q, "k": K, "v": V} | arguments))
    assert [word for word in words if word not in str(caught.value)] == [], str(caught.value)


def test_nested_tensors_are_refused_with_a_way_out() -> None:
    x = torch.nested.nested_tensor([torch.ones(2, 3, 4), torch.ones(2, 5, 4)], layout=torch.jagged)
    with pytest.raises(TypeError, match="q must be a dense tensor, got a nested tensor; pad it, and hide"):
        tilewise.attention(x, x, x)
    with pytest.raises(TypeError, match="mask must be a dense tensor, got a nested tensor; pad it with False"):
        tilewise.attention(Q, K, V, mask=x)


def test_explain_backend_names_itself_and_what_it_takes() -> None:
    with pytest.raises(TypeError, match=r"explain_backend says what backend='auto' takes.*causal, mask.*got backend"):
        tilewise.explain_backend(Q, K, V, backend="reference")  # type: ignore[call-arg]


def test_options_by_position_are_refused() -> None:
    """The fourth argument would be a mask to some and a flag to others."""
    with pytest.raises(TypeError, match="positional"):
        tilewise.attention(Q, K, V, True)  # type: ignore[misc]


@pytest.mark.parametrize(
    ("loose", "strict"),
    [
        ({"scale": Ours(0.25)}, {"scale": 0.25}),
        ({"scale": Fraction(1, 4)}, {"scale": 0.25}),
        ({"window": (None, None)}, {}),
        ({"window": 3}, {"window": (3, 3)}),
        ({"causal": True, "window": (2, 5)}, {"causal": True, "window": (2, None)}),
        ({"mask": torch.tensor(True)}, {}),
        ({"mask": torch.zeros(1, dtype=torch.float64)}, {}),
        ({"alibi_slopes": torch.zeros(2, 4, dtype=torch.bfloat16)}, {}),
        ({"dropout_p": 0}, {}),
    ],
    ids=str,
)
def test_what_means_the_same_gives_the_same(loose: dict[str, Any], strict: dict[str, Any]) -> None:
    drawn = Problem.of(GOOD)
    exact = Problem(drawn.q, drawn.k, drawn.v, drawn.do, drawn.dlse, strict)
    given = Problem(drawn.q, drawn.k, drawn.v, drawn.do, drawn.dlse, loose)
    answer = by_attention("auto", given)._replace(dmask=None)
    assert wrong_parts(exact, answer) == {}


@pytest.mark.parametrize("backend", [name for name, status in tilewise.backends().items() if status.available])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.float16, torch.bfloat16])
def test_an_additive_mask_may_have_another_dtype_than_q(backend: str, dtype: torch.dtype) -> None:
    drawn = Problem.of(GOOD)
    bias = torch.randn(H, N_Q, N_K, generator=torch.Generator().manual_seed(5)).bfloat16()
    problem = Problem(drawn.q, drawn.k, drawn.v, drawn.do, drawn.dlse, {"mask": bias.float()})
    mask = bias.to(dtype).requires_grad_()
    o, lse = tilewise.attention(Q, K, V, mask=mask, backend=backend, return_lse=True)
    assert (o.dtype, lse.dtype) == (torch.float32, torch.float32)
    answer = by_attention(backend, problem)._replace(o=o.detach(), lse=lse.detach())
    assert wrong_parts(problem, answer) == {}
    (dmask,) = torch.autograd.grad((o, lse), mask, (drawn.do, drawn.dlse))
    assert dmask.dtype is dtype
    assert torch.equal(dmask, answer.dmask.to(dtype))


def test_heads_none_at_all_give_none() -> None:
    o = tilewise.attention(Q[:, :0], K[:, :0], V[:, :0])
    assert o.shape == (B, 0, N_Q, D_V)


def test_values_without_width_give_an_output_without_width_and_the_lse() -> None:
    o, lse = tilewise.attention(Q, K, V[..., :0], return_lse=True)
    assert o.shape == (B, H, N_Q, 0)
    assert torch.equal(lse, tilewise.attention(Q, K, V, return_lse=True)[1])


def test_the_seed_of_dropout_comes_from_the_generator_or_from_the_default_one() -> None:
    def seed(generator: torch.Generator | None) -> int:
        return make_spec(Q, K, V, dropout_p=0.5, generator=generator).drawn(generator).dropout_seed

    mine = torch.Generator().manual_seed(7)
    torch.manual_seed(7)
    first, second = seed(mine), seed(mine)
    assert first != second
    assert [seed(None), seed(None)] == [first, second]


def test_the_default_generator_is_left_alone_where_nothing_is_dropped() -> None:
    before = torch.random.get_rng_state()
    tilewise.attention(Q, K, V, causal=True)
    tilewise.attention(Q, K, V, dropout_p=0.5, generator=torch.Generator())
    assert torch.equal(torch.random.get_rng_state(), before)


@pytest.mark.parametrize("generator", [None, torch.Generator()], ids=["default", "given"])
def test_what_does_not_run_draws_nothing(generator: torch.Generator | None) -> None:
    """A question, and calls that are refused: the next call gets the numbers that it would have had."""
    before = (generator or torch.default_generator).get_state()
    options: dict[str, Any] = {"dropout_p": 0.5, "generator": generator}
    tilewise.explain_backend(Q, K, V, **options)
    for refused in ({"backend": "cpp"}, {"alibi_slopes": torch.ones(2)}):
        with pytest.raises((tilewise.BackendError, ValueError)):
            tilewise.attention(Q, K, V, **options, **refused)
    assert torch.equal((generator or torch.default_generator).get_state(), before)


@pytest.mark.parametrize("module", [MultiheadAttention(8, 2, dropout=0.5), FlashAttention(8, 2, dropout=0.5)])
def test_a_module_that_is_refused_draws_nothing(module: torch.nn.Module) -> None:
    module.backend = "cpp"
    before = torch.random.get_rng_state()
    with pytest.raises(tilewise.BackendError):
        module(*[torch.ones(2, 5, 8)] * (3 if isinstance(module, MultiheadAttention) else 1))
    assert torch.equal(torch.random.get_rng_state(), before)


def test_the_default_device_does_not_matter() -> None:
    slopes = torch.ones(H)
    with torch.device("meta"):
        o = tilewise.attention(Q, K, V, causal=True, window=2, alibi_slopes=slopes, dropout_p=0.3)
    assert o.device.type == "cpu"
