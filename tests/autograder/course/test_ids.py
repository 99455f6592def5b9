from __future__ import annotations

import pytest

from autograder.course.ids import answer_grade_id, exercise_id, grade_id, part_id, solution_grade_id


def test_every_part_of_a_block_leads_back_to_its_id() -> None:
    identifier = "online_softmax.streaming"
    cells = [grade_id(identifier), solution_grade_id(identifier), answer_grade_id(identifier)]
    assert cells == [
        "online_softmax--streaming",
        "online_softmax--streaming--code",
        "online_softmax--streaming--answer",
    ]
    assert {exercise_id(cell) for cell in [*cells, part_id(identifier, "statement")]} == {identifier}


@pytest.mark.parametrize("identifier", ["streaming", "a.b.c", "A.b", "a.", "a--b.c", "../a.b", "a.b\n"])
def test_what_is_no_id_is_refused(identifier: str) -> None:
    with pytest.raises(ValueError, match="looks like"):
        grade_id(identifier)


@pytest.mark.parametrize("cell", ["setup", "a--b--c", "a--b--code--code", "--", "a--", "cell-1234", "A--b", "a--b\n"])
def test_a_foreign_grade_id_is_refused(cell: str) -> None:
    with pytest.raises(ValueError, match="looks like"):
        exercise_id(cell)


def test_an_id_that_nbformat_would_refuse_is_refused() -> None:
    with pytest.raises(ValueError, match="shorten the name"):
        grade_id("a." + "b" * 60)
