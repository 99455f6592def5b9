"""Honest hand-ins get the same marks as from stock nbgrader, which runs the same assertions in the student's kernel."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import nbformat
import pytest

from autograder.course.ids import solution_grade_id
from autograder.course.model import Course
from autograder.nbgrader_plugin.seeds import secret_seed
from tests.attacks.conftest import BIN, Run
from tests.attacks.inline import notebook
from tests.attacks.roll import Submission
from tests.autograder.nbgrader_plugin.gradebooks import db_url, run, standings
from tests.autograder.nbgrader_plugin.handins import CHAPTER, NOTEBOOK, STREAMING, TWO_PASS, filled

pytestmark = pytest.mark.slow
# Between them these try every other method of both exercises, every misconception, and nothing at all.
COMPARED = ["blank", *(f"right-{n:02}" for n in range(0, 12, 3)), *(f"wrong-{n:02}" for n in range(12))]


@pytest.fixture(scope="module")
def monkeypatch_module() -> Iterator[pytest.MonkeyPatch]:
    with pytest.MonkeyPatch.context() as patch:
        yield patch


@pytest.fixture(scope="module")
def stock(
    runs: dict[str, Run],
    roll: dict[str, Submission],
    course: Course,
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch_module: pytest.MonkeyPatch,
) -> dict[str, dict[str, float | None]]:
    """Grade the honest ones with nbgrader alone; student -> exercise -> marks. Our plug-in is not configured there."""
    folder = tmp_path_factory.mktemp("stock")
    (folder / "nbgrader_config.py").write_text("c = get_config()\nc.CourseDirectory.course_id = 'stock'\n")
    source = folder / "source" / CHAPTER
    source.mkdir(parents=True)
    seed = secret_seed(db_url(runs["tilewise grade"].folder), CHAPTER)
    nbformat.write(notebook(course, seed), source / f"{NOTEBOOK}.ipynb")
    # Stock nbgrader starts alembic by name; our plug-in would see to that.
    monkeypatch_module.setenv("PATH", os.pathsep.join([str(BIN), os.environ["PATH"]]))
    run(folder, "nbgrader", "generate_assignment", CHAPTER)
    released = (folder / "release" / CHAPTER / f"{NOTEBOOK}.ipynb").read_text(encoding="utf-8")
    for student in COMPARED:
        texts = {solution_grade_id(name): text for name, text in roll[student].hand_in.code.items()}
        hand_in(folder / "submitted" / student / CHAPTER, filled(json.loads(released), texts))
    run(folder, "nbgrader", "autograde", CHAPTER)
    return {
        student: {exercise: grade.auto for exercise, grade in grades.items()}
        for student, grades in standings(folder).items()
    }


def hand_in(folder: Path, made: dict) -> None:
    folder.mkdir(parents=True)
    (folder / f"{NOTEBOOK}.ipynb").write_text(json.dumps(made), encoding="utf-8")


def test_honest_hand_ins_get_the_marks_of_stock_nbgrader(runs, stock) -> None:
    ours = standings(runs["tilewise grade"].folder)
    assert set(stock) == set(COMPARED)
    for student in COMPARED:
        for exercise in (TWO_PASS, STREAMING):
            assert stock[student][exercise] == ours[student][exercise].auto, (student, exercise)


def test_stock_nbgrader_was_not_all_or_nothing(stock) -> None:
    marks = {mark for grades in stock.values() for mark in grades.values()}
    assert {0.0, 10.0} < marks
    assert len(marks) > 4
