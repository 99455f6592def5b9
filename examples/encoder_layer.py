"""This library's attention in torch's transformer: swapped into one layer by hand, and into a whole model by a call.

    there                                              here
    FlashAttention(d_model, heads)(q, k, v)            MultiheadAttention(d_model, heads, batch_first=True)(q, k, v)
    CUDAMultiHeadAttention(d_model, heads, dropout)    MultiheadAttention(d_model, heads, dropout, batch_first=True)
    CUDEncoderLayer, a layer class of its own          layer.self_attn = MultiheadAttention(...)

Run it from anywhere:

    python examples/encoder_layer.py
"""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn

from tilewise.nn import MultiheadAttention, replace_attention
from tilewise.testing import Comparison, compare

BATCH, LENGTH, WIDTH, HEADS = 2, 10, 512, 8


def swapped_by_hand(layer: nn.TransformerEncoderLayer) -> nn.TransformerEncoderLayer:
    """Copy a layer, with our attention and the same parameters in it."""
    layer = copy.deepcopy(layer)
    ours = MultiheadAttention(WIDTH, HEADS, batch_first=True)
    ours.load_state_dict(layer.self_attn.state_dict())
    layer.self_attn = ours
    return layer


def swapped_by_a_call(model: nn.Module) -> nn.Module:
    """Copy a model, with our attention wherever torch's was."""
    model = copy.deepcopy(model)
    print(f"replaced: {', '.join(replace_attention(model))}")
    return model


@torch.no_grad()
def compare_models(ours: nn.Module, theirs: nn.Module, x: Tensor) -> Comparison:
    """Compare a model with the original in float64; what the original is off by in float32 sets what is allowed."""
    right = copy.deepcopy(theirs).double()
    return compare(ours.eval()(x), right.eval()(x.double()), theirs.eval()(x))


def main() -> None:
    torch.manual_seed(0)
    x = torch.randn(BATCH, LENGTH, WIDTH)
    attend = MultiheadAttention(WIDTH, HEADS, batch_first=True)
    output, weights = attend(x, x, x)
    print(f"output: {tuple(output.shape)}, weights: {tuple(weights.shape)}")
    print(f"not asked for, the weights are {attend(x, x, x, need_weights=False)[1]}")
    layer = nn.TransformerEncoderLayer(WIDTH, HEADS, batch_first=True)
    model = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
    for name, ours, theirs in (
        ("layer, by hand", swapped_by_hand(layer), layer),
        ("model, by a call", swapped_by_a_call(model), model),
    ):
        found = compare_models(ours, theirs, x)
        print(f"{name}: {found.ok}, off by {found.worst_error:.1e} where {found.allowed:.1e} is allowed")


if __name__ == "__main__":
    main()
