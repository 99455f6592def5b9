"""Hand-ins made from a real release, as students would leave them: run `python -m` on it to fill a class by hand.

python -m tests.autograder.nbgrader_plugin.handins DIR    fills DIR/submitted with the six of `six`
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from autograder.course.ids import answer_grade_id, grade_id, solution_grade_id
from autograder.course.model import Chapter, Course
from autograder.course.notebook import key_of
from autograder.course.reading import load_course

CHAPTER = "03_online_softmax"
NOTEBOOK = "online_softmax"
TWO_PASS, STREAMING, QUESTION, WRITTEN = (f"{NOTEBOOK}.{name}" for name in ("two_pass", "streaming", "q7", "w1"))
RELEASES = {"en": "release", "zh": "release_zh"}


@dataclass(frozen=True)
class HandIn:
    """What one student hands in. code: exercise -> its text; picked: answers.json; typed: question -> source."""

    student: str
    language: str = "en"
    code: Mapping[str, str] = field(default_factory=dict)
    picked: Mapping[str, Any] = field(default_factory=dict)
    typed: Mapping[str, str] = field(default_factory=dict)
    written: str | None = None
    raw: bytes | None = None

    def write(self, classroom: Path) -> Path:
        """Put the hand-in under submitted/; give its folder."""
        folder = classroom / "submitted" / self.student / CHAPTER
        folder.mkdir(parents=True, exist_ok=True)
        file = folder / f"{NOTEBOOK}.ipynb"
        if self.raw is not None:
            file.write_bytes(self.raw)
            return folder
        texts = {solution_grade_id(name): text for name, text in self.code.items()}
        texts |= {answer_grade_id(name): text for name, text in self.typed.items()}
        if self.written is not None:
            texts[grade_id(WRITTEN)] = self.written
        save(folder, filled(released(classroom, self.language), texts))
        if self.picked:
            (folder / "answers.json").write_text(json.dumps(self.picked), encoding="utf-8")
        return folder


def released(classroom: Path, language: str = "en") -> dict[str, Any]:
    """Read the release that a student starts from."""
    file = classroom / RELEASES[language] / CHAPTER / f"{NOTEBOOK}.ipynb"
    return json.loads(file.read_text(encoding="utf-8"))


def save(folder: Path, notebook: dict[str, Any]) -> None:
    (folder / f"{NOTEBOOK}.ipynb").write_text(json.dumps(notebook), encoding="ascii")


def filled(notebook: dict[str, Any], texts: Mapping[str, str]) -> dict[str, Any]:
    """Type texts into cells, by grade id; raise KeyError for a cell that is not there."""
    cells = {label_of(cell): cell for cell in notebook["cells"]}
    for label, text in texts.items():
        cells[label]["source"] = text
    return notebook


def label_of(cell: Mapping[str, Any]) -> str:
    return cell["metadata"].get("nbgrader", {}).get("grade_id", "")


def variant(course: Course, exercise: str, kind: str, name: str = "") -> str:
    """Give the text of one of the course's own answers: kind is "solution", "right" or "wrong"."""
    found = course.exercises[exercise]
    if kind == "solution":
        return found.solution_path.read_text(encoding="utf-8")
    return found.variants(kind)[name].read_text(encoding="utf-8")  # type: ignore[arg-type]


def key(course: Course) -> Any:
    return key_of(course.questions[QUESTION])


def wrong_key(course: Course) -> str:
    return next(o.key for o in course.questions[QUESTION].options if not o.correct)


def six(course: Course) -> list[HandIn]:
    """Right, right by another method, two different misconceptions (one in Chinese), the blank starter, broken JSON."""
    solution = {name: variant(course, name, "solution") for name in (TWO_PASS, STREAMING)}
    other = {name: variant(course, name, "right", next(iter(rights(course, name)))) for name in (TWO_PASS, STREAMING)}
    not_rescaled = {TWO_PASS: solution[TWO_PASS], STREAMING: variant(course, STREAMING, "wrong", "sum_not_rescaled")}
    starts_at_zero = {
        TWO_PASS: variant(course, TWO_PASS, "wrong", "max_starts_at_zero"),
        STREAMING: solution[STREAMING],
    }
    return [
        HandIn("ada", code=solution, picked={QUESTION: key(course)}, written="Because `l` is rescaled with m."),
        HandIn("bob", code=other, typed={QUESTION: f"q7 = {key(course)!r}"}),
        HandIn("cyd", code=not_rescaled, picked={QUESTION: wrong_key(course)}, written="<b>No</b> idea, $l$ grows."),
        HandIn(
            "dan", "zh", code=starts_at_zero, typed={QUESTION: f'q7 = "{wrong_key(course)}"'}, written="因为要重缩放。"
        ),
        HandIn("eve"),
        HandIn("fay", raw=b'{"cells": [{"cell_type": "code", "source": "x = 1"'),
    ]


def rights(course: Course, exercise: str) -> dict[str, Path]:
    return course.exercises[exercise].variants("right")


def chapter(course: Course) -> Chapter:
    return course.chapter(CHAPTER)


if __name__ == "__main__":
    for hand_in in six(load_course()):
        print(hand_in.write(Path(sys.argv[1])))
