"""import-lesson and export-lesson as an author meets them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from autograder.course.commands import register as register_author
from autograder.course.lessons.commands import register
from tests.autograder.course.lessons.cards import card_data, write_card

app = typer.Typer()
register_author(app)
register(app)


def run(*arguments: object) -> tuple[int, str, str]:
    result = CliRunner().invoke(app, [str(argument) for argument in arguments], terminal_width=200)
    return result.exit_code, result.stdout, result.stderr


def write_unjudged(folder: Path) -> Path:
    """Write a card whose answer is no script, so that no judge is started."""
    data = card_data()
    data["task"]["task"]["answer"] = "```python\nresult = 1\n```"
    return write_card(folder, data)


def test_a_card_is_imported_judged_refused_by_verify_built_to_look_at_and_exported(
    card_file: Path, blocks_course: Path, tmp_path: Path
) -> None:
    course = f"--course={blocks_course}"
    status, said, _ = run("import-lesson", card_file, course)
    assert status == 0
    assert "Exercise guessed from the title '用分块的方式计算注意力': blocks.attend" in said
    assert "The answer is wrong" in said
    for reason in ("sees only its own keys", "The scale is missing", "只看到自己那一块的键", "漏掉了缩放"):
        assert reason in said
    assert "block_diagonal and scale_missing" in said
    folder = blocks_course / "03_attention_in_blocks"
    assert f"Draft written: {folder}" in said

    status, said, _ = run("build", course)
    assert status == 0
    assert "03_attention_in_blocks: a draft, left out of the release" in said
    assert (tmp_path / "build/drafts/zh/03_attention_in_blocks/attention_in_blocks.ipynb").is_file()
    assert not any("attention_in_blocks" in str(path) for path in (tmp_path / "notebooks").rglob("*"))

    status, said, _ = run("export-lesson", "attention_in_blocks", course)
    assert (status, json.loads(said)) == (0, card_data())


def test_verify_refuses_a_draft_and_lists_the_other_language_first(blocks_course: Path, tmp_path: Path) -> None:
    course = f"--course={blocks_course}"
    status, said, _ = run("import-lesson", write_unjudged(tmp_path), course, "--slug", "card")
    assert status == 0
    assert "The answer was not judged: it leaves nothing in `output`" in said
    status, said, _ = run("verify", "card", course, "--jobs", 1)
    assert status == 1
    found = [line for line in said.splitlines() if line.startswith("03_card/")]
    assert found[0] == "03_card/slides.en.md: the English is missing"
    assert "draft = true" in found[-1]


def test_an_import_that_cannot_be_is_a_message_and_writes_nothing(blocks_course: Path, tmp_path: Path) -> None:
    course, before = f"--course={blocks_course}", sorted(blocks_course.rglob("*"))
    data = card_data()
    del data["task"]["questions"][1]["answer"]
    (tmp_path / "broken").mkdir()
    status, said, message = run("import-lesson", write_card(tmp_path / "broken", data), course)
    assert (status, said) == (2, "")
    assert "task.questions[1].answer: is missing" in message
    file = write_unjudged(tmp_path)
    for arguments, expected in (
        (["--exercise", "blocks.gone"], "There are: doubling.double, blocks.attend"),
        (["--slug", "Blocks!"], "expected a slug"),
        (["--slug", "blocks"], "02_blocks: is there already"),
        (["--into", tmp_path / "gone"], "expected a folder"),
    ):
        status, _, message = run("import-lesson", file, course, *arguments)
        assert (status, expected in message) == (2, True), message
    assert sorted(blocks_course.rglob("*")) == before


def test_a_named_exercise_that_takes_no_script_is_said_so(blocks_course: Path, card_file: Path, tmp_path: Path) -> None:
    (tmp_path / "drafts").mkdir()
    arguments = ("--exercise", "doubling.double", "--into", tmp_path / "drafts")
    status, said, _ = run("import-lesson", card_file, f"--course={blocks_course}", *arguments)
    assert status == 0
    assert "`double` of doubling.double does not take what a script sets" in said
    assert "guessed" not in said


def test_a_title_that_tells_nothing_asks_for_the_exercise(blocks_course: Path, tmp_path: Path) -> None:
    data = card_data()
    data["task"]["task"]["title"] = "作业"
    said = run("import-lesson", write_card(tmp_path, data), f"--course={blocks_course}")[1]
    assert "No exercise could be guessed from the title '作业'; name one with --exercise" in said
    assert "was not judged" in said


def test_a_chapter_is_exported_to_a_file_and_what_is_left_out_is_told_apart(
    blocks_course: Path, tmp_path: Path
) -> None:
    out = tmp_path / "card.json"
    arguments = ("--course", blocks_course, "--lang", "zh", "--out", out)
    status, said, told = run("export-lesson", "02_blocks", *arguments)
    assert (status, said) == (0, "")
    assert json.loads(out.read_text(encoding="utf-8"))["task"]["task"]["title"] == "分块计算注意力"
    assert "leaves out" in told
    assert "attend/checks.py" in told
    status, _, message = run("export-lesson", "gone", "--course", blocks_course)
    assert status == 2
    assert "there are: doubling, blocks" in message


@pytest.mark.parametrize("command", ["import-lesson", "export-lesson"])
def test_help_is_there(command: str) -> None:
    assert run(command, "--help")[0] == 0
