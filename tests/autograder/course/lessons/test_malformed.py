"""Cards that are wrong in every way that we could think of: the command names the field, and leaves nothing behind.

Where a card is data at all, the published schema says the same of it as the reader.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import typer
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from autograder.course.lessons.card import card_of
from autograder.course.lessons.commands import register
from autograder.course.lessons.reading import read_data
from autograder.course.lessons.schema import schema_text
from autograder.course.model import CourseError
from tests.autograder.course.lessons.cards import card_data

FILE = Path("card.json")
SCHEMA = jsonschema.Draft202012Validator(json.loads(schema_text()))
app = typer.Typer()
register(app)
app.command()(lambda: None)  # with one command alone, typer would leave out its name

Change = Callable[[dict[str, Any]], object]
LESSON, QUESTION, VIDEO = ("task",), ("task", "questions", 0), ("task", "videos", 0)


def put(path: tuple[int | str, ...], **values: Any) -> Change:
    def change(data: dict[str, Any]) -> None:
        found: Any = data
        for key in path:
            found = found[key]
        found.update(values)

    return change


def drop(path: tuple[int | str, ...], name: str) -> Change:
    def change(data: dict[str, Any]) -> None:
        found: Any = data
        for key in path:
            found = found[key]
        del found[name]

    return change


# What is changed in a sound card, and the field that the error must name.
WRONG_DATA: dict[str, tuple[Change, str]] = {
    "a missing field": (drop(LESSON, "difficulty"), "task.difficulty"),
    "a missing field deep inside": (drop(VIDEO, "duration"), "task.videos[0].duration"),
    "no task at all": (drop((), "task"), "task"),
    "text for a list": (put(LESSON, questions="none"), "task.questions"),
    "a list for text": (put(LESSON, ppt_slide=["# a", "# b"]), "task.ppt_slide"),
    "a number for text": (put(("task", "task"), title=7), "task.task.title"),
    "null for text": (put(VIDEO, cover=None), "task.videos[0].cover"),
    "text for true": (put((), success="true"), "success"),
    "one for true": (put((), success=1), "success"),
    "a lesson that was not made": (put((), success=False), "success"),
    "an unknown kind of question": (put(QUESTION, type="essay"), "task.questions[0].type"),
    "an unknown kind of lesson": (put(LESSON, type="video"), "task.type"),
    "an unknown difficulty": (put(LESSON, difficulty="insane"), "task.difficulty"),
    "an index for an answer": (put(QUESTION, answer=3), "task.questions[0].answer"),
    "an answer that is no option": (put(QUESTION, answer="D"), "task.questions[0].answer"),
    "an option that stands twice": (put(QUESTION, options=["显存"] * 2), "task.questions[0].options"),
    "one option": (put(QUESTION, options=["显存"]), "task.questions[0].options"),
    "too many options": (put(QUESTION, options=["显存", *map(str, range(26))]), "task.questions[0].options"),
    "an option that is blank": (put(QUESTION, options=["显存", " "]), "task.questions[0].options[1]"),
    "a blank title": (put(("task", "task"), title="\n\t"), "task.task.title"),
    "NUL in a text": (put(LESSON, ppt_slide="# a\0b"), "task.ppt_slide"),
    "an escape in a title": (put(VIDEO, title="\x1b[2J"), "task.videos[0].title"),
    "half a character": (put(("task", "task"), description="\ud83d"), "task.task.description"),
    "a lone carriage return": (put(("task", "task"), answer="x\ry"), "task.task.answer"),
    "an address that runs": (put(VIDEO, url="javascript:alert(1)"), "task.videos[0].url"),
    "an address with a space": (put(VIDEO, url="https://example.org/a b"), "task.videos[0].url"),
    "an address of a file": (put(VIDEO, url="file:///etc/passwd"), "task.videos[0].url"),
    "a length in words": (put(VIDEO, duration="ten minutes"), "task.videos[0].duration"),
    "a length of nothing": (put(VIDEO, duration="0:00"), "task.videos[0].duration"),
    "a length with a line end": (put(VIDEO, duration="1:00\n"), "task.videos[0].duration"),
    "a field too many": (put(QUESTION, id="../../q1"), "task.questions[0].id"),
    "a field too many above": (put((), __class__="os"), "__class__"),
    "deep nesting": (lambda data: data["task"].update(questions=nested(9)), "task.questions[0]"),
}
# JSON Schema cannot compare one field with another.
BEYOND_THE_SCHEMA = {"an answer that is no option"}


def nested(depth: int) -> Any:
    return [nested(depth - 1)] if depth else []


SOUND: dict[str, Change] = {
    "as it is": lambda data: None,
    "no questions and no videos": put(LESSON, questions=[], videos=[]),
    "many options": put(QUESTION, options=["显存", *map(str, range(25))]),
    "a title like a path": put(("task", "task"), title="../../../etc/passwd"),
    "line ends of both kinds": put(("task", "task"), description="a\r\nb\n\tc"),
    "an hour": put(VIDEO, duration="1:02:30"),
    "emoji": put(LESSON, ppt_slide="## 🙂 é\n\nx"),
}

# Whole texts of a file, and what the message must say.
WRONG_TEXT: dict[str, tuple[bytes, str]] = {
    "nothing": (b"", "expected a lesson card"),
    "half a card": (json.dumps(card_data()).encode()[:-40], "expected a lesson card"),
    "a literal with a call in it": (repr(card_data()).replace("True", "print(1)", 1).encode(), "print"),
    "a literal with an f-string": (b"{'success': f'{__import__}'}", "neither JSON"),
    "a literal with a name": (b"{'success': true_value}", "true_value"),
    "a comprehension": (b"[x for x in ()]", "neither JSON"),
    "50 MB": (b'{"success": "' + b"x" * 50_000_000 + b'"}', "expected at most"),
    "deep nesting": (b"[" * 200_000, "neither JSON"),
    "deep nesting of fields": (b'{"a":' * 50_000 + b"1" + b"}" * 50_000, "neither JSON"),
    "NUL": (b"\0" * 64, "expected a lesson card"),
    "NUL in a literal": (b"{'success': '\0'}", "expected a lesson card"),
    "another encoding": ('{"success": "é"}'.encode("utf-16"), "expected UTF-8"),
    "a field twice": (b'{"success": true, "success": true}', "success: stands twice"),
    "a field twice, inside": (b'{"success": true, "task": {"type": 1, "type": 2}}', "type: stands twice"),
    "a huge number": (b'{"success": 1' + b"0" * 10_000 + b"}", "expected"),
    "not a number": (b'{"success": NaN}', "NaN"),
    "a list": (b"[1, 2]", "the card: expected fields by name"),
    "a program": (b"import os\nos.system('true')\n", "neither JSON"),
    "HTML": (b"<!doctype html><p>502 Bad Gateway</p>", "expected a lesson card"),
}  # fmt: skip


def run(*arguments: object) -> tuple[int, str]:
    result = CliRunner().invoke(app, [str(argument) for argument in arguments], terminal_width=200)
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result.exit_code, result.stdout + result.stderr


def everything(folder: Path) -> dict[str, int]:
    return {str(path): path.stat().st_mtime_ns for path in [folder, *sorted(folder.rglob("*"))]}


@pytest.fixture(scope="module")
def course(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from tests.autograder.course.sample import write_course

    return write_course(tmp_path_factory.mktemp("malformed"))


@pytest.mark.parametrize("name", WRONG_DATA)
def test_the_command_names_the_field_and_leaves_nothing(course: Path, tmp_path: Path, name: str) -> None:
    change, key = WRONG_DATA[name]
    data = card_data()
    change(data)
    before = everything(course)
    for file, text in ((tmp_path / "card.json", json.dumps(data)), (tmp_path / "card.txt", repr(data))):
        file.write_text(text, encoding="utf-8")
        status, said = run("import-lesson", file, "--course", course)
        assert status == 2
        assert said.startswith(f"{file}: {key}")
    assert everything(course) == before


@pytest.mark.parametrize("name", WRONG_TEXT)
def test_a_file_that_is_no_card_is_refused_and_leaves_nothing(course: Path, tmp_path: Path, name: str) -> None:
    raw, says = WRONG_TEXT[name]
    file = tmp_path / "card.json"
    file.write_bytes(raw)
    before = everything(course)
    status, said = run("import-lesson", file, "--course", course)
    assert status == 2
    assert says in said
    assert len(said) < 1000, "a message, not the file"
    assert everything(course) == before


@pytest.mark.parametrize("slug", ["../out", "/tmp/out", "a/b", "..", ".hidden", "A", "1a", "a b", "a\0b", "", "课"])
def test_a_name_cannot_lead_out_of_the_course(course: Path, tmp_path: Path, slug: str) -> None:
    file = tmp_path / "card.json"
    file.write_text(json.dumps(card_data()), encoding="utf-8")
    before = everything(course.parent)
    status, said = run("import-lesson", file, "--course", course, "--slug", slug)
    assert status == 2
    assert "slug: expected a slug of a-z, 0-9 and _" in said
    assert everything(course.parent) == before


@pytest.mark.parametrize("place", ["a folder", "a link to nothing", "a pipe's other end"])
def test_what_is_no_plain_file_is_refused(course: Path, tmp_path: Path, place: str) -> None:
    file = tmp_path / "card.json"
    if place == "a folder":
        file.mkdir()
    elif place == "a link to nothing":
        file.symlink_to(tmp_path / "gone")
    else:
        file = Path("/dev/null")
    status, said = run("import-lesson", file, "--course", course)
    assert status == 2
    assert "expected" in said


@pytest.mark.parametrize("name", WRONG_DATA)
def test_the_schema_refuses_what_the_reader_refuses(name: str) -> None:
    data = card_data()
    WRONG_DATA[name][0](data)
    with pytest.raises(CourseError):
        card_of(data, FILE)
    assert SCHEMA.is_valid(data) is (name in BEYOND_THE_SCHEMA)


@pytest.mark.parametrize("name", SOUND)
def test_the_schema_and_the_reader_take_the_same_cards(name: str) -> None:
    data = card_data()
    SOUND[name](data)
    card_of(data, FILE)
    SCHEMA.validate(data)


# Characters to which a pattern, a validator or a file may give a meaning of its own.
ODD = st.text(
    st.sampled_from(" \t\n\r\0\x0b\x1b\x7f\x85\xa0\u2028\ud800\ufeff0123456789:/.https\u0661é中"), max_size=14
)
FIELDS = [("task", "ppt_slide"), (*VIDEO, "duration"), (*VIDEO, "url"), (*VIDEO, "cover"), ("task", "task", "title")]


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(path=st.sampled_from(FIELDS), before=st.sampled_from(["", "https://", "1:0", "0:0"]), text=ODD)
def test_of_any_text_they_say_the_same(path: tuple[int | str, ...], before: str, text: str) -> None:
    data = card_data()
    put(path[:-1], **{str(path[-1]): before + text})(data)
    try:
        card_of(data, FILE)
        is_taken = True
    except CourseError:
        is_taken = False
    assert SCHEMA.is_valid(data) is is_taken, repr(before + text)


def test_the_two_forms_of_a_file_are_read_alike(tmp_path: Path) -> None:
    for name, change in SOUND.items():
        data = card_data()
        change(data)
        (tmp_path / "json").write_text(json.dumps(data), encoding="utf-8")
        (tmp_path / "literal").write_text(repr(data), encoding="utf-8")
        assert read_data(tmp_path / "json") == read_data(tmp_path / "literal") == data, name
