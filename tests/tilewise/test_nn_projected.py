"""StandardAttention and FlashAttention: one module in two ways, with a context and a mask."""

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from tilewise import BackendError, backends
from tilewise.nn import FlashAttention, StandardAttention
from tilewise.testing import compare

DIM, BATCH, N, M = 20, 3, 13, 18


def drawn(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(sum(shape)))


def pair(**options: Any) -> tuple[StandardAttention, FlashAttention]:
    standard = StandardAttention(DIM, heads=4, dim_head=6, **options)
    flash = FlashAttention(DIM, heads=4, dim_head=6, **options)
    flash.load_state_dict(standard.state_dict())
    return standard, flash


def outcome(module: StandardAttention, dtype: torch.dtype, *inputs: Tensor | None, **options: Any) -> list[Tensor]:
    """Give the output and the gradients of the parameters."""
    module = module.to(dtype)
    module.zero_grad()
    cast = [x.to(dtype) if x is not None and x.is_floating_point() else x for x in inputs]
    output = module(*cast, **options)
    (output * drawn(*output.shape).to(dtype)).sum().backward()
    return [output.detach(), *(p.grad.clone() for p in module.parameters())]


def assert_same(flash: StandardAttention, standard: StandardAttention, *inputs: Tensor | None, **options: Any) -> None:
    actual = outcome(flash, torch.float32, *inputs, **options)
    plain = outcome(standard, torch.float32, *inputs)
    for answer, expected, ordinary in zip(actual, outcome(standard, torch.float64, *inputs), plain, strict=True):
        result = compare(answer, expected, ordinary)
        assert result.ok, result


MASKS = {
    "none": None,
    "keys": torch.arange(M) < torch.tensor([[M], [4], [0]]),
    "keys, on the left": torch.arange(M) >= torch.tensor([[0], [4], [15]]),
    "queries and keys": drawn(1, 1, N, M) > 0,
    "heads": drawn(BATCH, 4, N, M) > 0,
    "added": drawn(1, 4, N, M),
}


@pytest.mark.parametrize("mask", MASKS.values(), ids=MASKS)
@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("blocks", [{}, {"block_q": 5, "block_k": 7}], ids=str)
def test_flash_is_standard_with_the_same_parameters(mask: Tensor | None, causal: bool, blocks: dict[str, int]) -> None:
    standard, flash = pair(causal=causal, context_dim=7, bias=True)
    assert_same(flash, standard, drawn(BATCH, N, DIM), drawn(BATCH, M, 7), mask, **blocks)


@pytest.mark.parametrize("backend", ["torch_fa1", "torch_fa2"])
def test_block_sizes_of_the_module_hold_unless_a_call_has_its_own(
    backend: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes = []
    load = backends.load
    monkeypatch.setattr(backends, "load", lambda name, **given: (sizes.append(given), load(name, **given))[1])
    flash = FlashAttention(DIM, heads=4, dim_head=6, block_q=4, block_k=6, backend=backend)
    standard = StandardAttention(DIM, heads=4, dim_head=6)
    standard.load_state_dict(flash.state_dict())
    assert_same(flash, standard, drawn(BATCH, N, DIM))
    assert_same(flash, standard, drawn(BATCH, N, DIM), block_k=3)
    asked = [given for given in sizes if given]
    assert asked == [{"block_q": 4, "block_k": 6}, {"block_q": 4, "block_k": 3}]


@pytest.mark.parametrize("module", pair(), ids=["standard", "flash"])
def test_a_padded_key_is_as_if_it_were_not_there(module: StandardAttention) -> None:
    x, context = drawn(BATCH, N, DIM), drawn(BATCH, M, DIM)
    padded = module(x, context, MASKS["keys"])[1].detach()
    shorter = module(x[1:2], context[1:2, :4])[0].detach()
    wide = copy.deepcopy(module).double()
    result = compare(padded, wide(x[1:2].double(), context[1:2, :4].double())[0].detach(), shorter)
    assert result.ok, result


def test_the_heads_lie_side_by_side_and_keys_come_before_values() -> None:
    standard, _ = pair()
    x = drawn(1, N, DIM)
    q, kv = x @ standard.to_q.weight.T, x @ standard.to_kv.weight.T
    q, k, v = (t.view(1, N, 4, 6).transpose(1, 2) for t in (q, kv[..., :24], kv[..., 24:]))
    plain = torch.softmax(q @ k.mT * 6**-0.5, dim=-1) @ v
    plain = plain.transpose(1, 2).reshape(1, N, 24) @ standard.to_out.weight.T
    result = compare(standard(x).detach(), copy.deepcopy(standard).double()(x.double()).detach(), plain.detach())
    assert result.ok, result


def test_left_padding_and_causal_leak_no_later_key() -> None:
    _, flash = pair(causal=True)
    x, changed = drawn(1, N, DIM), drawn(1, N, DIM)
    changed[:, 6:] += 1.0
    mask = torch.arange(N)[None] >= 4
    before, after = (flash(y, mask=mask) for y in (x, changed))
    assert torch.equal(before[:, :6], after[:, :6])
    assert not torch.equal(before[:, 6:], after[:, 6:])


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_the_module_works_in_the_dtype_that_it_is_made_in(dtype: torch.dtype) -> None:
    flash = FlashAttention(DIM, dtype=dtype, device="cpu")
    assert flash(drawn(BATCH, N, DIM).to(dtype)).dtype == dtype


def test_dropout_acts_in_training_alone() -> None:
    _, flash = pair(dropout=0.5)
    x = drawn(BATCH, N, DIM)
    assert not torch.equal(flash(x), flash(x))
    flash.eval()
    assert torch.equal(flash(x), flash(x))


def test_a_published_checkpoint_has_the_names_of_these_parameters() -> None:
    shapes = {name: tuple(p.shape) for name, p in FlashAttention(DIM, heads=2, dim_head=6).named_parameters()}
    assert shapes == {"to_q.weight": (12, DIM), "to_kv.weight": (24, DIM), "to_out.weight": (DIM, 12)}


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda x: FlashAttention(DIM)(x[0]), ValueError, r"x must have the shape \(B, N, 20\), got \(13, 20\)"),
        (lambda x: FlashAttention(DIM)(x, x[..., 1:]), ValueError, r"context must have .*got \(3, 13, 19\)"),
        (
            lambda x: FlashAttention(DIM)(x, mask=torch.ones(N, N).bool()),
            ValueError,
            r"mask must be \(B, M\) = \(3, 13\).*mask\[None, None\]",
        ),
        (lambda x: FlashAttention(DIM, heads=0), ValueError, "at least 1, got 20, 0, 64 and 20"),
        (
            lambda x: FlashAttention(DIM, context_dim=0),
            ValueError,
            "context_dim must be at least 1, got 20, 8, 64 and 0",
        ),
        (lambda x: FlashAttention(DIM, context_dim=2.5), TypeError, "context_dim must be a whole number, got 2.5"),
        (lambda x: FlashAttention(DIM, backend="fast"), ValueError, "backend must be 'auto' or one of"),
        (
            lambda x: FlashAttention(DIM, dropout=1.5),
            ValueError,
            r"dropout must be a finite number in \[0, 1\), got 1.5",
        ),
        (lambda x: FlashAttention(DIM, block_q=0), ValueError, "block_q must be at least 1, or None.*got 0"),
        (lambda x: FlashAttention(DIM, block_k=1.5), TypeError, "block_k must be a whole number, or None.*got 1.5"),
        (lambda x: FlashAttention(DIM, heads=2.0), TypeError, "heads must be a whole number, got 2.0"),
        (lambda x: FlashAttention(DIM)(x, block_q=0), ValueError, "block_q must be at least 1, or None.*got 0"),
        (lambda x: FlashAttention(DIM)(x, x[:2]), ValueError, r"context must have the batch size of x, 3, got \(2, 13"),
        (lambda x: FlashAttention(DIM)([x]), TypeError, "x must be a torch.Tensor, got list"),
        (lambda x: FlashAttention(DIM)(x, mask=[True]), TypeError, "mask must be a torch.Tensor, got list"),
        (
            lambda x: FlashAttention(DIM, block_q=4, backend="reference")(x),
            BackendError,
            "'reference' takes no block sizes, got block_q=4; backends with tiles do",
        ),
    ],
)
def test_errors_say_what_was_expected_and_what_came(
    call: Callable[[Tensor], object], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        call(drawn(BATCH, N, DIM))
