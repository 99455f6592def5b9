"""Whatever is wrong with a card: an error that names the file and the field, and nothing is run."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from autograder.course.lessons.card import Card, field_name
from autograder.course.lessons.reading import MOST_BYTES, read_card
from autograder.course.model import CourseError
from tests.autograder.course.lessons.cards import card_data, write_card

Place = tuple[int | str, ...]


def places(value: Any, path: Place = ()) -> Iterator[Place]:
    """List the place of every value in a card."""
    yield path
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        yield from places(inner, (*path, key))


def at(data: Any, path: Place) -> Any:
    for key in path:
        data = data[key]
    return data


FIELDS = [path for path in places(card_data()) if path and isinstance(path[-1], str)]
TABLES = [path for path in places(card_data()) if isinstance(at(card_data(), path), dict)]


def refusal(folder: Path, data: Any) -> CourseError:
    with pytest.raises(CourseError) as caught:
        read_card(write_card(folder, data))
    assert caught.value.remedy
    return caught.value


def test_a_card_is_read_from_json_and_from_a_python_literal_alike(tmp_path: Path) -> None:
    literal = tmp_path / "card.txt"
    literal.write_text(repr(card_data()), encoding="utf-8")
    with_mark = tmp_path / "bom.json"
    with_mark.write_text(json.dumps(card_data()), encoding="utf-8-sig")
    cards = [read_card(write_card(tmp_path)), read_card(literal), read_card(with_mark)]
    assert cards == [Card.model_validate(card_data())] * 3


@pytest.mark.parametrize("path", FIELDS, ids=field_name)
def test_a_missing_field_is_named(tmp_path: Path, path: Place) -> None:
    data = card_data()
    del at(data, path[:-1])[path[-1]]
    error = refusal(tmp_path, data)
    assert (error.key, error.problem) == (field_name(path), "is missing")


@pytest.mark.parametrize("path", [path for path in places(card_data()) if path], ids=field_name)
@pytest.mark.parametrize("value", [7, None, {"a": 1}, [[]]], ids=repr)
def test_a_value_of_the_wrong_kind_is_named_with_what_was_expected_and_what_came(
    tmp_path: Path, path: Place, value: Any
) -> None:
    data = card_data()
    at(data, path[:-1])[path[-1]] = value
    error = refusal(tmp_path, data)
    assert error.key.startswith(field_name(path))
    assert error.problem == "is missing" or ("expected" in error.problem and "got" in error.problem)


@pytest.mark.parametrize("text", ["7", "null", "[]", '"card"', "('a', 'b')"])
def test_data_that_is_no_table_is_refused_as_a_whole(tmp_path: Path, text: str) -> None:
    file = tmp_path / "card"
    file.write_text(text)
    with pytest.raises(CourseError, match="the card: expected fields by name, got"):
        read_card(file)


@pytest.mark.parametrize("path", TABLES, ids=field_name)
def test_an_unknown_field_is_named_with_those_that_there_are(tmp_path: Path, path: Place) -> None:
    data = card_data()
    at(data, path)["colour"] = "red"
    error = refusal(tmp_path, data)
    assert error.key == field_name((*path, "colour"))
    assert all(name in error.remedy for name in at(card_data(), path))


@pytest.mark.parametrize(
    ("path", "value", "key", "came"),
    [
        (("success",), False, "success", "false"),
        (("task", "type"), "essay", "task.type", "'essay'"),
        (("task", "difficulty"), "hard", "task.difficulty", "'hard'"),
        (("task", "ppt_slide"), " \n", "task.ppt_slide", "blank"),
        (("task", "task", "title"), "bell \x07", "task.task.title", "U+0007"),
        (("task", "task", "title"), "half \ud83d", "task.task.title", "U+D83D"),
        (("task", "questions", 0, "answer"), "内存条", "task.questions[0].answer", "'内存条'"),
        (("task", "questions", 0, "options"), ["显存"], "task.questions[0].options", "1"),
        (("task", "questions", 0, "options"), ["显存", "显存"], "task.questions[0].options", "twice"),
        (("task", "questions", 1, "type"), "several", "task.questions[1].type", "'several'"),
        (("task", "videos", 0, "duration"), "ten minutes", "task.videos[0].duration", "'ten minutes'"),
        (("task", "videos", 0, "duration"), "0:00", "task.videos[0].duration", "'0:00'"),
        (("task", "videos", 1, "url"), "javascript:alert(1)", "task.videos[1].url", "'javascript:alert(1)'"),
    ],
)
def test_a_value_that_the_format_does_not_allow_is_named(
    tmp_path: Path, path: Place, value: Any, key: str, came: str
) -> None:
    data = card_data()
    at(data, path[:-1])[path[-1]] = value
    file = tmp_path / "card.json"
    file.write_text(json.dumps(data), encoding="utf-8")
    with pytest.raises(CourseError) as caught:
        read_card(file)
    assert caught.value.key == key
    assert came in caught.value.problem


@pytest.mark.parametrize("text", ['{"success": true, "success": true}', "{'success': True, 'success': True}"])
def test_a_field_that_stands_twice_is_named(tmp_path: Path, text: str) -> None:
    file = tmp_path / "card"
    file.write_text(text)
    with pytest.raises(CourseError, match="success: stands twice"):
        read_card(file)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "not a card",
        '{"success": NaN}',
        "__import__('os').system('true')",
        "{'success': f'{1}'}",
        "-" * 100_000 + "1",
        "[" * 100_000,
        "(" * 17 + ")" * 17,
        '{"a":' * 100_000,
        "'" + "x" * MOST_BYTES + "'",
    ],
    ids=lambda text: text[:12],
)
def test_what_is_no_card_at_all_is_refused_and_not_run(tmp_path: Path, text: str) -> None:
    file = tmp_path / "card"
    file.write_text(text)
    with pytest.raises(CourseError) as caught:
        read_card(file)
    assert caught.value.file == file
    assert "expected" in caught.value.problem


def test_a_file_that_is_not_there_or_not_utf_8_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CourseError, match="No such file"):
        read_card(tmp_path / "gone.json")
    latin = tmp_path / "latin.json"
    latin.write_bytes(b'{"success": "\xe9"}')
    with pytest.raises(CourseError, match="expected UTF-8"):
        read_card(latin)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(raw=st.one_of(st.binary(max_size=60), st.text("{}[]()'\"\\:,-+ \nTrueNone0\u4e2d", max_size=60).map(str.encode)))
def test_no_bytes_make_the_reader_fail_otherwise(tmp_path: Path, raw: bytes) -> None:
    file = tmp_path / "card"
    file.write_bytes(raw)
    with pytest.raises(CourseError):
        read_card(file)


def test_the_helpers_find_every_field() -> None:
    data = card_data()
    assert at(data, ("task", "videos", 1, "cover")) == ""
    assert {field_name(path) for path in FIELDS} >= {"success", "task.task.answer", "task.videos[0].duration"}
