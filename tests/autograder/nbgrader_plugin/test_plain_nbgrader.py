"""nbgrader with our plug-in absent: the notebook runs in a kernel, and `check` asks the judge from there."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from autograder.course.model import Course
from tests.autograder.nbgrader_plugin.gradebooks import run, standings
from tests.autograder.nbgrader_plugin.handins import CHAPTER, STREAMING, TWO_PASS, six

pytestmark = pytest.mark.slow
WRONG = (("cyd", STREAMING), ("dan", TWO_PASS))
STUDENTS = ("ada", "cyd", "dan", "eve")


@pytest.fixture(scope="module")
def plain_and_ours(empty_class: Path, course: Course, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    plain, ours = (tmp_path_factory.mktemp("plain") / name for name in ("plain", "ours"))
    shutil.copytree(empty_class, plain)
    for hand_in in six(course):
        if hand_in.student in STUDENTS:
            hand_in.write(plain)
    shutil.copytree(plain, ours)
    (plain / "nbgrader_config.py").write_text("c = get_config()\nc.Execute.timeout = 240\n", encoding="utf-8")
    run(plain, "nbgrader", "autograde", CHAPTER)
    run(ours, "nbgrader", "autograde", CHAPTER)
    return plain, ours


def test_the_plug_in_is_absent_and_present(plain_and_ours) -> None:
    plain, ours = plain_and_ours
    notebooks = [next((c / "autograded" / "ada").rglob("*.ipynb")).read_text() for c in (plain, ours)]
    assert ['"intake"' in text for text in notebooks] == [False, True]


def test_plain_nbgrader_gives_the_same_marks_through_check(plain_and_ours, course) -> None:
    plain, ours = (standings(folder) for folder in plain_and_ours)
    assert sorted(plain) == sorted(STUDENTS)
    for student, grades in ours.items():
        for label, grade in grades.items():
            if (student, label) not in WRONG:
                assert plain[student][label] == grade, (student, label)
    for student, label in WRONG:
        # The judge draws other inputs there, and of a wrong answer's properties some may pass on one draw only.
        for grades in (plain[student], ours[student]):
            assert grades[label].auto is not None
            assert grades[label].auto < course.exercises[label].points
