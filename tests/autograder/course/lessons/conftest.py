from __future__ import annotations

from pathlib import Path

import pytest

from tests.autograder.course.lessons.cards import write_card, write_course_with_blocks


@pytest.fixture
def card_file(tmp_path: Path) -> Path:
    """Give the file of a sound lesson card."""
    return write_card(tmp_path)


@pytest.fixture
def blocks_course(tmp_path: Path) -> Path:
    """Give the folder of a small course with an exercise blocks.attend."""
    return write_course_with_blocks(tmp_path)
