"""`hint`: one step at a time, and the solution only after a pass or on request."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.autograder.course.sample import CHAPTER, edit
from tilewise_lab import hint, output, place, record

ID = "doubling.double"
SOLUTION = "twice_the_number = x + x"
SECOND = '[[hint]]\nen = "The operator is `+`."\nzh = "用 `+`。"\n\n[property.doubles]'


@pytest.fixture
def said(folder: Path, capsys: pytest.CaptureFixture[str]) -> object:
    """Give a function that runs hint() and returns what it showed."""
    edit(place.course().root / CHAPTER / "double" / "exercise.toml", "[property.doubles]", SECOND)
    place.course.cache_clear()

    def run(**options: object) -> str:
        hint(ID, **options)  # type: ignore[arg-type]
        return capsys.readouterr().out

    return run


def test_hints_come_one_by_one_and_stay(said: object, progress_file: Path) -> None:
    first, second, third = said(), said(), said()  # type: ignore[operator]
    assert "Add it to itself." in first
    assert "The operator" not in first
    assert "Run this cell again" in first
    assert "Add it to itself." in second
    assert "The operator is `+`." in second
    assert third == second
    assert f'hint("{ID}", solution=True)' in third
    assert SOLUTION not in first + second + third
    assert record.load()[0].exercises[ID].hints == 2


def test_hints_need_no_progress_file(said: object) -> None:
    assert "The operator" not in said()  # type: ignore[operator]
    assert "The operator" in said()  # type: ignore[operator]


def test_the_solution_early_has_to_be_confirmed(said: object) -> None:
    asked = said(solution=True)  # type: ignore[operator]
    assert 'solution="show me"' in asked
    assert SOLUTION not in asked
    shown = said(solution="show me")  # type: ignore[operator]
    assert SOLUTION in shown
    assert "SOLUTION ###" not in shown
    assert "### BEGIN" not in shown
    assert "write your own" in shown
    assert "Yours may look different" not in shown, "there is no answer yet to compare with"


def test_after_a_pass_the_solution_is_shown(said: object, progress_file: Path) -> None:
    progress_file.write_text('{"exercises": {"doubling.double": {"passed": true}}}')
    shown = said()  # type: ignore[operator]
    assert SOLUTION in shown
    assert "Yours may look different" in shown


def test_chinese_has_the_same_steps(said: object, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TILEWISE_LANG", "zh")
    assert "与自己相加。" in said()  # type: ignore[operator]
    assert "用 `+`。" in said()  # type: ignore[operator]


def test_other_words_and_ids_are_refused(folder: Path) -> None:
    with pytest.raises(ValueError, match="solution takes True, False or \"show me\", got 'please'"):
        hint(ID, solution="please")
    with pytest.raises(output.UnknownIdError, match=r"doubling\.double"):
        hint("doubling.q1")


def test_a_corrupt_progress_file_is_said_beside_the_hint(said: object, progress_file: Path) -> None:
    progress_file.write_text("{")
    shown = said()  # type: ignore[operator]
    assert "Add it to itself." in shown
    assert "progress.json.bak" in shown
