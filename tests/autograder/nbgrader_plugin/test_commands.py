"""What the instructor's commands say, and with what status they end. Nothing here needs a judge."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner
from typer.testing import Result as Ended

from autograder.nbgrader_plugin import commands, execute
from tests.autograder.nbgrader_plugin.handins import CHAPTER, NOTEBOOK

app = typer.Typer()
commands.register(app)


@pytest.fixture(autouse=True)
def no_judge(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(execute, "the_judge", lambda: None)


def invoke(*words: str) -> Ended:
    return CliRunner().invoke(app, list(words))


def test_a_class_is_ready_to_hand_out_and_to_collect(empty_class: Path) -> None:
    for folder in ("source", "release", "release_zh"):
        assert (empty_class / folder / CHAPTER / f"{NOTEBOOK}.ipynb").is_file()
        assert any((empty_class / folder / CHAPTER / "figures").iterdir())
    assert (empty_class / "submitted").is_dir()
    assert (empty_class / "gradebook.db").is_file()
    assert "BEGIN SOLUTION" not in (empty_class / "release" / CHAPTER / f"{NOTEBOOK}.ipynb").read_text()


def test_the_class_says_what_to_do_next_with_its_own_names(empty_class: Path) -> None:
    text = (empty_class / "README.md").read_text(encoding="utf-8")
    assert f"tilewise grade {CHAPTER}" in text
    assert f"submitted/STUDENT/{CHAPTER}/{NOTEBOOK}.ipynb" in text
    assert "{" not in text
    assert len(text.splitlines()) <= 25


def test_a_released_class_notebook_is_what_learners_get_but_for_the_link_home(empty_class: Path) -> None:
    root = Path(__file__).resolve().parents[3] / "notebooks"
    for language, folder in (("en", "release"), ("zh", "release_zh")):
        committed = (root / language / CHAPTER / f"{NOTEBOOK}.ipynb").read_text(encoding="utf-8")
        without_link, links = re.subn(r" · \[[^]]+\]\(\.\./home\.ipynb\)", "", committed)
        released = (empty_class / folder / CHAPTER / f"{NOTEBOOK}.ipynb").read_text(encoding="utf-8")
        assert (released, links) == (without_link, 1)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["grade", "--course", "/nonexistent"], "tilewise course init DIR"),
        (["grade", "--reseed", "--student", "ada"], "leave --student out"),
    ],
    ids=["no class", "reseed one"],
)
def test_a_wrong_argument_ends_with_2_and_a_remedy(words, says) -> None:
    ended = invoke(*words)
    assert ended.exit_code == 2
    assert says in ended.output


def test_an_empty_class_says_where_hand_ins_belong(a_class: Path) -> None:
    ended = invoke("grade", "--course", str(a_class))
    assert ended.exit_code == 2
    assert "submitted/STUDENT" in ended.output


def test_init_over_something_ends_with_2_and_leaves_it_alone(a_class: Path) -> None:
    before = (a_class / "README.md").read_bytes()
    ended = invoke("course", "init", str(a_class))
    assert ended.exit_code == 2
    assert "not empty" in ended.output
    assert (a_class / "README.md").read_bytes() == before


def test_the_commands_are_listed_without_loading_nbgrader_or_torch() -> None:
    program = (
        "import sys, typer; from autograder.nbgrader_plugin.commands import register; register(typer.Typer());"
        "sys.exit(any(name in sys.modules for name in ('nbgrader', 'torch')))"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


def test_grading_does_not_load_torch_into_this_process() -> None:
    """A formgrader server stays light; only the judge's child imports torch."""
    program = "import sys; import autograder.nbgrader_plugin.grade; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
