"""Compile the kernels for the GPUs of this machine, by torch's extension builder: once, into a cache.

The library holds plain C functions, the same that the executor calls, so nothing in it depends on torch's headers.
"""

from __future__ import annotations

import ctypes
import functools
import hashlib
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
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
COMPLAINT = re.compile(r"\b(error|fatal|cannot find|undefined reference|not found)\b", re.IGNORECASE)
BUILDING = "building-"
USUAL_TOOLKIT = "/usr/local/cuda"


def here() -> str | None:
    """Say all that keeps the kernels from running on this machine, or None where nothing does."""
    if _loaded.cache_info().currsize:
        return None
    missing = []
    if sys.platform != "linux":
        missing.append(f"it is made for Linux, not for {sys.platform}")
    if torch.version.cuda is None:
        missing.append(f"this PyTorch, {torch.__version__}, was built without CUDA (pytorch.org has builds with it)")
    if not torch.cuda.is_available():
        missing.append("PyTorch finds no GPU")
    tools = _missing_tools()
    if missing or (tools and not _library().is_file()):  # what is compiled needs no compiler any more
        missing += tools
    return "; ".join(missing) or None


def _missing_tools() -> list[str]:
    missing = []
    if _nvcc() is None:
        missing.append("there is no nvcc: install the CUDA toolkit, and put it on the PATH or into CUDA_HOME")
    if shutil.which("ninja", path=_path()) is None:
        missing.append("there is no ninja, which torch builds extensions with: pip install ninja")
    return missing


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
    Of several processes one compiles, and the others wait for it.
    Raises BackendError that says what is missing here, or what the compiler complained of.
    """
    if reason := here():
        raise BackendError(f"the kernels of backend 'cuda' cannot be compiled here: {reason}")
    library = _library()
    if not library.is_file():
        with _only_builder(library.parent):
            if not library.is_file():
                with tempfile.TemporaryDirectory(dir=library.parent, prefix=BUILDING) as folder:
                    os.replace(_build(folder, verbose), library)
    return library


@contextmanager
def _only_builder(cache: Path) -> Iterator[None]:
    """Hold the cache's lock, which the system takes back from a process that dies, and clear away what one left."""
    import fcntl  # not on Windows, where nothing is built

    cache.mkdir(parents=True, exist_ok=True)
    with (cache / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        for unfinished in cache.glob(f"{BUILDING}*"):
            shutil.rmtree(unfinished)
        yield


def _build(folder: str, verbose: bool) -> Path:
    nvcc = _nvcc()
    if nvcc is None:
        raise BackendError("compiling the kernels of backend 'cuda' needs nvcc")
    libraries = [_toolkit(nvcc) / name for name in ("lib64", "lib")]
    with _environment(PATH=_path(), PYTORCH_NVCC=os.environ.get("PYTORCH_NVCC") or shlex.quote(nvcc)):
        from torch.utils import cpp_extension  # it takes long to import

        try:
            # Torch numbers what one process builds several times, so it knows best what the library is called.
            return Path(
                cpp_extension.load(
                    NAME,
                    [str(source) for source in sources()],
                    extra_include_paths=[str(INCLUDE), str(KERNELS)],
                    extra_cuda_cflags=list(FLAGS),
                    extra_ldflags=[f"-L{library}" for library in libraries if library.is_dir()],
                    build_directory=folder,
                    verbose=verbose,
                    is_python_module=False,
                )
            )
        except RuntimeError as error:
            raise BackendError(
                f"nvcc could not compile the kernels of backend 'cuda':\n{complaints(str(error))}"
            ) from error
        except (OSError, ValueError) as error:  # a library that is not found; a name in TORCH_CUDA_ARCH_LIST
            raise BackendError(f"the kernels of backend 'cuda' could not be built or loaded: {error}") from error


def _path() -> str:
    """Give the PATH with the folder of this Python's own programs, where pip puts ninja, at its end."""
    return os.pathsep.join([os.environ.get("PATH", os.defpath), str(Path(sys.executable).parent)])


@contextmanager
def _environment(**changes: str) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in changes}
    os.environ.update(changes)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def complaints(output: str) -> str:
    """Give the lines of a compiler's output that say what is wrong, or the end of it where none does."""
    lines = output.strip().splitlines()
    wrong = [line.strip() for line in lines if COMPLAINT.search(line)]
    found = [line for line in dict.fromkeys(wrong) if not line.startswith(("FAILED", "Error building extension"))]
    return "\n".join(found[:SHOWN] or lines[-SHOWN:])


def sources() -> list[Path]:
    """Name the kernel files."""
    return sorted(KERNELS.glob("*.cu"))


def _nvcc() -> str | None:
    home = os.environ.get("CUDA_HOME") or os.environ.get("CUDA_PATH")
    inside = shutil.which("nvcc", path=str(Path(home) / "bin")) if home else None
    return inside or shutil.which("nvcc") or shutil.which("nvcc", path=f"{USUAL_TOOLKIT}/bin")


def _toolkit(nvcc: str) -> Path:
    """Give the folder of nvcc's toolkit, by its own word: what is on the PATH may be a script that starts it."""
    said = subprocess.run([nvcc, "--dryrun", "-x", "cu", "-c", os.devnull], capture_output=True, text=True)
    top = re.search(r"^#\$ TOP=(.*)$", said.stderr, re.MULTILINE)
    return Path(top[1]).resolve() if top else Path(nvcc).resolve().parents[1]


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
        if code != 0:
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
