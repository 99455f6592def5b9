"""Try in a fork what cannot be undone: a filter, a confinement, another user."""

from __future__ import annotations

import json
import os
import traceback
from collections.abc import Callable
from typing import Any


def in_a_fork(action: Callable[[], Any]) -> Any:
    """Give what the action returns, as JSON carries it; an exception there fails the test here, with its traceback."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            told = {"returned": action()}
        except BaseException:
            told = {"failed": traceback.format_exc()}
        os.write(writing, json.dumps(told).encode())
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        text = pipe.read()
    _, status = os.waitpid(child, 0)
    assert text, f"the fork ended without a word, with status {status}"
    told = json.loads(text)
    assert "failed" not in told, told["failed"]
    return told["returned"]
