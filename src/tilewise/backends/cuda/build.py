"""Compile the kernels for the GPUs of this machine, by torch's extension builder: once, into a cache.

The library holds plain C functions, the same that the executor calls, so nothing in it depends on torch's headers.
"""

from __future__ import annotations

import ctypes
import functools
import hashlib
import os
import re
import shutil
import tempfile
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from tilewise.backends import BackendError
from tilewise.backends.cuda.passes import KERNELS, Machine
from tilewise.cuda_on_cpu import INCLUDE

NAME = "tilewise_cuda"
# torch's builder takes half's operators away, to which the kernels owe that they are the same text for float and half.
FLAGS = ("-O3", "-U__CUDA_NO_HALF_OPERATORS__", "-U__CUDA_NO_HALF_CONVERSIONS__")
WARPS_A_PROCESSOR = 16
SHOWN = 5  # complaints of the compiler in an error


def here() -> str | None:
    """Say all that keeps the kernels from running on this machine, or None where nothing does."""
    missing = []
    if torch.version.cuda is None:
        missing.append(f"this PyTorch, {torch.__version__}, was built without CUDA (pytorch.org has builds with it)")
    if not torch.cuda.is_available():
        missing.append("PyTorch finds no GPU")
    if _nvcc() is None:
        missing.append("there is no nvcc: install the CUDA toolkit, and put it on the PATH or into CUDA_HOME")
    if shutil.which("ninja") is None:
        missing.append("there is no ninja, which torch builds extensions with: pip install ninja")
    return "; ".join(missing) or None


def too_small(device: torch.device) -> str | None:
    """Say why the kernels do not fit a GPU, or None where they do."""
    major, minor = torch.cuda.get_device_capability(device)
    if major < 8:
        return (
            f"its blocks take 78 KB of shared memory, so it needs compute capability 8.0 and above, not {major}.{minor}"
        )
    return None


def not_built() -> str | None:
    """Say that the kernels would have to be compiled first, or None where the cache holds them."""
    if _library().is_file():
        return None
    return "its kernels are not compiled yet; tilewise.compile_cuda_extension() does so, once"


def compile_cuda_extension(*, verbose: bool = False) -> Path:
    """Compile the kernels of the backend "cuda" for the GPUs of this machine ahead of their first use. -> the library

    Takes about a minute, once: a cache keeps it (tilewise/cuda in $XDG_CACHE_HOME or ~/.cache; it may be deleted). From
    then on backend="auto" may take it too. TORCH_CUDA_ARCH_LIST names other architectures, such as "8.0;9.0".
    Raises BackendError that says what is missing here, or what the compiler complained of.
    """
    if reason := here():
        raise BackendError(f"the kernels of backend 'cuda' cannot be compiled here: {reason}")
    library = _library()
    if not library.is_file():
        library.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=library.parent, prefix="building-") as folder:
            os.replace(_build(folder, verbose), library)
    return library


def _build(folder: str, verbose: bool) -> Path:
    from torch.utils import cpp_extension  # it takes long to import

    try:
        cpp_extension.load(
            NAME,
            [str(source) for source in sources()],
            extra_include_paths=[str(INCLUDE), str(KERNELS)],
            extra_cuda_cflags=list(FLAGS),
            build_directory=folder,
            verbose=verbose,
            is_python_module=False,
        )
    except (RuntimeError, OSError) as error:
        raise BackendError(
            f"nvcc could not compile the kernels of backend 'cuda':\n{complaints(str(error))}"
        ) from error
    return Path(folder) / f"{NAME}.so"


def complaints(output: str) -> str:
    """Give the lines of a compiler's output that say what is wrong, or the end of it where none does."""
    lines = output.strip().splitlines()
    wrong = [line.strip() for line in lines if re.search(r"\b(error|fatal)\b\s*:?", line, re.IGNORECASE)]
    found = [line for line in dict.fromkeys(wrong) if not line.startswith(("FAILED", "Error building extension"))]
    return "\n".join(found[:SHOWN] or lines[-SHOWN:])


def sources() -> list[Path]:
    """Name the kernel files."""
    return sorted(KERNELS.glob("*.cu"))


def _nvcc() -> str | None:
    home = os.environ.get("CUDA_HOME") or os.environ.get("CUDA_PATH")
    inside = shutil.which("nvcc", path=str(Path(home) / "bin")) if home else None
    return inside or shutil.which("nvcc") or shutil.which("nvcc", path="/usr/local/cuda/bin")


@functools.cache
def _library() -> Path:
    """Name the library for these kernels, this PyTorch and these GPUs."""
    digest = hashlib.sha256()
    for file in sorted([*KERNELS.iterdir(), INCLUDE / "tilewise_cuda.h"]):
        digest.update(file.read_bytes())
    count = torch.cuda.device_count()
    kinds = sorted({torch.cuda.get_device_capability(number) for number in range(count)})
    wanted = os.environ.get("TORCH_CUDA_ARCH_LIST", "")
    digest.update(repr((torch.__version__, torch.version.cuda, kinds, wanted, FLAGS)).encode())
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "tilewise" / "cuda" / f"{NAME}-{digest.hexdigest()[:32]}.so"


@functools.cache
def _loaded() -> ctypes.CDLL:
    return ctypes.CDLL(str(compile_cuda_extension()))


def _run(file: str, *arguments: Any) -> None:
    device = next(x.device for x in arguments if isinstance(x, Tensor))
    with torch.cuda.device(device):
        stream = ctypes.c_void_p(torch.cuda.current_stream().cuda_stream)
        code = getattr(_loaded(), f"tw_{file}")(*(_as_c(x) for x in arguments), stream)
        torch.cuda.check_error(code)


def _as_c(argument: Any) -> Any:
    if argument is None or isinstance(argument, Tensor):
        return ctypes.c_void_p(None if argument is None else argument.data_ptr())
    if isinstance(argument, ctypes.Structure | ctypes.Array):
        return ctypes.byref(argument)
    return ctypes.c_float(argument) if isinstance(argument, float) else ctypes.c_int(argument)


def machine(device: torch.device) -> Machine:
    """Give what runs kernels on a GPU."""
    processors = torch.cuda.get_device_properties(device).multi_processor_count
    return Machine(_run, warps=processors * WARPS_A_PROCESSOR)
