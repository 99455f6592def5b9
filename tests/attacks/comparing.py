"""Compare a graded class with what everybody in it must get, and write that down as a table."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping
from pathlib import Path

import nbformat

from autograder.judge.printable import one_line
from autograder.judge.verdict import Verdict
from autograder.nbgrader_plugin.execute import verdicts_of
from tests.attacks.roll import Outcome, Submission
from tests.autograder.nbgrader_plugin.gradebooks import autograded, standings

REFUSED = "MF"  # malformed: nothing was judged, and the student is told why
LONGEST_NAME = 60


def verdicts(classroom: Path, student: str) -> dict[str, Verdict]:
    """Give the verdicts by exercise; none of a hand-in that was refused, or not graded yet."""
    file = autograded(classroom, student)
    return verdicts_of(nbformat.read(file, as_version=4)) if file.is_file() else {}


def surprises(classroom: Path, roll: Mapping[str, Submission]) -> Iterator[str]:
    """Say what is not as listed: marks, verdict and mistake of each exercise, and what waits for a person."""
    found = standings(classroom)
    for student, submission in roll.items():
        if student not in found:
            yield f"{shown(student)}: not in the gradebook"
            continue
        given = verdicts(classroom, student)
        for exercise, expected in submission.outcomes.items():
            marks, verdict = found[student][exercise].auto, given.get(exercise)
            where = f"{shown(student)}, {exercise}"
            if marks != expected.points:
                yield f"{where}: {marks} points, expected {expected.points}"
            if (verdict is not None) != bool(expected.kinds):
                yield f"{where}: {'judged' if verdict else 'not judged'}"
            elif verdict and (verdict.kind not in expected.kinds or verdict.mistake != expected.mistake):
                yield f"{where}: {verdict.kind} {verdict.mistake}, expected {said(expected)}"
        waiting = {label for label, grade in found[student].items() if grade.needs_person}
        if waiting != submission.flagged:
            yield f"{shown(student)}: waits for a person at {sorted(waiting)}, expected {sorted(submission.flagged)}"


def write_expectations(file: Path, roll: Mapping[str, Submission]) -> None:
    """Write one line a student: what each exercise must come to, what waits for a person, what the notes must say."""
    exercises = list(dict.fromkeys(exercise for s in roll.values() for exercise in s.outcomes))
    with file.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["student", *(f"{e} {what}" for e in exercises for what in ("marks", "verdict")),
                         "waits for a person", "notes say"])  # fmt: skip
        for student, submission in roll.items():
            outcomes = [submission.outcomes[exercise] for exercise in exercises]
            cells = [cell for outcome in outcomes for cell in (f"{outcome.points:g}", said(outcome))]
            writer.writerow(
                [shown(student), *cells, " ".join(sorted(submission.flagged)), " | ".join(submission.notes)]
            )


def said(outcome: Outcome) -> str:
    """Write an outcome in a few words: "WA sum_not_rescaled", "TLE or PE"."""
    kinds = " or ".join(sorted(outcome.kinds)) or REFUSED
    return f"{kinds} {outcome.mistake}" if outcome.mistake else kinds


def shown(student: str) -> str:
    """Give a student's name as a terminal and a spreadsheet may see it."""
    name = one_line(student, width=LONGEST_NAME)
    return f"'{name}" if name.startswith(("=", "+", "-", "@")) else name
