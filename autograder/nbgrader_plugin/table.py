"""Show what a run of `tilewise grade` gave: a table for the terminal, a CSV file for everything else."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from rich import box
from rich.console import Group
from rich.table import Table
from rich.text import Text as Cell

from autograder.judge.printable import one_line
from autograder.judge.verdict import Kind
from autograder.nbgrader_plugin.grade import FAILED, GRADED, CellMark, Result

STYLE = {GRADED: "green", FAILED: "bold red"}
# A spreadsheet runs a cell that begins with one of these as a formula.
FORMULA = ("=", "+", "-", "@", "\t", "\r")


def as_table(results: Sequence[Result]) -> Group:
    """Draw one assignment's marks, and below them the mistake that was recognised in each exercise, and the notes."""
    labels = labels_of(results)
    table = Table(title=results[0].assignment if results else None, title_justify="left", box=box.SIMPLE_HEAD)
    table.add_column("student", overflow="fold")
    table.add_column("marks", justify="right", no_wrap=True)
    for label in labels:
        table.add_column(label.rpartition(".")[2], justify="right")
    table.add_column("status", no_wrap=True)
    for result in results:
        table.add_row(
            Cell(one_line(result.student)),
            "" if result.status == FAILED else f"{result.points - result.penalty:g} / {result.max_points:g}",
            *(_shown(result.marks.get(label)) for label in labels),
            Cell(result.status, style=STYLE.get(result.status, "yellow")),
        )
    remarks = [
        Cell(f"  {one_line(result.student)} · {remark}")
        for result in results
        for remark in (*_mistakes(result), *(one_line(note, width=400) for note in result.notes))
    ]
    return Group(table, *remarks)


def write_csv(file: Path, results: Sequence[Result]) -> None:
    """Write one line a student: marks by exercise and question, what was wrong in each exercise, notes."""
    labels = labels_of(results)
    exercises = [label for label in labels if any(label in result.verdicts for result in results)]
    head = ["assignment", "student", "handed_in", "status", "marks", "max_marks", "late_penalty", *labels]
    for exercise in exercises:
        head += [f"{exercise} mistake", f"{exercise} failed properties"]
    with file.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow([*head, "notes"])
        writer.writerows([_safe(value) for value in _row(result, labels, exercises)] for result in results)


def labels_of(results: Iterable[Result]) -> list[str]:
    """Give the ids of all that is graded, exercises first, then questions and written answers."""
    found = {label: None for result in results for label in result.marks}
    exercises = {label for result in results for label in result.verdicts}
    return sorted(found, key=lambda label: (label not in exercises, label))


def _row(result: Result, labels: Sequence[str], exercises: Sequence[str]) -> Iterator[str]:
    yield from (result.assignment, result.student, result.timestamp, result.status)
    graded = result.status != FAILED
    yield from (f"{n:g}" if graded else "" for n in (result.points - result.penalty, result.max_points, result.penalty))
    for label in labels:
        mark = result.marks.get(label)
        yield "" if mark is None or mark.points is None else f"{mark.points:g}"
    for exercise in exercises:
        verdict = result.verdicts.get(exercise)
        yield (verdict.mistake or "") if verdict else ""
        yield " ".join(result.failed_properties(exercise))
    yield " | ".join(one_line(note, width=400) for note in result.notes)


def _shown(mark: CellMark | None) -> str:
    if mark is None:
        return ""
    return "?" if mark.points is None else f"{mark.points:g}/{mark.max_points:g}"


def _mistakes(result: Result) -> Iterator[str]:
    for exercise, verdict in result.verdicts.items():
        if not verdict.passed:
            kind = verdict.kind.name.lower().replace("_", " ")
            if verdict.kind is not Kind.NOT_STARTED:
                kind += f": {', '.join(result.failed_properties(exercise))}"
            yield f"{exercise.rpartition('.')[2]}: {verdict.mistake or kind}"


def _safe(value: str) -> str:
    value = value if value.isprintable() else one_line(value, width=len(value))
    return f"'{value}" if value.startswith(FORMULA) else value
