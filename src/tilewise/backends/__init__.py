"""Which code attends: the names, what can run here and why not, and the choice.

A backend is a module with two functions, imported when it is chosen; none imports another.

    forward(q, k, v, spec) -> (o, lse)
    backward(do, dlse, q, k, v, o, lse, spec, *, mask_grad) -> (dq, dk, dv, dmask)

q, o, do: (B, H, N_q, D or D_v)   k, v: (B, H_kv, N_k, D or D_v)   lse: (B, H, N_q), natural log, in `sum_dtype`
dlse: like lse, or None for no gradient   dmask: like spec.mask where mask_grad is asked for, else None
Everything else is in the `Spec`, already checked. Gradients have the dtype and shape of what they belong to.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from importlib.util import find_spec
from inspect import signature
from types import ModuleType, SimpleNamespace
from typing import Protocol, cast

from torch import Tensor

from tilewise import checks
from tilewise.spec import Spec


class BackendError(RuntimeError):
    """The backend that was asked for cannot do this here; says why, and what can."""


class Backend(Protocol):
    """What a backend module offers."""

    def forward(self, q: Tensor, k: Tensor, v: Tensor, spec: Spec) -> tuple[Tensor, Tensor]: ...

    def backward(
        self,
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
    ) -> tuple[Tensor, Tensor, Tensor, Tensor | None]: ...


@dataclass(frozen=True)
class Status:
    """Whether a backend can run on this machine: `reason` says why not, or how it runs."""

    name: str
    available: bool
    reason: str


@dataclass(frozen=True)
class Choice:
    """Which backend attends, and for those that come before it in the order of preference, why not they."""

    name: str
    refused: dict[str, str]

    def __str__(self) -> str:
        return "\n".join([self.name, *(f"  not {name}: {reason}" for name, reason in self.refused.items())])


@dataclass(frozen=True)
class _Entry:
    """how: how it runs.   here: why it cannot on this machine, or None.   fits: why it cannot do one call, or None.
    waits: why "auto" does not take it yet, or None."""

    module: str
    how: str | Callable[[], str]
    here: Callable[[], str | None]
    fits: Callable[[Tensor, Tensor, Spec], str | None] = lambda q, v, spec: None
    waits: Callable[[], str | None] = lambda: None


def _always() -> str | None:
    return None


def _coming() -> str | None:
    return "it does not exist yet in this version of tilewise"


def _triton_here() -> str | None:
    if find_spec("triton") is None:
        return "the package triton is not installed (it exists for Linux only)"
    return cast(str | None, import_module("tilewise.backends.triton").here())


def _triton_how() -> str:
    return cast(str, import_module("tilewise.backends.triton").how())


def _triton_fits(q: Tensor, v: Tensor, spec: Spec) -> str | None:
    return cast(str | None, import_module("tilewise.backends.triton").cannot(q, v, spec))


def _cuda_how() -> str:
    return cast(str, import_module("tilewise.backends.cuda").how())


def _cuda_here() -> str | None:
    return cast(str | None, import_module("tilewise.backends.cuda").here())


def _cuda_fits(q: Tensor, v: Tensor, spec: Spec) -> str | None:
    return cast(str | None, import_module("tilewise.backends.cuda").cannot(q, v, spec))


def _cuda_waits() -> str | None:
    return cast(str | None, import_module("tilewise.backends.cuda").not_yet())


def _cuda_cpu_here() -> str | None:
    return cast(str | None, import_module("tilewise.backends.cuda.on_cpu").here())


def _cuda_cpu_fits(q: Tensor, v: Tensor, spec: Spec) -> str | None:
    return cast(str | None, import_module("tilewise.backends.cuda.on_cpu").cannot(q, v, spec))


_ENTRIES = {
    "reference": _Entry("tilewise.backends.reference", "plain PyTorch, the whole matrix of scores in hand", _always),
    "torch_fa1": _Entry("tilewise.backends.torch_fa1", "PyTorch, tile by tile, FlashAttention's loop order", _always),
    "torch_fa2": _Entry("tilewise.backends.torch_fa2", "PyTorch, tile by tile, FlashAttention-2's loop order", _always),
    "triton": _Entry("tilewise.backends.triton", _triton_how, _triton_here, _triton_fits),
    "cpp": _Entry("tilewise.backends.cpp", "C++ for the processor", _coming),
    "cuda": _Entry("tilewise.backends.cuda", _cuda_how, _cuda_here, _cuda_fits, _cuda_waits),
    "cuda_cpu": _Entry(
        "tilewise.backends.cuda.on_cpu",
        "the kernels of cuda, executed on the processor: slow, for reading and testing them",
        _cuda_cpu_here,
        _cuda_cpu_fits,
    ),
}
# "cuda" comes after "triton", and only once its kernels are compiled: no call should wait for a compiler unasked.
# Nobody who asks for the best wants kernels executed on a CPU, so "cuda_cpu" is in neither list.
_ON_GPU = ("triton", "cuda", "torch_fa2")
_ON_CPU = ("torch_fa2",)
_SLOW = "on a processor it is interpreted, and slow: it runs there only when asked for by name"


def statuses() -> dict[str, Status]:
    """Say of every backend by name whether it can run on this machine, and why not."""
    found = {}
    for name, entry in _ENTRIES.items():
        reason = entry.here()
        said = reason or (entry.how if isinstance(entry.how, str) else entry.how())
        found[name] = Status(name, reason is None, said)
    return found


def choose(name: str, q: Tensor, k: Tensor, v: Tensor, spec: Spec) -> str:
    """Give the backend for one call. Raises ValueError for an unknown name, BackendError for one that cannot do it."""
    if name == "auto":
        return _choice(q, v, spec).name
    checked_name(name)
    if reason := _refusal(name, q, v, spec):
        raise BackendError(f"backend {name!r} cannot do this: {reason}. backend='auto' takes one that can")
    return name


def explain(q: Tensor, k: Tensor, v: Tensor, spec: Spec) -> Choice:
    """Make the choice of "auto". On a processor, say also why it takes none of those that are for a GPU."""
    choice = _choice(q, v, spec)
    if q.is_cuda:
        return choice
    for_gpu = [name for name in _ON_GPU if name not in _ON_CPU]
    return Choice(choice.name, {n: _refusal(n, q, v, spec) or _SLOW for n in for_gpu} | choice.refused)


def _choice(q: Tensor, v: Tensor, spec: Spec) -> Choice:
    refused: dict[str, str] = {}
    for name in _ON_GPU if q.is_cuda else _ON_CPU:
        reason = _refusal(name, q, v, spec) or _ENTRIES[name].waits()
        if reason is None:
            return Choice(name, refused)
        refused[name] = reason
    raise BackendError(f"no backend can do this: {refused}")


def checked_name(name: str) -> str:
    """Give back the name of a backend, or "auto". Raises ValueError for any other."""
    if not isinstance(name, str) or name not in ("auto", *_ENTRIES):
        raise ValueError(f"backend must be 'auto' or one of {', '.join(_ENTRIES)}, got {name!r}")
    return name


def checked_sizes(block_q: int | None, block_k: int | None) -> dict[str, int]:
    """Give those that are not None, by name. Raises TypeError or ValueError unless they are whole numbers from 1."""
    sizes = {name: size for name, size in (("block_q", block_q), ("block_k", block_k)) if size is not None}
    for name, size in sizes.items():
        checks.whole(name, size, ", or None for the backend's own")
        if size < 1:
            raise ValueError(f"{name} must be at least 1, or None for the backend's own, got {size}")
    return sizes


def load(name: str, *, block_q: int | None = None, block_k: int | None = None) -> Backend:
    """Import a backend. Its functions are those of `Backend`, bound to the block sizes that are given.

    Raises what `checked_sizes` raises, and BackendError where the backend chooses the sizes itself.
    """
    module = import_module(_ENTRIES[name].module)
    sizes = checked_sizes(block_q, block_k)
    if not sizes:
        return cast(Backend, module)
    if not sizes.keys() <= signature(module.forward).parameters.keys():
        came = ", ".join(f"{key}={size}" for key, size in sizes.items())
        raise BackendError(f"backend {name!r} takes no block sizes, got {came}; backends with tiles do")
    bound = SimpleNamespace(forward=partial(module.forward, **sizes), backward=partial(module.backward, **sizes))
    return cast(Backend, bound)


def _refusal(name: str, q: Tensor, v: Tensor, spec: Spec) -> str | None:
    entry = _ENTRIES[name]
    return entry.here() or entry.fits(q, v, spec)


class _CallableModule(ModuleType):
    """`tilewise.backends` is this package, and `tilewise.backends()` asks it: one name for the reader, two uses."""

    def __call__(self) -> dict[str, Status]:
        return statuses()


sys.modules[__name__].__class__ = _CallableModule
