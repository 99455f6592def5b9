"""Without walls around students' code nothing is graded, unless somebody asks for it; then it is stamped."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner
from typer.testing import Result as Ended

from autograder.judge.client import Judge
from autograder.judge.rungs import Rung
from autograder.nbgrader_plugin import classroom, commands, execute
from autograder.nbgrader_plugin.isolation import STAMP, UnsafeError, require_isolation, stamp, stamps
from tests.autograder.nbgrader_plugin.gradebooks import autograded, db_url, feedback, standings
from tests.autograder.nbgrader_plugin.handins import CHAPTER, STREAMING, TWO_PASS, HandIn, variant

app = typer.Typer()
commands.register(app)


@pytest.fixture(scope="module")
def no_walls() -> Iterator[Judge]:
    """The judge as it is on a machine that refuses namespaces."""
    with Judge(rung="child") as judge:
        yield judge


@pytest.fixture
def unsafe_class(a_class: Path, course, no_walls: Judge, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A class with one hand-in, on such a machine."""
    monkeypatch.setattr(execute, "the_judge", lambda: no_walls)
    HandIn("ada", "zh", code={TWO_PASS: variant(course, TWO_PASS, "solution")}).write(a_class)
    return a_class


def grade(folder: Path, *options: str) -> Ended:
    return CliRunner().invoke(app, ["grade", CHAPTER, "--course", str(folder), *options])


@pytest.mark.parametrize("rung", Rung)
def test_only_the_last_rung_needs_to_be_asked_for(rung: Rung) -> None:
    require_isolation(rung, unsafe=True)
    if rung is Rung.CHILD:
        with pytest.raises(UnsafeError, match="--unsafe"):
            require_isolation(rung, unsafe=False)
    else:
        require_isolation(rung, unsafe=False)


def test_tilewise_grade_refuses_before_it_grades_anything(unsafe_class: Path) -> None:
    ended = grade(unsafe_class)
    assert ended.exit_code == 2
    assert "nothing was graded" in ended.output
    assert "tilewise grade --unsafe" in ended.output
    assert "c.JudgeCells.unsafe = True" in ended.output
    assert standings(unsafe_class) == {}
    assert not autograded(unsafe_class, "ada").parent.exists()


def test_nbgraders_autograde_and_formgraders_button_refuse_too(unsafe_class: Path) -> None:
    answer = classroom.open_class(unsafe_class).autograde(CHAPTER, "ada")
    assert not answer["success"]
    assert "JudgeCells.unsafe" in (unsafe_class / classroom.LOG).read_text(encoding="utf-8")
    assert standings(unsafe_class) == {}


def test_with_the_flag_it_grades_and_stamps_gradebook_table_and_feedback(
    unsafe_class: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Judge, "refused", {"namespaces": "not allowed here"})
    marks = unsafe_class / "marks.csv"
    ended = grade(unsafe_class, "--unsafe", "--csv", str(marks))
    assert ended.exit_code == 0, ended.output
    assert ended.output.startswith("Isolation of students' code: child.\nNot namespaces: not allowed here.\n")
    assert standings(unsafe_class)["ada"][TWO_PASS].auto == 10.0
    assert standings(unsafe_class)["ada"][STREAMING].auto == 0.0
    assert stamps(db_url(unsafe_class), CHAPTER) == {"ada": "child"}
    assert "Graded without isolation" in " ".join(ended.output.split())
    assert STAMP.en in marks.read_text(encoding="utf-8")
    assert STAMP.zh in feedback(unsafe_class, "ada").read_text(encoding="utf-8")


def test_the_class_may_accept_the_danger_for_nbgraders_commands(unsafe_class: Path) -> None:
    config = unsafe_class / classroom.CONFIG
    config.write_text(config.read_text(encoding="utf-8") + "c.JudgeCells.unsafe = True\n", encoding="utf-8")
    answer = classroom.open_class(unsafe_class).autograde(CHAPTER, "ada")
    assert answer["success"], answer.get("log")
    assert stamps(db_url(unsafe_class), CHAPTER) == {"ada": "child"}


def test_a_stamp_goes_when_the_hand_in_is_graded_with_walls(a_class: Path) -> None:
    url = db_url(a_class)
    stamp(url, CHAPTER, "ada", "child")
    stamp(url, CHAPTER, "bob", "child")
    stamp(url, CHAPTER, "ada", None)
    assert stamps(url, CHAPTER) == {"bob": "child"}
    assert stamps(url, "another") == {}


def test_a_learners_own_check_needs_no_flag(no_walls: Judge, course) -> None:
    verdict = no_walls.verdict(TWO_PASS, variant(course, TWO_PASS, "solution"))
    assert (verdict.points, verdict.rung) == (10.0, "child")
