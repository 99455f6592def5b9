from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.tilewise_lab.questions import write_course_with_questions
from tilewise_lab import place, record


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Stand in a notebook's folder, my/en/01_doubling, of the sample course, outside of any kernel."""
    folder = tmp_path / "my" / "en" / "01_doubling"
    folder.mkdir(parents=True)
    monkeypatch.setenv("TILEWISE_COURSE", str(write_course_with_questions(tmp_path)))
    for name in ("JPY_SESSION_NAME", "TILEWISE_LANG", "NBGRADER_EXECUTION"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(place, "_STARTED_IN", folder)
    monkeypatch.setattr(record, "_session", record.Record())
    place.course.cache_clear()
    yield folder
    place.course.cache_clear()


@pytest.fixture
def progress_file(folder: Path) -> Path:
    """The learner's progress.json, empty as `tilewise learn` makes it."""
    file = folder.parents[1] / record.FILE_NAME
    file.write_text("{}\n")
    return file
