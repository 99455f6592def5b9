"""MultiheadAttention against torch's own, in float64 and float32; budgets come from `tilewise.testing`."""

import copy
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from tilewise import attention
from tilewise.nn import MultiheadAttention
from tilewise.spec import make_spec
from tilewise.testing import compare

E, HEADS, BATCH, N_Q, N_K = 24, 4, 3, 7, 11


def generated(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def padding() -> Tensor:
    """A bool key padding mask; the first sequence ends early, the last begins late."""
    mask = torch.zeros(BATCH, N_K, dtype=torch.bool)
    mask[0, -4:] = mask[-1, :3] = True
    return mask


def late() -> Tensor:
    """The same for N_Q keys, of which every sequence has the first."""
    return (torch.arange(N_Q) >= torch.tensor([[N_Q], [4], [1]])).clone()


def hidden(*shape: int) -> Tensor:
    """A bool attention mask under which every query still sees the first key."""
    mask = torch.rand(*shape, generator=generated(5)) > 0.6
    mask[..., 0] = False
    return mask


def added(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=generated(6))


def after(n: int) -> Tensor:
    return torch.ones(n, n, dtype=torch.bool).triu(1)


@dataclass
class Case:
    """n_k None: self-attention.   batched False: a single sequence."""

    name: str
    arguments: dict[str, Any] = field(default_factory=dict)
    call: dict[str, Any] = field(default_factory=dict)
    n_k: int | None = N_K
    batched: bool = True

    def __str__(self) -> str:
        return self.name

    def modules(self) -> tuple[nn.MultiheadAttention, MultiheadAttention]:
        """Make torch's and ours, with the same parameters, no one of them zero."""
        theirs = nn.MultiheadAttention(E, HEADS, **self.arguments)
        ours = MultiheadAttention(E, HEADS, **self.arguments)
        with torch.no_grad():
            for parameter in theirs.parameters():
                parameter.copy_(torch.randn(parameter.shape, generator=generated(parameter.numel())) / E**0.5)
        ours.load_state_dict(theirs.state_dict())
        return theirs, ours

    def inputs(self) -> list[Tensor]:
        widths = (E, self.arguments.get("kdim") or E, self.arguments.get("vdim") or E)
        lengths = (N_Q, self.n_k, self.n_k)
        drawn = [torch.randn(n or N_Q, BATCH, w, generator=generated(w)) for n, w in zip(lengths, widths, strict=True)]
        if not self.batched:
            drawn = [x[:, 0] for x in drawn]
        elif self.arguments.get("batch_first"):
            drawn = [x.transpose(0, 1).contiguous() for x in drawn]
        return drawn

    def outcome(self, module: nn.MultiheadAttention, dtype: torch.dtype) -> dict[str, Tensor]:
        """Run both passes in a dtype. -> output, weights and all gradients, by name"""
        module = copy.deepcopy(module).to(dtype)
        leaves = [x.to(dtype).requires_grad_() for x in self.inputs()]
        call = {name: cast_floating(x, dtype) for name, x in self.call.items()}
        output, weights = module(*((leaves[0],) * 3 if self.n_k is None else leaves), **call)
        loss = (output * torch.randn(output.shape, generator=generated(1)).to(dtype)).sum()
        if weights is not None:
            loss = loss + (weights * torch.randn(weights.shape, generator=generated(2)).to(dtype)).sum()
        loss.backward()
        found = {"output": output.detach(), "weights": None if weights is None else weights.detach()}
        found |= {f"d {name}": p.grad for name, p in module.named_parameters()}
        found |= {f"d input {i}": x.grad for i, x in enumerate(leaves)}
        return {name: x for name, x in found.items() if x is not None}


def cast_floating(x: Any, dtype: torch.dtype) -> Any:
    return x.to(dtype) if isinstance(x, Tensor) and x.is_floating_point() else x


def assert_same(actual: dict[str, Tensor], expected: dict[str, Tensor], plain: dict[str, Tensor]) -> None:
    assert actual.keys() == expected.keys()
    for name, answer in actual.items():
        result = compare(answer, expected[name], plain[name])
        assert result.ok, (name, result)


NO_WEIGHTS = {"need_weights": False}
CASES = [
    Case("self-attention", n_k=None),
    Case("self-attention, batch first", {"batch_first": True}, n_k=None),
    Case("cross-attention", {"batch_first": True}),
    Case("cross-attention without weights", {"batch_first": True}, NO_WEIGHTS),
    Case("weights per head", {"batch_first": True}, {"average_attn_weights": False}),
    Case("one sequence", batched=False),
    Case("one sequence, weights per head", {"batch_first": True}, {"average_attn_weights": False}, 5, False),
    Case("one sequence, masked", {}, {"attn_mask": hidden(4, N_Q, N_K), "key_padding_mask": padding()[0]}, 11, False),
    Case("kdim and vdim", {"kdim": 10, "vdim": 13}),
    Case("no bias", {"bias": False}),
    Case("key padding", {"batch_first": True}, {"key_padding_mask": padding()}),
    Case("floating key padding", {}, {"key_padding_mask": added(BATCH, N_K)}),
    Case("mask of queries and keys", {}, {"attn_mask": hidden(N_Q, N_K)} | NO_WEIGHTS),
    Case("mask per head", {}, {"attn_mask": hidden(BATCH * HEADS, N_Q, N_K)}),
    Case("added mask", {}, {"attn_mask": added(N_Q, N_K)}),
    Case("added mask per head", {"batch_first": True}, {"attn_mask": added(BATCH * HEADS, N_Q, N_K)} | NO_WEIGHTS),
    Case("both masks", {}, {"attn_mask": hidden(N_Q, N_K), "key_padding_mask": padding() & (torch.arange(N_K) > 0)}),
    Case("both masks added", {}, {"attn_mask": added(N_Q, N_K), "key_padding_mask": added(BATCH, N_K)}),
    Case("causal, with the hint", {}, {"attn_mask": after(N_Q), "is_causal": True} | NO_WEIGHTS, None),
    Case("causal and padding", {}, {"attn_mask": after(N_Q), "is_causal": True, "key_padding_mask": late()}, None),
    Case("learnt key", {"add_bias_kv": True}, {"key_padding_mask": padding()}),
    Case("learnt key and zeros", {"add_bias_kv": True, "add_zero_attn": True}, {"attn_mask": added(N_Q, N_K)}),
    # Only with weights: without them torch takes the hint to mean that no query sees the zeros.
    Case("zeros, causal", {"add_zero_attn": True}, {"attn_mask": after(N_Q), "is_causal": True}, None),
]  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=str)
@pytest.mark.parametrize("backend", ["auto", "reference"])
def test_outputs_weights_and_gradients_are_torchs(case: Case, backend: str) -> None:
    theirs, ours = case.modules()
    ours.backend = backend
    plain = case.outcome(theirs, torch.float32)
    assert_same(case.outcome(ours, torch.float32), case.outcome(theirs, torch.float64), plain)


@pytest.mark.parametrize("arguments", [{"add_zero_attn": True}, {"add_bias_kv": True}], ids=str)
def test_added_keys_are_seen_by_all_where_torch_changes_its_mind(arguments: dict[str, Any]) -> None:
    """Torch's answer with weights is ours; without them it takes the hint to hide the added key from all."""
    hint = {"attn_mask": after(N_Q), "is_causal": True}
    theirs, ours = Case("", arguments).modules()
    with_weights, without = Case("", arguments, hint, None), Case("", arguments, hint | NO_WEIGHTS, None)
    expected, plain = (with_weights.outcome(theirs, dtype)["output"] for dtype in (torch.float64, torch.float32))
    for case in (with_weights, without):
        assert compare(case.outcome(ours, torch.float32)["output"], expected, plain).ok
    assert not compare(without.outcome(theirs, torch.float32)["output"], expected, plain).ok


@pytest.mark.filterwarnings("ignore:Support for mismatched")
def test_a_bool_and_a_floating_mask_go_together() -> None:
    case = Case("mixed", {}, {"attn_mask": added(N_Q, N_K), "key_padding_mask": padding()})
    theirs, ours = case.modules()
    expected, plain = (case.outcome(theirs, dtype) for dtype in (torch.float64, torch.float32))
    assert_same(case.outcome(ours, torch.float32), expected, plain)


@pytest.mark.parametrize("arguments", [{}, {"bias": False}, {"kdim": 8}, {"add_bias_kv": True}], ids=str)
def test_parameters_start_as_torchs_do_and_load_both_ways(arguments: dict[str, Any]) -> None:
    torch.manual_seed(3)
    theirs = nn.MultiheadAttention(E, HEADS, **arguments)
    torch.manual_seed(3)
    ours = MultiheadAttention(E, HEADS, **arguments)
    assert list(theirs.state_dict()) == list(ours.state_dict())
    for a, b in zip(theirs.state_dict().values(), ours.state_dict().values(), strict=True):
        assert torch.equal(a, b)
    ours._reset_parameters()
    theirs.load_state_dict(ours.state_dict())
    again = MultiheadAttention(E, HEADS, **arguments)
    again.load_state_dict(theirs.state_dict())


def test_the_arguments_are_torchs_by_position_too() -> None:
    ours = MultiheadAttention(E, HEADS, 0.25, False, True, True, 8, 9, True, "cpu", torch.float64)
    assert (ours.dropout, ours.kdim, ours.vdim, ours.batch_first, ours.add_zero_attn) == (0.25, 8, 9, True, True)
    assert ours.in_proj_bias is None
    assert ours.bias_k is not None
    assert ours.k_proj_weight.dtype == torch.float64
    assert "backend='auto'" in repr(ours)


def test_weights_are_none_unless_needed_and_needed_unless_told() -> None:
    x = torch.randn(N_Q, BATCH, E)
    ours = MultiheadAttention(E, HEADS)
    assert ours(x, x, x, need_weights=False)[1] is None
    assert ours(x, x, x)[1].shape == (BATCH, N_Q, N_Q)


@pytest.mark.parametrize("need_weights", [True, False])
def test_causal_without_a_mask_is_the_causal_mask(need_weights: bool) -> None:
    _, ours = CASES[0].modules()
    x = torch.randn(N_Q, BATCH, E, generator=generated())
    hint, mask = ({"is_causal": True}, {"attn_mask": after(N_Q)})
    for got, wanted in zip(ours(x, x, x, **hint), ours(x, x, x, **mask), strict=True):
        assert got is wanted is None or compare(got.detach(), wanted.detach().double(), wanted.detach()).ok


@pytest.mark.parametrize("arguments", [{}, {"add_zero_attn": True, "add_bias_kv": True}], ids=str)
def test_causal_is_aligned_at_the_bottom_right_of_the_given_keys(arguments: dict[str, Any]) -> None:
    ours = MultiheadAttention(E, HEADS, **arguments)
    q, k = torch.randn(2, BATCH, E), torch.randn(4, BATCH, E)
    seen = ours(q, k, k, is_causal=True)[1] > 0
    extra = [True] * (2 * bool(arguments))
    assert seen[0].tolist() == [[True, True, True, False, *extra], [True, True, True, True, *extra]]


@pytest.mark.parametrize("mask", [hidden(N_Q, N_Q), added(N_Q, N_Q), after(N_Q).float()])
def test_a_hint_that_is_wrong_does_not_replace_the_mask(mask: Tensor) -> None:
    _, ours = CASES[0].modules()
    x = torch.randn(N_Q, BATCH, E, generator=generated())
    wanted = ours(x, x, x, attn_mask=mask)[0]
    assert torch.equal(ours(x, x, x, attn_mask=mask, is_causal=True)[0], wanted)


@pytest.mark.parametrize("mask", [after(N_Q), nn.Transformer.generate_square_subsequent_mask(N_Q)])
def test_a_hint_that_is_right_hands_the_backend_no_mask(mask: Tensor, monkeypatch: pytest.MonkeyPatch) -> None:
    specs = []
    monkeypatch.setattr("tilewise.nn.multihead.make_spec", recording(specs))
    ours = MultiheadAttention(E, HEADS)
    x = torch.randn(N_Q, BATCH, E)
    ours(x, x, x, attn_mask=mask, is_causal=True, need_weights=False)
    ours(x, x, x, attn_mask=mask, need_weights=False)
    assert [(spec.mask is None, spec.right) for spec in specs] == [(True, 0), (False, None)]


def recording(into: list[Any]) -> Callable[..., Any]:
    def recorded(*arguments: Any, **options: Any) -> Any:
        into.append(make_spec(*arguments, **options))
        return into[-1]

    return recorded


def test_a_sequence_of_padding_alone_gives_the_bias_and_finite_gradients() -> None:
    theirs, ours = Case("", {"batch_first": True}).modules()
    x = torch.randn(2, N_K, E, requires_grad=True)
    nothing = torch.tensor([[False], [True]]).expand(2, N_K)
    output, weights = ours(x, x, x, key_padding_mask=nothing)
    assert torch.equal(output[1], ours.out_proj.bias.expand(N_K, E))
    assert not weights[1].any()
    (output.sum() + weights.square().sum()).backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in [x, *ours.parameters()])
    assert theirs(x, x, x, key_padding_mask=nothing)[0][1].isnan().all()


def test_dropout_acts_in_training_alone_and_on_the_weights_that_come_back() -> None:
    torch.manual_seed(0)
    ours = MultiheadAttention(E, 1, dropout=0.5, bias=False).double()
    x = torch.randn(64, 1, E, dtype=torch.float64)
    output, weights = ours(x, x, x)
    values = x[:, 0] @ ours.in_proj_weight[2 * E :].T
    wanted = weights[0] @ values @ ours.out_proj.weight.T
    assert compare(output[:, 0].detach(), wanted.detach(), wanted.detach()).ok
    assert 0.4 < (weights == 0).double().mean() < 0.6
    ours.eval()
    assert torch.equal(ours(x, x, x)[0], ours(x, x, x)[0])
    assert (ours(x, x, x)[1] > 0).all()


@pytest.mark.parametrize("backend", ["reference", "torch_fa1", "torch_fa2"])
def test_autocast_leaves_the_sums_in_float32(backend: str) -> None:
    """torch_fa2 used to raise there, and the others to add up in bfloat16."""
    q, k, v = (torch.randn(1, 2, 40, 8, generator=generated(i), requires_grad=True) for i in range(3))
    answers = []
    for enabled in (False, True):
        with torch.autocast("cpu", torch.bfloat16, enabled=enabled):
            o = attention(q, k, v, backend=backend)
            answers.append([o, *torch.autograd.grad(o.sum(), (q, k, v))])
    for usual, cast in zip(*answers, strict=True):
        assert torch.equal(usual, cast)


@pytest.mark.parametrize("arguments", [{}, {"add_bias_kv": True}, {"add_bias_kv": True, "kdim": E}], ids=str)
def test_autocast_gives_torchs_dtype(arguments: dict[str, Any]) -> None:
    theirs, ours = Case("", arguments).modules()
    x = torch.randn(N_Q, BATCH, E, generator=generated())
    with torch.autocast("cpu", torch.bfloat16):
        (a, p), (b, w) = theirs(x, x, x), ours(x, x, x)
    assert a.dtype == b.dtype == w.dtype == torch.bfloat16
    wanted = ours(x, x, x)
    for got, right, plain in ((b, wanted[0], a), (w, wanted[1], p)):
        assert compare(got.detach(), right.detach().double(), plain.detach().bfloat16()).ok


@pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated")
@pytest.mark.parametrize("call", [{}, NO_WEIGHTS, {"attn_mask": hidden(N_Q, N_Q)}], ids=["weights", "none", "masked"])
def test_compiled_with_sizes_that_are_symbols_it_gives_the_same(call: dict[str, Any]) -> None:
    _, ours = CASES[0].modules()
    torch.compiler.reset()
    compiled = torch.compile(ours, backend="eager", dynamic=True)
    x = torch.randn(N_Q, BATCH, E, generator=generated())
    for got, wanted in zip(compiled(x, x, x, **call), ours(x, x, x, **call), strict=True):
        assert got is wanted is None or torch.equal(got, wanted)


def test_under_autocast_the_weights_of_a_query_still_sum_to_one() -> None:
    theirs, ours = CASES[0].modules()
    x = 6 * torch.randn(N_Q, BATCH, E, generator=generated())  # large scores, which bfloat16 would round by tenths
    with torch.autocast("cpu", torch.bfloat16), torch.no_grad():
        sums, plain = (module(x, x, x)[1].float().sum(dim=-1) for module in (ours, theirs))
    assert compare(sums.bfloat16(), torch.ones_like(sums).double(), plain.bfloat16()).ok


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda m, x: m(x[0, 0], x, x), ValueError, r"query must be \(N, B, 24\) or \(N, 24\).*got \(24,\)"),
        (lambda m, x: m(x[..., 1:], x, x), ValueError, r"query must be .*got \(7, 3, 23\)"),
        (lambda m, x: m(x, x[0], x), ValueError, r"key must be .*got \(3, 24\) beside a query of shape \(7, 3, 24\)"),
        (lambda m, x: m(x, x[1:], x), ValueError, r"one length.*\(6, 3, 24\).*batch_first=False; did you slice or pad"),
        (lambda m, x: m(x[0], x[0], x[0, 1:]), ValueError, "batch_first=False; did you slice or pad only one of key"),
        (lambda m, x: m(x, x[:, 1:], x[:, 1:]), ValueError, r"one batch size.*batch_first=False; should it be True\?"),
        (lambda m, x: m(x, x[1:, 1:], x[1:, 1:]), ValueError, "batch_first=False; did you slice or repeat only some"),
        (lambda m, x: m(x, x, x, torch.zeros(3, 6)), ValueError, r"key_padding_mask must have the shape \(3, 7\), got"),
        (
            lambda m, x: m(x, x, x, attn_mask=torch.zeros(3, 7, 7)),
            ValueError,
            r"attn_mask must have the shape \(7, 7\) or \(12, 7, 7\), got \(3, 7, 7\)",
        ),
        (lambda m, x: m(x, x, x, attn_mask=torch.zeros(7, 7).int()), TypeError, r"attn_mask must be bool.*mask.bool"),
        (
            lambda m, x: m(*[torch.nested.nested_tensor([x[0], x[1]])] * 3),
            TypeError,
            "query must be a dense tensor, got a nested.*pad it.*use_nested_tensor = False",
        ),
        (lambda m, x: m([x], x, x), TypeError, r"query must be a torch.Tensor, got list; give torch.as"),
        (lambda m, x: m(x, None, x), TypeError, "key must be a torch.Tensor, got NoneType"),
        (lambda m, x: m(x, x, x, [True]), TypeError, "key_padding_mask must be a torch.Tensor, got list"),
        (lambda m, x: m(x, x, x, attn_mask=torch.eye(7).to_sparse()), TypeError, "attn_mask must be a dense.*to_dense"),
        (lambda m, x: MultiheadAttention(E, 4, dropout=2.0), ValueError, r"dropout must be .* in \[0, 1\), got 2.0"),
        (lambda m, x: MultiheadAttention(24.0, 4), TypeError, "embed_dim must be a whole number, got 24.0; divide"),
        (lambda m, x: MultiheadAttention(E, None), TypeError, "num_heads must be a whole number, got None"),
        (lambda m, x: MultiheadAttention(E, 4, kdim=8.0), TypeError, "kdim must be a whole number or None, got 8.0"),
        (lambda m, x: MultiheadAttention(E, 5), ValueError, "multiple of num_heads, got 24 and 5"),
        (lambda m, x: MultiheadAttention(E, 0), ValueError, "multiple of num_heads, got 24 and 0"),
        (lambda m, x: MultiheadAttention(E, 4, backend="fast"), ValueError, "backend must be 'auto' or one of"),
    ],
)  # fmt: skip
@pytest.mark.filterwarnings("ignore:The PyTorch API of nested tensors")
def test_errors_say_what_was_expected_and_what_came(
    call: Callable[..., object], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        call(MultiheadAttention(E, HEADS), torch.randn(N_Q, BATCH, E))
