"""The hostile class: everybody who hands in. `python -m scripts.hostile_class DIR` makes it, to be graded by hand."""

from __future__ import annotations

from pathlib import Path

from autograder.course.model import Course
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
