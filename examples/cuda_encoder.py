"""The CUDA kernels as the attention of torch's encoder layer: on a GPU, or the same kernels executed on the processor.

    compile_cuda_extension()                 tilewise.compile_cuda_extension(), where there is a GPU and nvcc
    CUDEncoderLayer(d_model, num_heads)      torch's layer, and replace_attention(layer, backend="cuda")
    the fallback                             tilewise.explain_backend(...): what runs, and why nothing better

Run it from anywhere:

    python examples/cuda_encoder.py
"""

from __future__ import annotations

import copy

import torch
from torch import nn

import tilewise
from tilewise.nn import MultiheadAttention, replace_attention
from tilewise.testing import Comparison, compare

BATCH, LENGTH, WIDTH, HEADS = 2, 10, 512, 8


def chosen() -> tuple[str, torch.device]:
    """Compile for the GPU where that can be done, and say so; else take the processor. -> backend, device"""
    try:
        print(f"compiled: {tilewise.compile_cuda_extension()}")
        return "cuda", torch.device("cuda")
    except tilewise.BackendError as error:
        print(error)
        return "cuda_cpu", torch.device("cpu")


@torch.no_grad()
def compare_layer(backend: str, device: torch.device) -> Comparison:
    """Compare a layer that attends by these kernels with the original in float64."""
    torch.manual_seed(0)
    layer = nn.TransformerEncoderLayer(WIDTH, HEADS, batch_first=True).eval()
    ours = copy.deepcopy(layer)
    replace_attention(ours, backend=backend)
    x = torch.randn(BATCH, LENGTH, WIDTH)
    right = copy.deepcopy(layer).double()(x.double())
    return compare(ours.to(device)(x.to(device)).cpu(), right, layer(x))


def main() -> None:
    backend, device = chosen()
    attend = MultiheadAttention(WIDTH, HEADS, batch_first=True, backend=backend).to(device)
    x = torch.randn(BATCH, LENGTH, WIDTH, device=device)
    output, weights = attend(x, x, x, need_weights=False)
    print(f"backend {backend}: output {tuple(output.shape)}, weights not asked for: {weights}")
    found = compare_layer(backend, device)
    print(f"encoder layer: {found.ok}, off by {found.worst_error:.1e} where {found.allowed:.1e} is allowed")
    q = torch.randn(BATCH, HEADS, LENGTH, WIDTH // HEADS, device=device)
    print(f"left to itself, the library takes {tilewise.explain_backend(q, q, q)}")


if __name__ == "__main__":
    main()
