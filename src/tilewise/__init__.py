"""Softmax and attention, done well: readable, right where it is hard, with a choice of backends.

`import tilewise` is cheap: torch is imported with the first name that is used.
"""

from importlib import import_module
from typing import Any

_HOME = {
    "attention": "functional",
    "explain_backend": "functional",
    "BackendError": "backends",
    "naive_softmax": "softmax",
    "safe_softmax": "softmax",
    "online_softmax": "softmax",
    "logsumexp": "softmax",
    "local_softmax": "parts",
    "merge_softmax": "parts",
    "merge_many": "parts",
    "merge_tree": "parts",
    "merge_attention": "parts",
    "KVCache": "inference",
    "decode": "inference",
    "compile_cuda_extension": "backends.cuda.build",
}

_MODULES = ("backends", "blockwise", "inference", "nn", "parts", "softmax", "spec")

__all__ = sorted([*_HOME, *_MODULES])


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return import_module(f"tilewise.{name}")
    if name == "__version__":
        return import_module("importlib.metadata").version("tilewise")
    if name not in _HOME:
        raise AttributeError(f"module 'tilewise' has no attribute {name!r}; it has: {', '.join(__all__)}")
    return getattr(import_module(f"tilewise.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return [*globals(), *__all__, "__version__"]
