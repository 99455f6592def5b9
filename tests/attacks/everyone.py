"""The hostile class: everybody who hands in. `python -m tests.attacks.everyone DIR` fills DIR/submitted by hand."""

from __future__ import annotations

import sys
from pathlib import Path

from autograder.course.model import Course
from autograder.course.reading import load_course
from tests.attacks.cells import cells
from tests.attacks.files import files
from tests.attacks.honest import honest, language, outcome_of
from tests.attacks.roll import RIGHT, Submission, both
from tests.autograder.nbgrader_plugin.handins import STREAMING, TWO_PASS, HandIn, variant

MISTAKE = "sum_not_rescaled"


def hostile(course: Course, classroom: Path) -> list[Submission]:
    """Give the hostile hand-ins. classroom: where the class lies, which an attacker may well know."""
    right = {name: variant(course, name, "solution") for name in (TWO_PASS, STREAMING)}
    wrong = right | {TWO_PASS: variant(course, TWO_PASS, "wrong", MISTAKE)}
    attacks = cells(right[TWO_PASS], classroom)
    return [
        *(
            Submission(HandIn(name, language(number), code=right | {TWO_PASS: cell}), both(outcome, RIGHT))
            for number, (name, (cell, outcome)) in enumerate(attacks.items())
        ),
        *files(right, wrong, outcome_of(course, TWO_PASS, MISTAKE)),
    ]


def everyone(course: Course, classroom: Path) -> list[Submission]:
    return [*honest(course), *hostile(course, classroom)]


if __name__ == "__main__":
    folder = Path(sys.argv[1]).resolve()
    for submission in everyone(load_course(), folder):
        submission.write(folder)
        print(submission.student.encode("unicode_escape").decode())
