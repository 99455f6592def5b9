"""The kernels in two versions: for the compiler, and for Triton's interpreter, which runs them with NumPy on a CPU."""

from __future__ import annotations

import sys
import threading
from functools import cache
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

import numpy
import torch
import triton

KERNELS = Path(__file__).parent / "kernels"
# The interpreter puts its own functions in the place of Triton's language while it runs a kernel, and takes them out
# again: a second thread must do neither meanwhile.
ONE_INTERPRETED = threading.Lock()


def is_interpreted(device: torch.device) -> bool:
    """Whether kernels on this device go through the interpreter: on a CPU, and wherever TRITON_INTERPRET=1 says so."""
    return device.type == "cpu" or triton.knobs.runtime.interpret


def interpreter_fault() -> str | None:
    """Say why this Triton's interpreter cannot run with the NumPy that is here, or None where it can."""
    if _release(triton.__version__) < (3, 7) and _release(numpy.__version__) >= (2, 4):
        return (
            f"the interpreter of Triton {triton.__version__} takes array([n]) for a number, which NumPy"
            f" {numpy.__version__} refuses; install triton 3.7 or later, or numpy below 2.4"
        )
    return None


def _release(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".")[:2])


@cache
def kernels(interpreted: bool) -> ModuleType:
    """Import the kernels in one of their versions.

    `triton.jit` asks for which of the two it decorates when it decorates. One process may want both, tensors on a GPU
    and on the CPU, and no environment variable should be needed for that. So the folder of kernels is imported under
    a name of its own for each version, with Triton's setting as that version needs it, and put back afterwards.
    """
    name = f"{__package__}.{'interpreted' if interpreted else 'compiled'}"
    spec = spec_from_file_location(name, KERNELS / "__init__.py", submodule_search_locations=[str(KERNELS)])
    if spec is None or spec.loader is None:
        raise ImportError(f"the kernels should be in {KERNELS}, but Python cannot import them from there")
    module = module_from_spec(spec)
    sys.modules[name] = module
    with triton.knobs.runtime.scope():
        triton.knobs.runtime.interpret = interpreted
        spec.loader.exec_module(module)
    return module
