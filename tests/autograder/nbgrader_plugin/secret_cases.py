"""Find the numbers of secret cases in what students get to see."""

from __future__ import annotations

import re
from pathlib import Path

import torch

from autograder.course.model import Course
from autograder.judge.checks import load_checks
from autograder.judge.drawing import draw
from autograder.nbgrader_plugin.seeds import secret_seed
from tests.autograder.nbgrader_plugin.gradebooks import db_url
from tests.autograder.nbgrader_plugin.handins import CHAPTER


def secret_numbers(classroom: Path, course: Course) -> set[str]:
    """Write out the numbers of every case that grading drew, to four digits and more."""
    seed = secret_seed(db_url(classroom), CHAPTER)
    numbers = {str(seed)}
    for exercise in course.exercises.values():
        for drawn in draw(exercise, load_checks(exercise.checks_path), seed):
            for value in drawn.case.arguments.values():
                if isinstance(value, torch.Tensor) and value.is_floating_point():
                    flat = value.flatten()[:2000].tolist()
                    numbers |= {f"{abs(x):.4f}" for x in flat if x == x and 0 < abs(x) < float("inf")}
    return {n for n in numbers if len(n.strip("0.")) >= 4}


def assert_no_secret(text: str, numbers: set[str]) -> None:
    shown = set(re.findall(r"\d+\.?\d*", text))
    leaked = {n for n in numbers if any(s.startswith(n) for s in shown)}
    assert not leaked, f"shows numbers of the secret cases: {sorted(leaked)[:5]}"
