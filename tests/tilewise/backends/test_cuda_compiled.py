"""The kernels of `cuda` through nvcc, for sm_80 and sm_90. It needs no GPU: `make gpu-check` runs them where one is."""

from __future__ import annotations

import ctypes
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import torch

from tilewise.backends.cuda import build
from tilewise.backends.cuda.passes import KERNELS
from tilewise.cuda_on_cpu import INCLUDE

NVCC = shutil.which("nvcc")
if NVCC is None:
    pytest.skip("there is no nvcc here", allow_module_level=True)

ARCHITECTURES = ("80", "90")
# Torch's builder defines these; the flags of `build` must undo it.
TORCHS = ("-D__CUDA_NO_HALF_OPERATORS__", "-D__CUDA_NO_HALF_CONVERSIONS__")
KERNEL = re.compile(
    r"Compiling entry function '(?P<name>\w+)' for 'sm_(?P<architecture>\d+)'.*?"
    r"(?P<spilled>\d+) bytes spill stores.*?Used (?P<registers>\d+) registers",
    re.DOTALL,
)


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """Compile all sources into one library. -> the library, and what ptxas said of each kernel"""
    library = tmp_path_factory.mktemp("nvcc") / "kernels.so"
    wanted = [f"-gencode=arch=compute_{number},code=sm_{number}" for number in ARCHITECTURES]
    options = ["-std=c++17", "-shared", "-Xcompiler", "-fPIC", "-Xptxas", "-v", *TORCHS, *build.FLAGS, *wanted]
    command = [NVCC, *options, f"-I{INCLUDE}", f"-I{KERNELS}", "-o", str(library), *map(str, build.sources())]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, build.complaints(done.stdout + done.stderr)
    assert "warning" not in done.stderr
    return library, done.stdout + done.stderr


@pytest.mark.slow
def test_all_sources_compile_for_both_architectures(
    compiled: tuple[Path, str], record_property: pytest.FixtureRequest
) -> None:
    found = {(m["name"], m["architecture"]): m for m in KERNEL.finditer(compiled[1])}
    for source in build.sources():
        launched = re.findall(r"\b(\w+)<(?:T, WIDTH|T|half)>", source.read_text(encoding="utf-8"))
        names = {name for name in launched if any(name in mangled for mangled, _ in found)}
        assert names, source.name
        for name in names:
            assert {architecture for mangled, architecture in found if name in mangled} == set(ARCHITECTURES), name


@pytest.mark.slow
def test_the_tiled_kernel_keeps_its_sums_in_registers(compiled: tuple[Path, str]) -> None:
    spilled = {m["name"]: int(m["spilled"]) for m in KERNEL.finditer(compiled[1])}
    of_tiled = {name: count for name, count in spilled.items() if "tiled_forward" in name}
    assert len(of_tiled) == 6
    assert set(of_tiled.values()) == {0}


@pytest.mark.slow
def test_every_entry_point_is_in_the_library(compiled: tuple[Path, str]) -> None:
    library = ctypes.CDLL(str(compiled[0]))
    for source in build.sources():
        assert getattr(library, f"tw_{source.stem}"), source.stem


@pytest.mark.slow
@pytest.mark.skipif(torch.cuda.is_available(), reason="with a GPU this launch would not fail")
def test_a_launch_that_fails_gives_cudas_error_code(compiled: tuple[Path, str]) -> None:
    sizes, pointers = [ctypes.c_int(1), ctypes.c_int(1), ctypes.c_float(0)], [ctypes.c_void_p(None)] * 7
    library = ctypes.CDLL(str(compiled[0]))
    assert library.tw_add_layer_norm(ctypes.c_int(0), *sizes, *pointers) != 0
