"""The functions that kernels call."""

from collections.abc import Callable
from typing import Any

import triton


def inlined(function: Callable[..., Any]) -> Any:
    """Make a function that kernels call.

    An interpreted kernel is Python and can call it as it is. Had `triton.jit` decorated it, the interpreter would
    prepare itself anew at every call, half a millisecond each time.
    """
    return function if triton.knobs.runtime.interpret else triton.jit(function)
