"""Processes that answer for the doctor: each with a deadline, and dead with all that it started when that has come."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from autograder.course.model import Text

QUESTIONS = Path(__file__).with_name("questions.py")
SECONDS = 12.5  # `tilewise doctor` promises an answer in 15
SLOW_REMEDY = Text(
    en="The machine is slow or busy: close other programs and run `tilewise doctor` again.",
    zh="机器很慢或很忙：请关掉其他程序，再运行一次 `tilewise doctor`。",
)
MEND_FIRST = Text(
    en="Mend the other things that are marked, run `make setup` again, then `tilewise doctor`.",
    zh="请先解决其他标出的问题，再运行 `make setup`，然后运行 `tilewise doctor`。",
)


class Unanswered(Exception):
    """A question got no answer, or an error for one; says why in both languages."""

    def __init__(self, reason: Text, *, is_late: bool = False) -> None:
        super().__init__(reason.en)
        self.reason, self.is_late = reason, is_late


def too_late(seconds: float) -> Unanswered:
    reason = Text(en=f"did not answer within {seconds:g} s", zh=f"{seconds:g} 秒内没有回应")
    return Unanswered(reason, is_late=True)


class Questioner:
    """One run of questions.py, whose answers come in one by one; to be used in a `with`."""

    def __init__(self, group: str, environment: Mapping[str, str] | None = None, *, seconds: float = SECONDS) -> None:
        self._seconds = seconds
        self._deadline = time.monotonic() + seconds
        self._said = tempfile.TemporaryFile()  # noqa: SIM115, it lives as long as the process
        # -P: a learner's own torch.py in the present folder says nothing about the environment.
        self._process = subprocess.Popen(
            [sys.executable, "-P", str(QUESTIONS), group],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=self._said,
            env=environment,
            start_new_session=True,
        )
        self._answers: dict[str, dict[str, Any]] = {}
        self._has_ended = False
        self._news = threading.Condition()
        self._listener = threading.Thread(target=self._listen, daemon=True)
        self._listener.start()

    def __enter__(self) -> Questioner:
        return self

    def __exit__(self, *_: object) -> None:
        _kill(self._process)
        self._listener.join()
        self._said.close()

    def fact(self, name: str) -> Any:
        """Wait for one answer; raise Unanswered when there is none in time, or an error in its place."""
        with self._news:
            left = max(0.0, self._deadline - time.monotonic())
            self._news.wait_for(lambda: name in self._answers or self._has_ended, timeout=left)
            answer, has_ended = self._answers.get(name), self._has_ended
        if answer is None:
            raise self._death() if has_ended else too_late(self._seconds)
        if "error" in answer:
            raise Unanswered(Text(en=answer["error"], zh=answer["error"]))
        return answer["value"]

    def _listen(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if line.endswith(b"\n"):  # else it was killed in the middle of an answer
                answer = json.loads(line)
                with self._news:
                    self._answers[answer["fact"]] = answer
                    self._news.notify_all()
        self._process.wait()
        with self._news:
            self._has_ended = True
            self._news.notify_all()

    def _death(self) -> Unanswered:
        self._said.seek(0)
        lines = self._said.read().decode(errors="replace").strip().splitlines()
        last = f": {lines[-1]}" if lines else ""
        code = self._process.returncode
        return Unanswered(Text(en=f"crashed (exit code {code}){last}", zh=f"崩溃了（退出码 {code}）{last}"))


def run(command: Sequence[str], *, seconds: float = SECONDS) -> str:
    """Run a program and give what it printed; raise Unanswered when it fails, or is not done in time."""
    process = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
        start_new_session=True,
    )
    try:
        printed, said = process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        _kill(process)
        raise too_late(seconds) from None
    if process.returncode != 0:
        first = next((f": {line.strip()}" for line in said.splitlines() if line.strip()), "")
        raise Unanswered(
            Text(en=f"failed (exit code {process.returncode}){first}", zh=f"失败（退出码 {process.returncode}）{first}")
        )
    return printed


def _kill(process: subprocess.Popen[Any]) -> None:
    """Kill a process that leads a session, and what it started (a compiler's passes, for one)."""
    if process.poll() is not None:
        return
    with contextlib.suppress(ProcessLookupError, PermissionError):  # macOS refuses where only zombies are left
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
