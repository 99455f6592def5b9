"""`progress`: the whole course, with what has been done of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from autograder.judge.verdict import Kind, Verdict
from tilewise_lab import place, progress, quiz, record


def done(points: float) -> Verdict:
    text = {"en": "said", "zh": "说"}
    return Verdict.model_validate(
        {
            "exercise": "doubling.double",
            "kind": Kind.PASSED if points == 3 else Kind.WRONG,
            "points": points,
            "max_points": 3,
            "properties": (),
            "headline": text,
        }
    )


def test_it_lists_exercises_with_best_points_and_quizzes(
    folder: Path, progress_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    record.add_verdict(done(0).model_copy(update={"kind": Kind.NOT_STARTED}))
    progress()
    before = capsys.readouterr().out
    assert "Double a number  – not started  0 / 3" in before
    assert "0 of 13 answered  0 of 8 practice questions right" in before
    for points in (2, 1):
        record.add_verdict(done(points))
    quiz("doubling.q11", "b")
    quiz("doubling.q12", ["a"])
    quiz("doubling.q21", "b")
    progress()
    after = capsys.readouterr().out
    assert "Double a number  ○ started  2 / 3" in after
    assert "3 of 13 answered  1 of 8 practice questions right" in after
    record.add_verdict(done(3))
    progress()
    assert "1 of 1 exercises passed, 3 of 3 points" in capsys.readouterr().out


def test_both_languages_show_the_same_record(
    folder: Path, progress_file: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    record.add_verdict(done(3))
    monkeypatch.setenv("TILEWISE_LANG", "zh")
    progress()
    assert "把一个数加倍  ✓ 通过  3 / 3" in capsys.readouterr().out


def test_without_a_file_it_says_that_nothing_is_kept(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    progress()
    assert "`tilewise learn` makes one" in capsys.readouterr().out


def test_a_corrupt_file_is_said_and_kept(folder: Path, progress_file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    progress_file.write_text("{")
    progress()
    assert "progress.json.bak" in capsys.readouterr().out
    assert progress_file.with_name("progress.json.bak").read_text() == "{"


def test_a_record_of_an_exercise_that_is_gone_stops_nothing(
    folder: Path, progress_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    progress_file.write_text('{"exercises": {"old.one": {"best": 1}}, "questions": {"old.q1": {"answered": true}}}')
    progress()
    assert "0 of 1 exercises" in capsys.readouterr().out
    assert place.course().exercises.keys() == {"doubling.double"}
