from __future__ import annotations

import sys
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from autograder.course.commands import print_report, register
from autograder.course.soundness import Finding
from autograder.course.verify import Row
from tests.autograder.course.sample import CHAPTER, edit

app = typer.Typer()
register(app)


def run(*arguments: str) -> tuple[int, str, str]:
    result = CliRunner().invoke(app, arguments)
    return result.exit_code, result.stdout, result.stderr


def test_build_writes_beside_the_course_and_the_check_then_passes(course_folder: Path) -> None:
    course = f"--course={course_folder}"
    assert run("build", course)[0] == 0
    assert (course_folder.parent / "solutions" / "zh" / CHAPTER / "doubling.ipynb").is_file()
    assert run("build", "--check", course)[:2] == (0, "notebooks/ and solutions/ are what the course gives\n")


def test_a_check_of_stale_notebooks_fails_lists_them_and_says_what_to_do(course_folder: Path) -> None:
    course = f"--course={course_folder}"
    run("build", course)
    edit(course_folder / CHAPTER / "slides.en.md", "Idea 1", "Thought 1")
    status, printed, remedy = run("build", "--check", course)
    assert status == 1
    assert f"notebooks/en/{CHAPTER}/doubling.ipynb: differs" in printed
    assert "tilewise build" in remedy


def test_a_mistake_in_the_course_is_a_message_and_no_traceback(course_folder: Path) -> None:
    edit(course_folder / "course.toml", "format = 1", "format = 9")
    status, printed, message = run("build", f"--course={course_folder}")
    assert (status, printed) == (2, "")
    assert message.strip() == f"{course_folder / 'course.toml'}: format: is 9, this version reads 1. Write format = 1"


def test_an_unknown_chapter_is_a_message_that_lists_the_chapters(course_folder: Path) -> None:
    status, _, message = run("verify", "gone", f"--course={course_folder}")
    assert status == 2
    assert "there are: doubling" in message


def test_the_report_gives_each_finding_its_remedy(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    finding = Finding(tmp_path / "a" / "solution.py", "[red]does not pass", "Mend it")
    assert print_report([Row("a.b", "texts", [finding]), Row("a.c", "texts")], tmp_path) is False
    printed = capsys.readouterr().out
    assert "a/solution.py: [red]does not pass\n    Mend it\n" in printed
    assert "2 items, 1 to mend" in printed
    assert print_report([Row("a.c", "texts")], tmp_path) is True


def test_the_commands_can_be_listed_without_anything_heavy() -> None:
    import subprocess

    program = (
        "import sys, autograder.cli\n"
        "heavy = {'torch', 'nbgrader', 'nbformat', 'pydantic', 'rich.table'} & sys.modules.keys()\n"
        "sys.exit(f'imports {heavy}' if heavy else 0)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
