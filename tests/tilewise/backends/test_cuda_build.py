"""How the kernels of `cuda` are built: what is missing is said, one process builds, errors are readable."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

import tilewise
from tilewise.backends.cuda import build


def program(path: Path, says: str = "") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{says}\n")
    path.chmod(0o755)
    return path


@pytest.fixture
def with_gpu(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A machine with a GPU and PyTorch for it, and no program at all. -> where its compiled kernels would be"""
    monkeypatch.setattr(torch.version, "cuda", "13.0")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setenv("PATH", str(tmp_path / "nowhere"))
    for name in ("CUDA_HOME", "CUDA_PATH"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python" / "bin" / "python"))
    monkeypatch.setattr(build, "USUAL_TOOLKIT", str(tmp_path / "no-toolkit"))
    monkeypatch.setattr(build, "_library", lambda: tmp_path / "cuda" / "library.so")
    return tmp_path / "cuda"


def test_what_is_missing_for_a_build_is_said_all_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.version, "cuda", None)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(build.shutil, "which", lambda *given, **named: None)
    reason = build.here()
    assert reason is not None
    for word in ("was built without CUDA", "finds no GPU", "no nvcc", "no ninja"):
        assert word in reason
    with pytest.raises(tilewise.BackendError, match="cannot be compiled here: this PyTorch"):
        tilewise.compile_cuda_extension()
    with pytest.raises(tilewise.BackendError, match=r"backend 'cuda' cannot do this: .*nvcc"):
        tilewise.attention(*(torch.zeros(1, 1, 2, 4),) * 3, backend="cuda")


def test_kernels_that_are_compiled_need_no_compiler(with_gpu: Path) -> None:
    reason = build.here()
    assert reason is not None
    assert "no nvcc" in reason
    assert "no ninja" in reason
    with_gpu.mkdir()
    (with_gpu / "library.so").touch()
    assert build.here() is None


def test_programs_are_found_in_the_toolkit_and_beside_this_python(
    with_gpu: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """pip puts ninja beside its python, which is on the PATH only where the environment was activated."""
    program(tmp_path / "python" / "bin" / "ninja")
    nvcc = program(tmp_path / "toolkit" / "bin" / "nvcc")
    monkeypatch.setenv("CUDA_HOME", str(tmp_path / "toolkit"))
    assert build.here() is None
    assert build._nvcc() == str(nvcc)


def test_the_toolkit_is_found_behind_a_script_and_behind_a_link(tmp_path: Path) -> None:
    """The linker wants the folder of its libraries, and what is on the PATH is often not in the toolkit."""
    toolkit = tmp_path / "toolkit"
    (toolkit / "bin").mkdir(parents=True)
    script = program(tmp_path / "bin" / "nvcc", f"echo '#$ TOP={toolkit}/bin/..' >&2")
    assert build._toolkit(str(script)) == toolkit
    silent = program(toolkit / "bin" / "nvcc")
    (tmp_path / "bin" / "linked").symlink_to(silent)
    assert build._toolkit(str(tmp_path / "bin" / "linked")) == toolkit


BUILDER_SAYS = """Error building extension 'tilewise_cuda': [1/3] /usr/local/cuda/bin/nvcc -c tiled_forward.cu
FAILED: tiled_forward.cuda.o
/usr/local/cuda/bin/nvcc  -DTORCH_EXTENSION_NAME=tilewise_cuda -c tiled_forward.cu
tiled_forward.cu(31): error: identifier "k_tiles" is undefined
      add(k_tiles);
          ^

1 error detected in the compilation of "tiled_forward.cu".
ninja: build stopped: subcommand failed.
"""
LINKER_SAYS = """Error building extension 'tilewise_cuda': [9/9] c++ delta.cuda.o -shared -lcudart -o tilewise_cuda.so
FAILED: tilewise_cuda.so
/usr/bin/ld: cannot find -lcudart: No such file or directory
collect2: error: ld returned 1 exit status
"""


def test_of_a_failed_build_the_line_that_is_wrong_is_shown() -> None:
    shown = build.complaints(BUILDER_SAYS).splitlines()
    assert shown[0] == 'tiled_forward.cu(31): error: identifier "k_tiles" is undefined'
    assert "FAILED" not in "".join(shown)
    assert build.complaints(LINKER_SAYS).startswith("/usr/bin/ld: cannot find -lcudart")
    assert build.complaints("ninja: fatal: no space left").endswith("no space left")
    assert build.complaints("one\nKilled") == "one\nKilled"


@pytest.mark.parametrize(
    ("raised", "said"),
    [
        (RuntimeError(BUILDER_SAYS), 'nvcc could not compile .*\n.*identifier "k_tiles" is undefined'),
        (OSError("libcudart.so.13: cannot open shared object file"), "built or loaded: libcudart.so.13"),
        (ValueError("Unknown CUDA arch (9.7) or GPU not supported"), "built or loaded: Unknown CUDA arch"),
    ],
)
def test_whatever_torchs_builder_raises_is_told_as_the_backends(
    with_gpu: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, raised: Exception, said: str
) -> None:
    from torch.utils import cpp_extension

    def fail(*given: Any, **named: Any) -> None:
        assert os.environ["PYTORCH_NVCC"] == str(tmp_path / "toolkit" / "bin" / "nvcc")
        raise raised

    monkeypatch.setattr(cpp_extension, "load", fail)
    program(tmp_path / "python" / "bin" / "ninja")
    program(tmp_path / "toolkit" / "bin" / "nvcc")
    monkeypatch.setenv("CUDA_HOME", str(tmp_path / "toolkit"))
    before = dict(os.environ)
    with pytest.raises(tilewise.BackendError, match=said):
        tilewise.compile_cuda_extension()
    assert dict(os.environ) == before
    assert [path.name for path in with_gpu.iterdir()] == ["lock"]


def test_what_was_built_is_taken_from_the_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(build, "here", lambda: None)
    monkeypatch.setattr(build, "_library", lambda: tmp_path / "cuda" / "library.so")
    built = []

    def pretend(folder: str, verbose: bool) -> Path:
        built.append(folder)
        made = Path(folder) / "library.so"
        made.write_bytes(b"")
        return made

    monkeypatch.setattr(build, "_build", pretend)
    assert build.not_built() is not None
    assert build.compile_cuda_extension() == build.compile_cuda_extension() == tmp_path / "cuda" / "library.so"
    assert len(built) == 1
    assert build.not_built() is None
    assert {path.name for path in (tmp_path / "cuda").iterdir()} == {"library.so", "lock"}


DIES = """
import sys, time
from pathlib import Path
from tilewise.backends.cuda import build
with build._only_builder(Path(sys.argv[1])):
    (Path(sys.argv[1]) / "building-half" / "objects").mkdir(parents=True)
    print("building", flush=True)
    time.sleep(60)
"""


def test_a_build_that_was_killed_holds_up_no_other(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", DIES, str(tmp_path)], stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "building\n"
        other.kill()
    assert (tmp_path / "building-half").is_dir()
    with build._only_builder(tmp_path):
        assert [path.name for path in tmp_path.iterdir()] == ["lock"]
