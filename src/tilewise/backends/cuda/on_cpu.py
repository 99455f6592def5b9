"""Backend "cuda_cpu": the kernels of the backend "cuda", the same files, executed on the processor.

Made to read, test and debug kernels where there is no GPU, and taken only when it is asked for by name: the backends
in PyTorch are faster on a CPU. The first use of a kernel compiles it, in seconds, and a cache keeps it.
"""

from __future__ import annotations

import sys
from ctypes import Array, Structure, addressof, sizeof, string_at
from functools import cache
from typing import Any

import torch
from torch import Tensor

from tilewise import cuda_on_cpu
from tilewise.backends.cuda import passes
from tilewise.backends.cuda.passes import KERNELS, Kernel, Machine
from tilewise.spec import Spec


def here() -> str | None:
    """Say why no kernel can be executed on this machine, or None where one can."""
    if sys.platform != "linux":
        return f"executing kernels on the processor is made for Linux, not for {sys.platform}"
    try:
        cuda_on_cpu.find_compiler()
    except cuda_on_cpu.NoCompiler as error:
        return str(error)
    return None


def cannot(q: Tensor, v: Tensor, spec: Spec) -> str | None:
    """Say why these kernels cannot attend to such tensors here, or None where they can."""
    if q.device.type != "cpu":
        return f"it runs on the CPU, not on {q.device.type}"
    return passes.cannot(q, v)


@cache
def program(file: str, checked: bool = False) -> cuda_on_cpu.Program:
    """Compile a kernel file, or take it from the cache. checked: also look for faulty accesses and races, and count"""
    return cuda_on_cpu.compile(KERNELS / f"{file}.cu", checked=checked)


def _run(file: str, *arguments: Any) -> None:
    call(program(file), file, arguments)


def _run_checked(file: str, *arguments: Any) -> None:
    call(program(file, checked=True), file, arguments)


def call(compiled: cuda_on_cpu.Program, file: str, arguments: tuple[Any, ...]) -> None:
    """Call the entry point of a kernel file, as `passes.Run` does. Raises CudaFault for what the executor finds."""
    code = compiled.call(f"tw_{file}", *(_bytes(x) for x in arguments), None)
    if code != 0:
        raise RuntimeError(f"{file}.cu ended with CUDA's error code {code}")


def _bytes(argument: Any) -> Any:
    """Give a structure as a tensor of bytes, which is what the executor takes pointers to."""
    if not isinstance(argument, Structure | Array):
        return argument
    return torch.frombuffer(bytearray(string_at(addressof(argument), sizeof(argument))), dtype=torch.uint8)


MACHINE = Machine(_run, warps=64)
CHECKED = Machine(_run_checked, warps=64)


def forward(
    q: Tensor, k: Tensor, v: Tensor, spec: Spec, *, kernel: Kernel | None = None, machine: Machine = MACHINE
) -> tuple[Tensor, Tensor]:
    """Attend. Shapes as in `tilewise.backends`.

    kernel: "thread" (a thread per query), "warp" (a warp per query), "tiled" or "decode"; None for what is best
    machine: `CHECKED` raises `CudaFault` for a faulty access or a race
    """
    return passes.forward(q, k, v, spec, machine, kernel)


def backward(
    do: Tensor,
    dlse: Tensor | None,
    q: Tensor,
    k: Tensor,
    v: Tensor,
    o: Tensor,
    lse: Tensor,
    spec: Spec,
    *,
    mask_grad: bool,
    machine: Machine = MACHINE,
) -> tuple[Tensor, Tensor, Tensor, Tensor | None]:
    """Give dq, dk, dv and dmask. Shapes as in `tilewise.backends`, machine as in `forward`."""
    return passes.backward(do, dlse, q, k, v, o, lse, spec, machine, mask_grad=mask_grad)
