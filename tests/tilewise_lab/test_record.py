"""progress.json: found, shared by both languages, never lost."""

from __future__ import annotations

import json
import multiprocessing
from pathlib import Path

import pytest

from tilewise_lab import place, record


def test_no_file_means_nothing_is_written_and_the_session_remembers(folder: Path) -> None:
    assert record.find(place.folder()) is None
    assert record.add_answer("doubling.q1", True) == ""
    assert record.load()[0].questions["doubling.q1"].right is True
    assert list(folder.iterdir()) == []


def test_the_file_is_found_above_and_shared_by_both_languages(
    folder: Path, progress_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    record.add_answer("doubling.q1", True)
    other = folder.parents[1] / "zh" / "01_doubling"
    other.mkdir(parents=True)
    monkeypatch.setattr(place, "_STARTED_IN", other)
    assert record.find(place.folder()) == progress_file
    assert record.load()[0].questions["doubling.q1"].answered


def test_a_file_far_above_is_somebody_elses(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder.parents[2] / record.FILE_NAME).write_text("{}")
    assert record.find(place.folder()) is not None
    deeper = folder / "deeper"
    deeper.mkdir()
    monkeypatch.setattr(place, "_STARTED_IN", deeper)
    assert record.find(place.folder()) is None


def test_a_practice_question_once_right_stays_right(progress_file: Path) -> None:
    for right in (False, True, False):
        record.add_answer("doubling.q1", right)
    entry = record.load()[0].questions["doubling.q1"]
    assert (entry.right, entry.tries) == (True, 3)


@pytest.mark.parametrize(
    "content", [b"{", b"\xff", b"[]", b'{"format": "one"}', b'{"exercises": {"a.b": {"best": -1}}}']
)
def test_a_corrupt_file_is_kept_aside_with_a_message(progress_file: Path, content: bytes) -> None:
    progress_file.write_bytes(content)
    message = record.add_answer("doubling.q1", True)
    kept = progress_file.with_name("progress.json.bak")
    assert kept.read_bytes() == content
    assert kept.name in message
    assert record.load() == (record.Record.model_validate(json.loads(progress_file.read_text())), "")
    assert record.load()[0].questions["doubling.q1"].answered


def test_a_newer_file_is_left_alone(progress_file: Path) -> None:
    content = '{"format": 2, "exercises": []}'
    progress_file.write_text(content)
    assert "newer" in record.add_answer("doubling.q1", True)
    assert progress_file.read_text() == content
    assert sorted(path.suffix for path in progress_file.parent.iterdir() if path.is_file()) == [".json", ".lock"]


def test_keys_that_this_version_does_not_know_survive(progress_file: Path) -> None:
    progress_file.write_text('{"format": 1, "theme": "dark", "exercises": {"a.b": {"best": 2, "medal": "gold"}}}')
    record.add_answer("doubling.q1", True)
    data = json.loads(progress_file.read_text())
    assert data["theme"] == "dark"
    assert data["exercises"]["a.b"]["medal"] == "gold"


def test_an_unwritable_file_says_so(progress_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(record, "write_json", refuse)
    assert "Permission denied" in record.add_answer("doubling.q1", True)


@pytest.mark.parametrize("execution", ["autograde", "validate"])
def test_grading_and_validating_are_not_recorded(
    progress_file: Path, monkeypatch: pytest.MonkeyPatch, execution: str
) -> None:
    monkeypatch.setenv("NBGRADER_EXECUTION", execution)
    record.add_answer("doubling.q1", True)
    assert progress_file.read_text() == "{}\n"


def _add_many(folder: Path, first: int) -> None:
    place._STARTED_IN = folder
    for number in range(first, first + 15):
        record.add_answer(f"doubling.q{number}", True)


def test_two_kernels_lose_none_of_each_others_updates(folder: Path, progress_file: Path) -> None:
    context = multiprocessing.get_context("fork")
    writers = [context.Process(target=_add_many, args=(folder, first)) for first in (0, 15, 30, 45)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert [writer.exitcode for writer in writers] == [0] * 4
    assert len(record.load()[0].questions) == 60


def test_a_peek_changes_nothing(progress_file: Path) -> None:
    record.add_answer("doubling.q1", True)
    seen = record.peek(progress_file.parent)
    assert seen is not None
    assert seen.questions["doubling.q1"].answered
    for unreadable in ("{", "[]", '{"format": 99}'):
        progress_file.write_text(unreadable)
        assert record.peek(progress_file.parent) is None
        assert progress_file.read_text() == unreadable
    progress_file.unlink()
    assert record.peek(progress_file.parent) is None
