"""The one judge of this kernel: a child process, started early, shared by every check, closed at the end."""

from __future__ import annotations

import atexit
import threading
from typing import TYPE_CHECKING

from autograder.course.model import CourseError
from autograder.judge.verdict import Verdict

if TYPE_CHECKING:
    from autograder.judge.client import Judge

_lock = threading.Lock()
_judge: Judge | None = None


def judged(exercise_id: str, source: str, seed: int | None = None) -> Verdict:
    """Return the judge's verdict on one text; raises JudgeError when the judge itself could not run."""
    return _shared().verdict(exercise_id, source, seed=seed)


def start_in_background() -> None:
    """Start the judge's process without waiting for it."""
    threading.Thread(target=_start_quietly, name="tilewise-judge", daemon=True).start()


def close() -> None:
    """End the judge's process, if there is one."""
    global _judge
    with _lock:
        judge, _judge = _judge, None
    if judge is not None:
        judge.close()


def _shared() -> Judge:
    global _judge
    from autograder.judge.client import Judge

    with _lock:
        if _judge is None:
            _judge = Judge()
        return _judge


def _start_quietly() -> None:
    from autograder.judge.client import JudgeError

    try:
        _shared()
    except (JudgeError, CourseError, OSError):
        # Nobody has asked for a verdict yet: the first check tries again and raises the reason where it is read.
        return


atexit.register(close)
