"""The kernels of `cuda` through nvcc and torch's own builder, for sm_80 and sm_90, up to where a GPU is needed.

`make gpu-check` runs them where one is. A PyTorch without CUDA lacks two libraries that the builder links, and to which
our kernels owe nothing: empty ones of the same names stand for them.
"""

from __future__ import annotations

import ctypes
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from torch.utils import cpp_extension

from tilewise.backends import BackendError
from tilewise.backends.cuda import build

NVCC = build._nvcc()
if NVCC is None or shutil.which("ninja") is None:
    pytest.skip("there is no nvcc or no ninja here", allow_module_level=True)

ARCHITECTURES = ("80", "90")
KERNEL = re.compile(
    r"Compiling entry function '(?P<name>\w+)' for 'sm_(?P<architecture>\d+)'.*?"
    r"(?P<spilled>\d+) bytes spill stores.*?Used (?P<registers>\d+) registers",
    re.DOTALL,
)
# Each call of nvcc leaves what it says in a file of its own.
TELLS = """#!/bin/sh
{nvcc} -Xptxas -v "$@" 2> {folder}/said.$$
code=$?
cat {folder}/said.$$ >&2
exit $code
"""


@pytest.fixture(scope="module")
def builder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Let torch's builder think that PyTorch has CUDA. -> where nvcc's words are"""
    folder = tmp_path_factory.mktemp("nvcc")
    (folder / "nvcc").write_text(TELLS.format(nvcc=NVCC, folder=folder))
    (folder / "nvcc").chmod(0o755)
    for name in ("libc10_cuda.so", "libtorch_cuda.so"):
        if not (Path(torch.__file__).parent / "lib" / name).exists():
            empty = ["c++", "-shared", "-x", "c++", "/dev/null", f"-Wl,-soname,{name}", "-o", str(folder / name)]
            subprocess.run(empty, check=True)
            ctypes.CDLL(str(folder / name), ctypes.RTLD_GLOBAL)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch.version, "cuda", torch.version.cuda or "13.0")
        # Not where the toolkit is: so torch guesses where nvcc on the PATH is a script or a link.
        patch.setattr(cpp_extension, "CUDA_HOME", str(folder))
        patch.setenv("PYTORCH_NVCC", str(folder / "nvcc"))
        patch.setenv("LIBRARY_PATH", str(folder))
        patch.setenv("TORCH_CUDA_ARCH_LIST", ";".join(f"{number[0]}.{number[1]}" for number in ARCHITECTURES))
        yield folder


@pytest.fixture
def builds(builder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str], Path]:
    """Build one text in place of the kernels."""

    def built(name: str, text: str) -> Path:
        source = tmp_path / f"{name}.cu"
        source.write_text(text)
        monkeypatch.setattr(build, "sources", lambda: [source])
        (tmp_path / name).mkdir()
        return build._build(str(tmp_path / name), False)

    return built


@pytest.fixture(scope="module")
def compiled(builder: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """Compile all sources into one library. -> the library, and what ptxas said of each kernel"""
    library = build._build(str(tmp_path_factory.mktemp("built")), False)
    said = "".join(file.read_text() for file in builder.glob("said.*"))
    assert "warning" not in said
    return library, said


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


ONE = '#include "tilewise_cuda.h"\nextern "C" int tw_one(int unused) {{ return {number}; }}\n'


@pytest.mark.slow
def test_one_process_can_build_again(builds: Callable[[str, str], Path]) -> None:
    """After a failure, or when the cache was cleared: torch then gives the library another name."""
    for number, name in enumerate(("first", "second")):
        assert ctypes.CDLL(str(builds(name, ONE.format(number=number)))).tw_one(0) == number


@pytest.mark.slow
def test_an_error_of_nvcc_names_the_line(builds: Callable[[str, str], Path]) -> None:
    with pytest.raises(BackendError, match=r"wrong\.cu\(2\): error: identifier \"missing\" is undefined"):
        builds("wrong", ONE.format(number="missing"))
