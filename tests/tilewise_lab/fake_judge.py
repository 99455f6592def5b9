"""A judge that needs no worker: stands in for `autograder.judge.client` where a test is about the notebook."""

from __future__ import annotations

import os
import sys
import types
from pathlib import Path

from autograder.course.model import Text
from autograder.course.reading import load_course
from autograder.judge.verdict import Kind, PropertyResult, Verdict


class JudgeError(Exception):
    """As in the real client."""


class Judge:
    """Passes a text that holds RIGHT, raises for BROKEN_JUDGE, else gives the first property only."""

    def __init__(self, *, course: Path | None = None, rung: str | None = None) -> None:
        self._note("started")

    def verdict(self, exercise_id: str, source: str, *, seed: int | None = None, grading: bool = False) -> Verdict:
        if "BROKEN_JUDGE" in source:
            raise JudgeError("the judge's process ended (signal 9); is there enough memory?")
        exercise = load_course().exercises[exercise_id]
        passed = [True, *("RIGHT" in source for _ in list(exercise.properties)[1:])]
        properties = tuple(
            PropertyResult(
                name=name,
                text=Text(en=p.en, zh=p.zh),
                kind=Kind.PASSED if ok else Kind.WRONG,
                points=p.points if ok else 0.0,
                max_points=p.points,
            )
            for ok, (name, p) in zip(passed, exercise.properties.items(), strict=True)
        )
        return Verdict(
            exercise=exercise_id,
            kind=Kind.PASSED if all(passed) else Kind.WRONG,
            points=sum(p.points for p in properties),
            max_points=exercise.points,
            properties=properties,
            headline=Text(en=f"Judged with seed {seed}.", zh=f"随机种子 {seed}。"),
            printed=source,
        )

    def close(self) -> None:
        self._note("closed")

    @staticmethod
    def _note(event: str) -> None:
        with Path(os.environ.get("FAKE_JUDGE_LOG", os.devnull)).open("a") as log:
            log.write(f"{event}\n")


def install() -> None:
    """Put this module in the place of the client, before anything imports that."""
    module = types.ModuleType("autograder.judge.client")
    module.Judge, module.JudgeError = Judge, JudgeError  # type: ignore[attr-defined]
    sys.modules["autograder.judge.client"] = module
