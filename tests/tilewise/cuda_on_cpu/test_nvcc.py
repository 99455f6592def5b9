"""The same kernel files compile for a GPU."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.tilewise.cuda_on_cpu import KERNELS
from tilewise.cuda_on_cpu import INCLUDE

NVCC = shutil.which("nvcc")


@pytest.mark.skipif(NVCC is None, reason="nvcc is not on the PATH: the kernel files were not compiled for a GPU")
@pytest.mark.parametrize("architecture", ["sm_80", "sm_90"])
@pytest.mark.parametrize("file", sorted(KERNELS.glob("*.cu")), ids=lambda file: file.stem)
def test_nvcc_compiles_the_same_file(tmp_path: Path, file: Path, architecture: str) -> None:
    output = str(tmp_path / "kernel.o")
    command = [str(NVCC), "-std=c++17", f"-arch={architecture}", f"-I{INCLUDE}", "-c", str(file), "-o", output]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
