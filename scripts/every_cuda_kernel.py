"""Run every CUDA kernel of the library, or every Triton kernel: what compute-sanitizer watches in `make gpu-check`.

Run from the repository's root on a machine with a GPU: python -m scripts.every_cuda_kernel cuda|triton
"""

from __future__ import annotations

import itertools
import sys
from typing import Any, get_args

import torch
from torch import Tensor

import tilewise
from tilewise.backends.cuda import build, passes
from tilewise.backends.cuda.passes import Kernel, Machine
from tilewise.spec import make_spec

# Kernels are compiled for heads of at most 32, 64 and 128 features; tiles of 32 and 64 rows are cut here.
WIDTHS, N_Q, N_K = (24, 64, 128), 70, 75
DTYPES = (torch.float32, torch.float16)


def drawn(*shape: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    """Draw on the CPU, so that no kernel but ours runs on the device."""
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0)).to(dtype).to(device)


def run_cuda(machine: Machine, device: torch.device) -> set[str]:
    """Run each kernel for each dtype and width. -> the kernel files. Raises RuntimeError where one was left out."""
    ran = set()

    def run(file: str, *arguments: Any) -> None:
        ran.add(file)
        machine.run(file, *arguments)

    noting = Machine(run, machine.warps)
    for dtype, d in itertools.product(DTYPES, WIDTHS):
        q, do = (drawn(1, 2, N_Q, d, dtype=dtype, device=device) for _ in range(2))
        k, v = (drawn(1, 1, N_K, d, dtype=dtype, device=device) for _ in range(2))
        mask = drawn(1, 1, N_Q, N_K, dtype=dtype, device=device)
        spec = make_spec(q, k, v, causal=True, mask=mask)
        for kernel in get_args(Kernel):
            o, lse = passes.forward(q, k, v, spec, noting, kernel)
        passes.backward(do, torch.zeros_like(lse), q, k, v, o, lse, spec, noting, mask_grad=True)
        row = drawn(d, dtype=dtype, device=device)
        passes.add_layer_norm(q, do, row, row, 1e-5, noting)
    if left_out := {source.stem for source in build.sources()} - ran:
        raise RuntimeError(f"these kernels were not run: {', '.join(sorted(left_out))}")
    return ran


def run_triton(device: torch.device) -> None:
    for dtype, d in itertools.product((torch.float32, torch.float16, torch.bfloat16), WIDTHS):
        q, k, v = (drawn(1, 1, n, d, dtype=dtype, device=device).requires_grad_() for n in (N_Q, N_K, N_K))
        tilewise.attention(q, k, v, causal=True, backend="triton").sum().backward()


def main() -> None:
    device = torch.device("cuda")
    if sys.argv[1:] == ["triton"]:
        run_triton(device)
    else:
        run_cuda(build.machine(device), device)
    torch.cuda.synchronize()


if __name__ == "__main__":
    main()
