"""The picture of an error: what is wrong is marked where it stands, however large the answer is."""

from __future__ import annotations

import pytest
import torch

from autograder.judge.picture import MOST_COLUMNS, MOST_ROWS, picture_of


def marked(*shape: int, at: tuple[int | slice, ...]) -> torch.Tensor:
    wrong = torch.zeros(*shape, dtype=torch.bool)
    wrong[at] = True
    return wrong


def test_a_wrong_tail_shows_at_the_end_of_every_row() -> None:
    assert picture_of(marked(2, 5, at=(slice(None), slice(3, None)))) == "...XX\n...XX"


def test_a_vector_is_one_row_and_leading_dimensions_are_rows() -> None:
    assert picture_of(marked(4, at=(1,))) == ".X.."
    assert picture_of(marked(2, 1, 3, at=(1, 0, 2))) == "...\n..X"


def test_one_wrong_number_in_a_large_answer_is_still_seen_in_its_place() -> None:
    picture = picture_of(marked(3 * MOST_ROWS + 1, 2 * MOST_COLUMNS, at=(-1, -1)))
    *lines, scale = picture.split("\n")
    assert len(lines) <= MOST_ROWS
    assert {len(line) for line in lines} == {MOST_COLUMNS}
    assert [line.count("X") for line in lines] == [0] * (len(lines) - 1) + [1]
    assert lines[-1].endswith("X")
    assert scale == ". = 4 × 2"


@pytest.mark.parametrize("wrong", [torch.ones(2, 3), torch.zeros(2, 3), torch.ones(()), torch.zeros(0, 3)])
def test_where_all_or_nothing_is_wrong_there_is_no_picture(wrong: torch.Tensor) -> None:
    assert picture_of(wrong.bool()) == ""
