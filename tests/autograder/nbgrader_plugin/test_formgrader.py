"""formgrader, served by a real JupyterLab from the class's folder, over HTTP."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from autograder.course.model import Course
from tests.autograder.nbgrader_plugin.gradebooks import run, set_manual_mark, standings
from tests.autograder.nbgrader_plugin.handins import CHAPTER, NOTEBOOK, STREAMING, TWO_PASS, HandIn, six, variant
from tests.autograder.nbgrader_plugin.server import Formgrader, serve

pytestmark = pytest.mark.slow
ODD = [".ida", "joe", "kim"]
STUDENTS = ["ada", "bob", "cyd", "dan", "eve", "fay"]


@pytest.fixture(scope="module")
def served(empty_class: Path, course: Course, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A class with the six hand-ins graded, and some more that are not: one with markup, three with odd timestamps."""
    folder = shutil.copytree(empty_class, tmp_path_factory.mktemp("formgrader") / "class")
    for hand_in in six(course):
        hand_in.write(folder)
    run(folder, "tilewise", "grade", CHAPTER)
    solution = {name: variant(course, name, "solution") for name in (TWO_PASS, STREAMING)}
    late = HandIn("gus", code=solution, written="<script>alert(1)</script> [x](javascript:alert(2))").write(folder)
    (late / "torch.py").write_text("raise SystemExit")
    (HandIn(".ida").write(folder) / "timestamp.txt").write_text("tomorrow")
    os.mkfifo(HandIn("joe").write(folder) / "timestamp.txt")
    (HandIn("kim").write(folder) / "timestamp.txt").symlink_to("/dev/zero")
    return folder


@pytest.fixture(scope="module")
def formgrader(served: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Formgrader]:
    with serve(served, tmp_path_factory.mktemp("home")) as client:
        yield client


def test_formgrader_lists_every_hand_in_with_its_marks(formgrader, served) -> None:
    listed = {s["student"]: s for s in formgrader.json(f"/submissions/{CHAPTER}")}
    assert sorted(listed) == sorted([*STUDENTS, "gus", *ODD])
    for student, grades in standings(served).items():
        if student in STUDENTS:
            assert listed[student]["autograded"]
            assert listed[student]["score"] == sum(grade.auto or 0.0 for grade in grades.values())
            assert listed[student]["needs_manual_grade"] == any(g.needs_person for g in grades.values())
    assert not listed["gus"]["autograded"] or listed["gus"]["score"] > 0


def test_a_timestamp_that_holds_no_time_breaks_no_list(formgrader) -> None:
    """nbgrader's own API raises for nonsense, and waits for ever at a pipe or a link to a file without end."""
    listed = {s["student"]: s for s in formgrader.json(f"/submissions/{CHAPTER}")}
    assert {listed[student]["timestamp"] for student in ODD} == {None}
    assert not any(listed[student]["autograded"] for student in ODD)


def test_formgraders_pages_open(formgrader) -> None:
    assert CHAPTER in formgrader.page(f"/formgrader/manage_submissions/{CHAPTER}")
    assert "formgrader" in formgrader.page("/formgrader/manage_assignments").lower()


def test_a_submission_shows_its_verdict_to_the_grader(formgrader) -> None:
    submissions = formgrader.json(f"/submitted_notebooks/{CHAPTER}/{NOTEBOOK}")
    found = next(s for s in submissions if s["student"] == "cyd")
    page = formgrader.page(f"/formgrader/submissions/{found['id']}/")
    assert "tilewise-panel" in page
    assert "is not rescaled" in page, "the diagnosis of the wrong solution that behaves alike"


def test_formgraders_button_grades_with_the_judge(formgrader, served, course) -> None:
    formgrader.page("/formgrader/manage_assignments")  # sets the XSRF cookie, as the page with the button does
    answer = formgrader.json(f"/submission/{CHAPTER}/gus/autograde", "POST")
    assert answer["success"], answer.get("log")
    grades = standings(served)["gus"]
    assert {grades[name].auto for name in (TWO_PASS, STREAMING)} == {course.exercises[TWO_PASS].points}
    graded = served / "autograded" / "gus" / CHAPTER
    assert not (graded / "torch.py").exists(), "stock Autograde would have copied it"
    assert '"intake"' in (graded / f"{NOTEBOOK}.ipynb").read_text(encoding="utf-8")
    submissions = formgrader.json(f"/submitted_notebooks/{CHAPTER}/{NOTEBOOK}")
    found = next(s for s in submissions if s["student"] == "gus")
    page = formgrader.page(f"/formgrader/submissions/{found['id']}/")
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
    assert "<script>alert(1)</script>" not in page
    assert 'href="javascript:' not in page


def test_formgraders_feedback_button_writes_our_page(formgrader, served) -> None:
    set_manual_mark(served, "ada", "online_softmax--w1", 2.0)
    formgrader.page("/formgrader/manage_assignments")
    answer = formgrader.json(f"/assignment/{CHAPTER}/ada/generate_feedback", "POST")
    assert answer["success"], answer.get("log")
    page = (served / "feedback" / "ada" / CHAPTER / f"{NOTEBOOK}.html").read_text(encoding="utf-8")
    assert "waits for your teacher" not in page
    assert "24 / 24" in page
