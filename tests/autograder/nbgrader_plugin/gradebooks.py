"""Run the commands an instructor runs, and read what they left in the gradebook."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from nbgrader.api import Gradebook

from autograder.course.ids import exercise_id
from tests.autograder.nbgrader_plugin.handins import CHAPTER, NOTEBOOK

LONGEST_S = 900  # only what hangs takes so long


@dataclass(frozen=True)
class Standing:
    """One grade: what nbgrader recorded for a cell of a student."""

    auto: float | None
    manual: float | None
    needs_person: bool


def db_url(classroom: Path) -> str:
    return f"sqlite:///{classroom / 'gradebook.db'}"


def run(classroom: Path, *command: str, expect: int = 0, environment: dict[str, str] | None = None) -> str:
    """Run `tilewise ...` or `nbgrader ...` in a class, as from a shell; fail unless it ends with status `expect`."""
    program = Path(sys.executable).parent / command[0]
    done = subprocess.run(
        [program, *command[1:]], cwd=classroom, capture_output=True, text=True, timeout=LONGEST_S, check=False,
        env=os.environ | (environment or {}),
    )  # fmt: skip
    output = done.stdout + done.stderr
    assert done.returncode == expect, f"{' '.join(command)} ended with {done.returncode}:\n{output}"
    return output


def standings(classroom: Path, assignment: str = CHAPTER) -> dict[str, dict[str, Standing]]:
    """Give student -> id of exercise, question or written answer -> grade."""
    with Gradebook(db_url(classroom)) as gradebook:
        return {
            submission.student.id: {
                exercise_id(grade.name): Standing(grade.auto_score, grade.manual_score, grade.needs_manual_grade)
                for notebook in submission.notebooks
                for grade in notebook.grades
            }
            for submission in gradebook.assignment_submissions(assignment)
        }


def set_manual_mark(classroom: Path, student: str, grade: str, points: float) -> None:
    """Do what formgrader does when a person types a mark."""
    with Gradebook(db_url(classroom)) as gradebook:
        found = gradebook.find_grade(grade, NOTEBOOK, CHAPTER, student)
        found.manual_score, found.needs_manual_grade = points, False
        gradebook.db.commit()


def comment_on(classroom: Path, student: str, cell: str) -> str | None:
    with Gradebook(db_url(classroom)) as gradebook:
        return gradebook.find_comment(cell, NOTEBOOK, CHAPTER, student).comment


def autograded(classroom: Path, student: str) -> Path:
    return classroom / "autograded" / student / CHAPTER / f"{NOTEBOOK}.ipynb"


def feedback(classroom: Path, student: str) -> Path:
    return classroom / "feedback" / student / CHAPTER / f"{NOTEBOOK}.html"
