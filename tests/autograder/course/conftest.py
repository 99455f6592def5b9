from __future__ import annotations

from pathlib import Path

import pytest

from tests.autograder.course.sample import write_course


@pytest.fixture
def course_folder(tmp_path: Path) -> Path:
    """Give the folder of a small sound course that a test may break."""
    return write_course(tmp_path)
