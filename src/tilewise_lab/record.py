"""progress.json: what a learner has done, one file for both languages, kept by exercise and question id.

    {"format": 1,
     "exercises": {"online_softmax.streaming": {"best": 4.0, "of": 6.0, "passed": false, "tries": 3, "hints": 1}},
     "questions": {"online_softmax.q1": {"answered": true, "right": true, "tries": 2}}}

`tilewise learn` makes the file. It is looked for from the notebook's folder upward; where there is none, this session's
memory stands in and nothing is written. Keys that this version does not know are kept as they are.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from autograder.course.datafile import DataFileError, locked, read_json, set_aside, write_json
from autograder.course.model import Text
from autograder.judge.verdict import Kind, Verdict
from tilewise_lab import place

FILE_NAME = "progress.json"
FILE_LIMIT = 4 * 1024 * 1024
FORMAT = 1
# my/en/03_online_softmax lies two folders below my/; further up, a file of that name is somebody else's.
FOLDERS_UP = 3

Count = Annotated[int, Field(ge=0)]
Points = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class _Entry(BaseModel):
    model_config = ConfigDict(extra="allow", validate_assignment=True)


class ExerciseRecord(_Entry):
    """One exercise: best points so far, and how many hints were read."""

    best: Points = 0.0
    of: Points = 0.0
    passed: bool = False
    tries: Count = 0
    hints: Count = 0


class QuestionRecord(_Entry):
    """One question. `right` stays None for a graded one: nobody has said so yet."""

    answered: bool = False
    right: bool | None = None
    tries: Count = 0


class Record(_Entry):
    """The whole file."""

    format: Literal[1] = 1
    exercises: dict[str, ExerciseRecord] = {}
    questions: dict[str, QuestionRecord] = {}


class NewerRecordError(Exception):
    """progress.json was written by a newer Tilewise: it is left alone."""


SET_ASIDE = Text(
    en="progress.json could not be read ({reason}). It is kept as {kept}, and a new one has been started.",
    zh="progress.json 无法读取（{reason}）。原文件已保留为 {kept}，并新建了一份。",
)
NEWER = Text(
    en="progress.json was written by a newer version of Tilewise, so this was not recorded. Update, then go on.",
    zh="progress.json 由更新版本的 Tilewise 写成，因此这次没有记录。请先更新。",
)
NOT_WRITTEN = Text(
    en="This could not be recorded in progress.json: {reason}.", zh="无法写入 progress.json，这次没有记录：{reason}。"
)
_session = Record()


def find(start: Path) -> Path | None:
    """Find progress.json in the notebook's folder, `start`, or the ones above it."""
    for folder in [start, *start.parents][: FOLDERS_UP + 1]:
        if (folder / FILE_NAME).is_file():
            return folder / FILE_NAME
    return None


def peek(start: Path) -> Record | None:
    """Read the record of a notebook's folder and change nothing; None where there is none that can be read."""
    file = find(start)
    if file is None:
        return None
    try:
        return Record.model_validate({} if (raw := read_json(file, limit=FILE_LIMIT)) is None else raw)
    except (DataFileError, ValidationError):
        return None


def load() -> tuple[Record, str]:
    """Return the record and a message for the learner, empty when all is well."""
    return change(lambda record: None, write=False)


def change(edit: Callable[[Record], None], *, write: bool = True) -> tuple[Record, str]:
    """Apply `edit` to the record under the file's lock; return the new record and a message for the learner.

    Grading and validating are no work of the learner's: nothing is written then.
    """
    global _session
    file = find(place.folder())
    if file is None or os.environ.get("NBGRADER_EXECUTION"):
        edit(_session)
        return _session, ""
    language = place.language()
    try:
        with locked(file):
            record, message = _read(file)
            edit(record)
            if write or message:
                write_json(file, record.model_dump(mode="json"))
            return record, message
    except NewerRecordError:
        edit(_session)
        return _session, NEWER[language]
    except OSError as error:
        edit(_session)
        return _session, NOT_WRITTEN[language].format(reason=error.strerror or error)


def add_verdict(verdict: Verdict) -> str:
    """Record one checked answer; best points only grow. Returns a message, empty when all is well.

    A starter that Run-All checked is no try.
    """
    if verdict.kind is Kind.NOT_STARTED:
        return ""

    def edit(record: Record) -> None:
        entry = record.exercises.setdefault(verdict.exercise, ExerciseRecord())
        entry.tries += 1
        entry.best = max(entry.best, verdict.points)
        entry.of = verdict.max_points
        entry.passed = entry.passed or verdict.passed

    return change(edit)[1]


def add_answer(question_id: str, right: bool | None) -> str:
    """Record one answered question; a practice question once right stays so. Returns a message."""

    def edit(record: Record) -> None:
        entry = record.questions.setdefault(question_id, QuestionRecord())
        entry.tries += 1
        entry.answered = True
        entry.right = None if right is None else (entry.right or right)

    return change(edit)[1]


def _read(file: Path) -> tuple[Record, str]:
    try:
        raw = read_json(file, limit=FILE_LIMIT)
        if isinstance(raw, dict) and isinstance(number := raw.get("format"), int) and number > FORMAT:
            raise NewerRecordError(f"{file} has format {number}, this version knows {FORMAT}")
        return Record.model_validate({} if raw is None else raw), ""
    except DataFileError as error:
        reason = str(error)
    except ValidationError as error:
        first = error.errors()[0]
        reason = f"{'.'.join(str(part) for part in first['loc'])}: {first['msg']}"[:120]
    kept = set_aside(file)
    return Record(), SET_ASIDE[place.language()].format(reason=reason, kept=kept.name)
