"""Checks of arguments that many functions take: what was expected, what came, and what to do."""

from __future__ import annotations

import math
from collections.abc import Callable
from numbers import Integral, Real
from typing import Any

import torch
from torch import Tensor


def dense(name: str, x: Any, unless_nested: str = "pad it, and hide the padding with a mask") -> None:
    """Raise TypeError unless x is a tensor whose numbers lie in a grid. unless_nested: what to do with another one"""
    if not isinstance(x, Tensor):
        remedy = f"; give torch.as_tensor({name})" if hasattr(x, "__array__") or isinstance(x, list | tuple) else ""
        raise TypeError(f"{name} must be a torch.Tensor, got {type(x).__name__}{remedy}")
    if x.is_nested:
        raise TypeError(f"{name} must be a dense tensor, got a nested tensor; {unless_nested}")
    if x.layout is not torch.strided:
        raise TypeError(f"{name} must be a dense tensor, got {x.layout}; give {name}.to_dense()")


def number(name: str, value: Any, expected: str, fits: Callable[[float], bool], remedy: str = "") -> None:
    """Raise unless value is a finite number that fits. A tensor is none: it might want a gradient, and gets none."""
    if not isinstance(value, Real) or isinstance(value, bool):
        remedy = f"; give {name}.item() where no gradient is wanted" if isinstance(value, Tensor) else remedy
        raise TypeError(f"{name} must be a finite number {expected}, got {type(value).__name__}{remedy}")
    if not (math.isfinite(value) and fits(float(value))):
        raise ValueError(f"{name} must be a finite number {expected}, got {value}{remedy}")


def dropout_share(name: str, value: Any) -> None:
    """Raise unless value is a share that dropout can set to 0."""
    remedy = "; it is a share of the weights: 0.1 drops one in ten, 0 drops none"
    number(name, value, "in [0, 1)", lambda share: 0 <= share < 1, remedy)


def is_whole(value: Any) -> bool:
    """Say whether value is a whole number, Python's or NumPy's, and no flag."""
    return isinstance(value, Integral) and not isinstance(value, bool)


def whole(name: str, value: Any, besides: str = "") -> None:
    """Raise TypeError unless value is a whole number. besides: what else may be given, for the message"""
    if not is_whole(value):
        remedy = "; divide with //, or give int() of it" if isinstance(value, float) else ""
        raise TypeError(f"{name} must be a whole number{besides}, got {value!r}{remedy}")
