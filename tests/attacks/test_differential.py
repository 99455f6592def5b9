"""Honest hand-ins get the same marks as from stock nbgrader, which runs the same assertions in the student's kernel."""

from __future__ import annotations

import pytest

from tests.attacks.conftest import Run
from tests.attacks.inline import COMPARED
from tests.autograder.nbgrader_plugin.gradebooks import standings
from tests.autograder.nbgrader_plugin.handins import STREAMING, TWO_PASS

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def stock(runs: dict[str, Run]) -> dict[str, dict[str, float | None]]:
    """Student -> exercise -> marks by nbgrader alone, where our plug-in is not configured."""
    found = standings(runs["tilewise grade"].folder.parent / "stock")
    return {student: {name: grade.auto for name, grade in grades.items()} for student, grades in found.items()}


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
