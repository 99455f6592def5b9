"""Ours in torch's transformers: the same outputs and gradients, and never gone past in eval mode."""

import copy
import warnings
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from tilewise.nn import MultiheadAttention, replace_attention
from tilewise.testing import compare

WIDTH, HEADS = 16, 4
pytestmark = pytest.mark.filterwarnings("ignore:enable_nested_tensor", "ignore:The PyTorch API of nested tensors")


def layer(**options: object) -> nn.TransformerEncoderLayer:
    return nn.TransformerEncoderLayer(WIDTH, HEADS, 32, dropout=0.0, **options)


def drawn(*shape: int) -> Tensor:
    return torch.randn(*shape, WIDTH, generator=torch.Generator().manual_seed(len(shape)))


def late_padding() -> Tensor:
    return torch.arange(9) >= torch.tensor([[9], [5], [2]])


def early_padding() -> Tensor:
    return late_padding().flip(-1)


def gradients(model: nn.Module, run: Callable[[nn.Module, torch.dtype], Tensor], dtype: torch.dtype) -> list[Tensor]:
    """Give the output and the gradient of every parameter."""
    model = copy.deepcopy(model).to(dtype)
    output = run(model, dtype)
    (output * torch.randn(output.shape, generator=torch.Generator().manual_seed(7)).to(dtype)).sum().backward()
    return [output.detach(), *(p.grad for p in model.parameters())]


def assert_same(model: nn.Module, run: Callable[[nn.Module, torch.dtype], Tensor]) -> None:
    """Compare a model with itself after `replace_attention`: training, eval, and eval without gradients.

    The first two compare all gradients too; the third is where torch takes its own kernels for whole layers.
    """
    ours = copy.deepcopy(model)
    assert replace_attention(ours)
    for training in (True, False):
        model.train(training)
        ours.train(training)
        answers = (
            gradients(m, run, d) for m, d in ((ours, torch.float32), (model, torch.float64), (model, torch.float32))
        )
        for actual, expected, plain in zip(*answers, strict=True):
            result = compare(actual, expected, plain)
            assert result.ok, (training, result)
    with torch.no_grad():
        result = compare(
            run(ours, torch.float32), run(copy.deepcopy(model).double(), torch.float64), run(model, torch.float32)
        )
    assert result.ok, result


@pytest.mark.parametrize("batch_first", [True, False])
@pytest.mark.parametrize("norm_first", [True, False])
@pytest.mark.parametrize("padding", [None, late_padding(), early_padding()], ids=["all", "late", "early"])
def test_an_encoder_gives_the_same_with_and_without_padding(
    batch_first: bool, norm_first: bool, padding: Tensor | None
) -> None:
    model = nn.TransformerEncoder(layer(batch_first=batch_first, norm_first=norm_first), 3)
    x = drawn(3, 9) if batch_first else drawn(3, 9).transpose(0, 1)

    def run(model: nn.Module, dtype: torch.dtype) -> Tensor:
        output = model(x.to(dtype), src_key_padding_mask=padding)
        if padding is None:
            return output
        return output[~padding if batch_first else ~padding.T]

    assert_same(model, run)


def test_a_causal_encoder_gives_the_same() -> None:
    mask = nn.Transformer.generate_square_subsequent_mask(9)
    model = nn.TransformerEncoder(layer(batch_first=True), 2)
    assert_same(model, lambda m, dtype: m(drawn(3, 9).to(dtype), mask=mask.to(dtype), is_causal=True))


def test_a_transformer_gives_the_same() -> None:
    model = nn.Transformer(WIDTH, HEADS, 2, 2, 32, dropout=0.0, batch_first=True)
    mask = nn.Transformer.generate_square_subsequent_mask(6)

    def run(model: nn.Module, dtype: torch.dtype) -> Tensor:
        return model(
            drawn(3, 9).to(dtype),
            drawn(3, 6).to(dtype) + 1,
            tgt_mask=mask.to(dtype),
            memory_key_padding_mask=late_padding(),
            tgt_is_causal=True,
        )

    assert_same(model, run)


def called(model: nn.Module) -> list[str]:
    """Put a witness in every `MultiheadAttention`; the list grows with each call of one, and has no hook about it."""
    names: list[str] = []
    for name, module in model.named_modules():
        if isinstance(module, MultiheadAttention):

            def witness(*arguments: object, name: str = name, forward=module.forward, **options: object):
                names.append(name)
                return forward(*arguments, **options)

            module.forward = witness
    return names


@pytest.mark.parametrize("swap", [replace_attention, lambda model: put_by_hand(model)])
def test_eval_without_gradients_does_not_go_past_ours(swap: Callable[[nn.Module], object]) -> None:
    model = nn.TransformerEncoder(layer(batch_first=True), 2, enable_nested_tensor=False).eval()
    swap(model)
    names = called(model)
    with torch.no_grad():
        model(drawn(3, 9), src_key_padding_mask=late_padding())
    assert names == ["layers.0.self_attn", "layers.1.self_attn"]


def put_by_hand(model: nn.Module) -> None:
    for part in model.layers:
        ours = MultiheadAttention(WIDTH, HEADS, batch_first=True)
        ours.load_state_dict(part.self_attn.state_dict())
        part.self_attn = ours.eval()


def test_an_encoder_that_would_make_nested_tensors_is_told_what_to_do() -> None:
    model = nn.TransformerEncoder(layer(batch_first=True), 2).eval()
    put_by_hand(model)
    with torch.no_grad(), pytest.raises(TypeError, match="use_nested_tensor = False, as replace_attention does"):
        model(drawn(3, 9), src_key_padding_mask=late_padding())
    assert replace_attention(model) == []
    with torch.no_grad():
        assert model(drawn(3, 9), src_key_padding_mask=late_padding()).isfinite().all()


def test_an_encoder_built_of_ours_makes_no_nested_tensor() -> None:
    part = layer(batch_first=True)
    part.self_attn = MultiheadAttention(WIDTH, HEADS, batch_first=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert not nn.TransformerEncoder(part, 2).use_nested_tensor


def test_it_tells_which_were_replaced_and_keeps_what_refers_to_them() -> None:
    model = nn.TransformerDecoder(nn.TransformerDecoderLayer(WIDTH, HEADS, 32), 2).double().eval()
    before = dict(model.named_modules())
    parameters = list(model.parameters())
    seen = []
    before["layers.1.self_attn"].register_forward_hook(lambda *_: seen.append("hook"))
    assert replace_attention(model, backend="torch_fa2") == [
        f"layers.{i}.{name}" for i in range(2) for name in ("self_attn", "multihead_attn")
    ]
    assert all(module is before[name] for name, module in model.named_modules())
    assert all(a is b for a, b in zip(model.parameters(), parameters, strict=True))
    ours = model.layers[1].self_attn
    assert isinstance(ours, MultiheadAttention)
    assert (ours.backend, ours.training, ours.in_proj_weight.dtype) == ("torch_fa2", False, torch.float64)
    model(drawn(3, 2).double(), drawn(3, 2).double())
    assert seen == ["hook"]


def test_a_shared_module_is_named_wherever_it_stands_and_stays_shared() -> None:
    shared = nn.MultiheadAttention(WIDTH, HEADS)
    model = nn.ModuleDict({"a": shared, "b": shared})
    assert replace_attention(model) == ["a", "b"]
    assert model["a"] is model["b"] is shared


def test_the_model_itself_is_replaced_and_subclasses_are_left() -> None:
    class Special(nn.MultiheadAttention):
        pass

    assert replace_attention(nn.MultiheadAttention(WIDTH, HEADS)) == [""]
    assert replace_attention(nn.Sequential(Special(WIDTH, HEADS), nn.Linear(2, 2))) == []
    with pytest.raises(ValueError, match="backend must be 'auto' or one of"):
        replace_attention(nn.Sequential(), backend="fast")


def test_where_one_module_cannot_be_ours_none_is_replaced() -> None:
    model = nn.Sequential(nn.MultiheadAttention(WIDTH, HEADS), nn.MultiheadAttention(WIDTH, HEADS, dropout=1.0))
    with pytest.raises(ValueError, match=r"dropout of 1 must be a finite number in \[0, 1\), got 1.0"):
        replace_attention(model)
    assert not any(isinstance(module, MultiheadAttention) for module in model)


def test_a_replaced_model_can_be_copied_and_saved(tmp_path) -> None:
    model = nn.TransformerEncoder(layer(batch_first=True), 1).eval()
    replace_attention(model)
    torch.save(model, tmp_path / "model.pt")
    with torch.no_grad():
        wanted = model(drawn(3, 9))
        for other in (copy.deepcopy(model), torch.load(tmp_path / "model.pt", weights_only=False)):
            assert torch.equal(other(drawn(3, 9)), wanted)
            assert called(other) == []
