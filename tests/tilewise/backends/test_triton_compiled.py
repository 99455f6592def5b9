"""The kernels through Triton's compiler and ptxas, which need no GPU: `make gpu-check` runs them where there is one."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from tilewise.spec import make_spec

triton = pytest.importorskip("triton", reason="the package triton exists for Linux only")

from tilewise.backends import triton as backend  # noqa: E402
from tilewise.backends.triton import launch, versions  # noqa: E402

SHARED_BYTES = {80: 163 << 10, 86: 99 << 10, 90: 227 << 10}  # what one program may have: CUDA C++ guide, table 27
WIDEST = ((torch.bfloat16, 256), (torch.float32, 256))


class Gpu:
    """What Triton asks of a driver to compile. The number keeps these kernels apart from those of real devices."""

    def __init__(self, architecture: int) -> None:
        self.architecture = architecture

    def get_current_target(self) -> Any:
        return triton.backends.compiler.GPUTarget("cuda", self.architecture, 32)

    def get_current_device(self) -> int:
        return 1000 + self.architecture

    def get_current_stream(self, device: int) -> int:
        return 0


Compile = Callable[..., dict[str, Any]]


@pytest.fixture
def compiled(monkeypatch: pytest.MonkeyPatch) -> Compile:
    """Give a function that has both passes compiled as they would be called, and gives the kernels by their names."""
    found: dict[str, Any] = {}

    def kernel(name: str) -> Any:
        real = getattr(versions.kernels(False), name)

        class Recorded:
            def __getitem__(self, grid: tuple[int, ...]) -> Callable[..., None]:
                def compile_it(*arguments: Any, **constants: Any) -> None:
                    found[name] = real.warmup(*arguments, grid=grid, **constants)

                return compile_it

        return Recorded()

    names = versions.kernels(False).__all__
    monkeypatch.delenv("TRITON_INTERPRET", raising=False)
    monkeypatch.setattr(launch, "is_interpreted", lambda device: False)
    monkeypatch.setattr(launch, "kernels", lambda interpreted: SimpleNamespace(**{n: kernel(n) for n in names}))

    def compile_both(
        architecture: int, dtype: torch.dtype, d: int, *, d_v: int = 0, n: int = 512, h_kv: int = 4, **options: Any
    ) -> dict[str, Any]:
        monkeypatch.setattr(triton.runtime.driver, "_active", Gpu(architecture))
        q, k, v = torch.empty(1, 4, n, d), torch.empty(1, h_kv, n, d), torch.empty(1, h_kv, n, d_v or d)
        q, k, v = (x.to(dtype) for x in (q, k, v))
        spec = make_spec(q, k, v, **options)
        o, lse = backend.forward(q, k, v, spec)
        added = spec.mask is not None and spec.mask.dtype is not torch.bool
        backend.backward(torch.empty_like(o), lse, q, k, v, o, lse, spec, mask_grad=added)
        assert sorted(found) == sorted(names)
        return found

    return compile_both


def shared_bytes(kernel: Any) -> int:
    return int(kernel.metadata.shared)


def spilled_bytes(kernel: Any, folder: Path) -> int:
    """Ask cuobjdump how much of a kernel's memory of its own lies in no register."""
    file = folder / "kernel.cubin"
    file.write_bytes(kernel.asm["cubin"])
    tool = triton.knobs.nvidia.cuobjdump.path
    told = subprocess.run([tool, "-res-usage", file], capture_output=True, text=True, check=True)
    return sum(int(n) for n in re.findall(r"(?:STACK|LOCAL):(\d+)", told.stdout + told.stderr))


def test_every_kernel_compiles_for_a_hopper_gpu_and_multiplies_there_by_warp_groups(compiled: Compile) -> None:
    kernels = compiled(90, torch.bfloat16, 64, causal=True)
    for name, kernel in kernels.items():
        assert ("wgmma" in kernel.asm["ptx"]) == (name != "delta_kernel")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("dtype", "causal"),
    [(torch.bfloat16, False), (torch.bfloat16, True), (torch.float16, True), (torch.float32, True)],
    ids=str,
)
@pytest.mark.parametrize("d", [64, 128])
@pytest.mark.parametrize("architecture", [80, 90])
def test_every_kernel_compiles_and_fits(
    compiled: Compile, tmp_path: Path, architecture: int, dtype: torch.dtype, d: int, causal: bool
) -> None:
    """Into shared memory everywhere; on the GPU that its tiles were chosen for, into registers too."""
    for name, kernel in compiled(architecture, dtype, d, causal=causal).items():
        assert shared_bytes(kernel) <= SHARED_BYTES[architecture], name
        if architecture == 90:
            assert spilled_bytes(kernel, tmp_path) == 0, name


@pytest.mark.slow
@pytest.mark.parametrize(("dtype", "d"), [(torch.bfloat16, 64), (torch.bfloat16, 128), *WIDEST], ids=str)
def test_every_kernel_fits_into_the_shared_memory_of_the_smallest_gpus(
    compiled: Compile, dtype: torch.dtype, d: int
) -> None:
    for name, kernel in compiled(86, dtype, d).items():
        assert shared_bytes(kernel) <= SHARED_BYTES[86], name


@pytest.mark.slow
@pytest.mark.parametrize("mask", [torch.bool, torch.bfloat16])
def test_every_kernel_compiles_with_all_options(compiled: Compile, mask: torch.dtype) -> None:
    """The threshold of this dropout needs more than 31 bits; D and D_v are padded, heads of keys shared."""
    options = {"window": (100, 3), "softcap": 3.0, "alibi_slopes": torch.ones(4), "dropout_p": 0.7}
    options["mask"] = torch.ones(1, 4, 1, 512, dtype=mask)
    kernels = compiled(90, torch.bfloat16, 40, d_v=5, h_kv=2, **options)
    for name, kernel in kernels.items():
        assert shared_bytes(kernel) <= SHARED_BYTES[90], name


@pytest.mark.slow
def test_every_kernel_compiles_for_one_query(compiled: Compile) -> None:
    """Tiles of 16 queries: fewer than the warps have rows for."""
    compiled(90, torch.bfloat16, 128, n=1)
