"""Ask the judge for verdicts. The judge is a child process that this one starts; torch is never imported here."""

from __future__ import annotations

import contextlib
import json
import os
import select
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import IO, Any

from autograder.course.model import CourseError, Text
from autograder.course.reading import course_root
from autograder.judge.verdict import Verdict

RUNGS = ("namespaces", "bubblewrap", "landlock", "child")
START_SECONDS = 120.0
VERDICT_SECONDS = 300.0
CLOSE_SECONDS = 5.0
LAST_LINES = 15


class JudgeError(Exception):
    """The judge itself could not run: says why, and what to do. Never about the answer being wrong."""


class Judge:
    """A judge in a child process, started at once and not waited for. Safe to use from several threads.

    course: the course's folder; None finds it as `course_root` does.   rung: the isolation to insist on ("namespaces",
    "bubblewrap", "landlock" or "child"); None takes the best that holds on this machine.
    """

    def __init__(self, *, course: Path | None = None, rung: str | None = None) -> None:
        if rung is not None and rung not in RUNGS:
            raise JudgeError(f"rung must be one of {', '.join(RUNGS)}, got {rung!r}")
        try:
            self._course = Path(course) if course is not None else course_root()
        except CourseError as error:
            raise JudgeError(f"The judge found no course. {error}") from error
        self._wanted = rung
        self._lock = threading.Lock()
        self._number = 0
        self._is_closed = False
        self._child: _Child | None = _Child(self._course, rung)

    def __enter__(self) -> Judge:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def rung(self) -> str:
        """The isolation that holds here; waits until the child has found out."""
        with self._lock:
            return self._running().rung()

    @property
    def refused(self) -> dict[str, str]:
        """Why each better rung is not the one that holds: rung -> reason."""
        with self._lock:
            return self._running().refused()

    @property
    def remarks(self) -> list[Text]:
        """What is not as it should be with the user that the judge runs as; mostly nothing."""
        with self._lock:
            return self._running().remarks()

    def verdict(self, exercise_id: str, source: str, *, seed: int | None = None, grading: bool = False) -> Verdict:
        """Judge the text of one cell.

        seed: draws the inputs; None draws a fresh one.   grading: needs a seed, and the verdict holds no inputs.
        Raises JudgeError when there is no verdict to give.
        """
        if grading and seed is None:
            raise JudgeError("grading needs a seed, the same for every hand-in; pass seed=")
        with self._lock:
            child = self._running()
            self._number += 1
            request = {"id": self._number, "exercise": exercise_id, "source": source, "seed": seed, "grading": grading}
            answer = child.ask(request)
        return Verdict.model_validate(answer)

    def close(self) -> None:
        """End the child and everything that it started."""
        with self._lock:
            self._is_closed = True
            if self._child is not None:
                self._child.close()
                self._child = None

    def _running(self) -> _Child:
        """Give the child; after its death a new one on the same rung, for one crash must not end a working day."""
        if self._is_closed:
            raise JudgeError("this judge is closed; make a new one")
        if self._child is None or self._child.is_dead:
            held = self._child.held() if self._child is not None else None
            if self._child is not None:
                self._child.close()
            self._child = _Child(self._course, self._wanted or held)
        return self._child


class _Child:
    """The service process, its two pipes and what it writes to stderr."""

    def __init__(self, course: Path, rung: str | None) -> None:
        self._complaints: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115, it lives as long as the child
        self._replies, theirs = os.pipe()
        # -P: a torch.py beside the notebook is a student's, and must not be imported.
        command = [sys.executable, "-P", "-m", "autograder.judge.service", str(theirs), str(course.absolute())]
        try:
            self._process = subprocess.Popen(
                [*command, *([rung] if rung else [])],
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=self._complaints,
                pass_fds=[theirs],
                env=_environment(),
                start_new_session=True,  # an interrupt of the notebook is not meant for the judge
            )
        finally:
            os.close(theirs)
        self._buffer = b""
        self._greeting: dict[str, Any] | None = None
        self.is_dead = False

    def rung(self) -> str:
        return str(self._greeted()["rung"])

    def held(self) -> str | None:
        """Give the rung that it had, if it came to have one."""
        return None if self._greeting is None else self.rung()

    def refused(self) -> dict[str, str]:
        return dict(self._greeted()["refused"])

    def remarks(self) -> list[Text]:
        return [Text.model_validate(remark) for remark in self._greeted()["remarks"]]

    def ask(self, request: dict[str, Any]) -> Any:
        self._greeted()
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps(request).encode() + b"\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            raise self._death("it ended") from None
        deadline = time.monotonic() + VERDICT_SECONDS
        while True:
            message = self._read(deadline)
            if message.get("id") != request["id"]:
                continue  # the answer to a request whose caller was interrupted
            if "error" in message:
                self.is_dead = message["ended"]
                again = ". Ask again: that starts a new judge" if self.is_dead else ""
                raise JudgeError(f"The judge could not judge {request['exercise']}: {message['error']}{again}")
            return message["verdict"]

    def _greeted(self) -> dict[str, Any]:
        if self._greeting is None:
            greeting = self._read(time.monotonic() + START_SECONDS)
            if "failed" in greeting:
                self.is_dead = True
                raise JudgeError(f"The judge could not start. {greeting['failed']}")
            self._greeting = greeting
        return self._greeting

    def _read(self, deadline: float) -> dict[str, Any]:
        while b"\n" not in self._buffer:
            left = deadline - time.monotonic()
            if left <= 0 or not select.select([self._replies], [], [], left)[0]:
                raise self._death("it did not answer in time, and was ended")
            data = os.read(self._replies, 1 << 16)
            if not data:
                raise self._death("it ended")
            self._buffer += data
        line, self._buffer = self._buffer.split(b"\n", 1)
        return dict(json.loads(line))

    def _death(self, what: str) -> JudgeError:
        self.is_dead = True
        self._end()
        self._complaints.seek(0)
        said = self._complaints.read().decode(errors="replace").strip().splitlines()[-LAST_LINES:]
        last = "\n".join(said) or "(it wrote nothing to stderr)"
        return JudgeError(
            f"The judge's process failed: {what} (exit code {self._process.returncode}). Ask again, or run again what "
            f"asked: that starts a new one. It said:\n{last}"
        )

    def _end(self) -> None:
        """Close its input, which ends it and its fork server; kill it if it does not go."""
        if self._process.stdin is not None:
            with contextlib.suppress(BrokenPipeError):
                self._process.stdin.close()
        if not self.is_dead:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(CLOSE_SECONDS)
        self._process.kill()
        self._process.wait()

    def close(self) -> None:
        self._end()
        if self._replies >= 0:
            os.close(self._replies)
            self._replies = -1
        self._complaints.close()


def _environment() -> dict[str, str]:
    """The caller's environment, with this package importable and one thread only, so that the child may fork."""
    here = str(Path(__file__).resolve().parents[2])
    paths = [here, str(Path(here, "src")), *filter(None, [os.environ.get("PYTHONPATH")])]
    return os.environ | {
        "PYTHONPATH": os.pathsep.join(paths),
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONUNBUFFERED": "1",
        "OMP_NUM_THREADS": "1",
        "MKL_NUM_THREADS": "1",
    }
