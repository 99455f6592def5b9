"""Answers to quiz questions: read with bounds, marked, typed, and kept whole."""

from __future__ import annotations

import json
import os
import threading
from pathlib import Path

import pytest

from autograder.course.model import Option, Question, Text
from autograder.course.quiz import (
    FILE_LIMIT,
    FILE_NAME,
    PICKED,
    AnswersError,
    assigns,
    mark,
    normalised,
    read_answers,
    typed_answer,
    write_answer,
)

TEXT = Text(en="text", zh="文字")


def question(kind: str, right: str = "", **more: object) -> Question:
    options = tuple(
        Option(key=key, text=TEXT, why=TEXT, correct=key in right, misconception=None if key in right else "other")
        for key in "abcd"
    )
    fields = {"id": "q1", "kind": kind, "prompt": TEXT, "graded": True, "points": 2.0, "chapter": "row"}
    return Question(**(fields | ({} if kind == "number" else {"option": options}) | more))


ONE = question("one", "b")
SEVERAL = question("several", "ac")
ORDERING = question("ordering", "abcd", order=("c", "a", "d", "b"))
NUMBER = question("number", answer=12.5, unit="KiB", why=TEXT)


@pytest.mark.parametrize(
    ("asked", "answer"),
    [
        (ONE, "b"), (ONE, " B "), (ONE, ("b",)),
        (SEVERAL, ("c", "a")), (SEVERAL, ("a", "c", "c")), (SEVERAL, "ac"), (SEVERAL, "A, C"),
        (ORDERING, ("c", "a", "d", "b")), (ORDERING, "cadb"), (ORDERING, "c → a → d → b"),
        (NUMBER, 12.5), (NUMBER, 12.6), (NUMBER, "12.5"), (NUMBER, "12.5 KiB"), (NUMBER, "1.25e1"),
    ],
)  # fmt: skip
def test_right_answers_earn_all_points_in_every_form_that_people_write(asked: Question, answer: object) -> None:
    marked = mark(asked, answer)  # type: ignore[arg-type]
    assert (marked.correct, marked.points, marked.max_points, marked.answered) == (True, 2.0, 2.0, True)


@pytest.mark.parametrize(
    ("asked", "answer"),
    [(ONE, "a"), (SEVERAL, ("a",)), (SEVERAL, ("a", "b", "c")), (ORDERING, "abcd"), (NUMBER, 12.7), (NUMBER, -12.5)],
)
def test_wrong_answers_earn_nothing_and_count_as_answered(asked: Question, answer: object) -> None:
    marked = mark(asked, answer)  # type: ignore[arg-type]
    assert (marked.correct, marked.points, marked.answered) == (False, 0.0, True)


@pytest.mark.parametrize("asked", [ONE, SEVERAL, ORDERING, NUMBER], ids=lambda asked: asked.kind)
@pytest.mark.parametrize(
    "answer", [None, "", "z", (), ("z",), True, float("nan"), float("inf"), "1" * 400, "nan", ("a", "a", "b", "d")]
)
def test_what_is_no_answer_earns_nothing_and_never_raises(asked: Question, answer: object) -> None:
    assert mark(asked, answer).points == 0.0  # type: ignore[arg-type]
    if answer != ("a", "a", "b", "d"):  # said twice is one of "several" all the same
        assert normalised(asked, answer) is None  # type: ignore[arg-type]


def test_a_number_near_zero_is_judged_absolutely() -> None:
    zero = question("number", answer=0.0, tolerance=0.5, why=TEXT)
    assert mark(zero, 0.4).correct
    assert not mark(zero, 0.6).correct


@pytest.mark.parametrize(
    ("source", "answer"),
    [
        ('q7 = "b"', "b"),
        ('q7 = picked("online_softmax.q7")  # or type q7 = "b"', PICKED),
        ('q7: str = "b"', "b"),
        ('q7 = "a"\nq7 = "c"', "c"),
        ('x = q7 = "b"', "b"),
        ("q7 = 12.5", 12.5),
        ("q7 = -3", -3.0),
        ('q7 = ["c", "a"]', ("c", "a")),
        ('q7 = ("c", "a")', ("c", "a")),
        ('q7 = {"c"}', ("c",)),
    ],
)
def test_a_typed_answer_is_read_as_a_literal(source: str, answer: object) -> None:
    assert typed_answer(source, "online_softmax.q7") == answer


NO_LITERALS = [
    "q7 = answer", "q7 = open('/etc/passwd').read()", "q7 = True", "q7 = None", "q7 = [1, 2]", "q7 = f'{1}'",
    "q7 = 'a' if True else 'b'", "q7 = 'b' * 10 ** 9", "q7 = 1e999", "q7 = '" + "b" * 1000 + "'",
    "q7 = [" + "'a'," * 1000 + "]",
]  # fmt: skip
NO_ANSWER_CELLS = [
    "", "q70 = 'b'", "q7", "q7.x = 'b'", "def f():\n    q7 = 'b'", "q7 = '", "q7 = '\x00'", "q7 = " + "9" * 5000,
    "q7 = " + "(" * 5000, "q7 = " + "-" * 100_000 + "1", "q7 = '" + "b" * 100_000 + "'",
]  # fmt: skip


@pytest.mark.parametrize("source", NO_LITERALS, ids=range(len(NO_LITERALS)))
def test_what_is_no_literal_is_no_answer_and_is_never_run(source: str) -> None:
    assert typed_answer(source, "online_softmax.q7") is None
    assert assigns(source, "online_softmax.q7")


@pytest.mark.parametrize("source", NO_ANSWER_CELLS, ids=range(len(NO_ANSWER_CELLS)))
def test_a_cell_that_types_nothing_leaves_the_answer_to_the_widget(source: str) -> None:
    assert typed_answer(source, "online_softmax.q7") is PICKED
    assert not assigns(source, "online_softmax.q7")


def test_a_typed_backslash_warns_nobody(recwarn: pytest.WarningsRecorder) -> None:
    assert typed_answer(r'q7 = "\d"', "online_softmax.q7") == r"\d"
    assert not recwarn.list


def test_what_was_written_is_read_back_beside_what_was_there(tmp_path: Path) -> None:
    assert read_answers(tmp_path) == {}
    for key, answer in {"row.q1": "b", "row.q5": ("a", "c"), "row.q6": 12.5}.items():
        assert write_answer(tmp_path, key, answer) is None
    assert read_answers(tmp_path) == {"row.q1": "b", "row.q5": ("a", "c"), "row.q6": 12.5}
    assert json.loads((tmp_path / FILE_NAME).read_text()) == {"row.q1": "b", "row.q5": ["a", "c"], "row.q6": 12.5}
    write_answer(tmp_path, "row.q1", None)
    assert "row.q1" not in read_answers(tmp_path)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"{", "not JSON"),
        (b"[1]", "holds a list"),
        (b'{"row.q1": {"a": 1}}', "row.q1"),
        (b'{"row.q1": true}', "row.q1"),
        (b'{"row.q1": [1]}', "row.q1"),
        (b'{"row.q1": NaN}', "NaN"),
        (b'{"row.q1": 1e999}', "row.q1"),
        (b'{"row.q1": ' + b"9" * 4000 + b"}", "row.q1"),
        (b'{"row.q1": ' + b"9" * 6000 + b"}", "not JSON"),
        (b"[" * 20_000, "nested too deep"),
        (b'{"row.q1": "' + b"x" * FILE_LIMIT + b'"}', "larger than"),
        (b"\xff\xfe", "not JSON"),
    ],
)
def test_a_bad_file_is_refused_with_its_reason(tmp_path: Path, content: bytes, reason: str) -> None:
    (tmp_path / FILE_NAME).write_bytes(content)
    with pytest.raises(AnswersError, match=reason):
        read_answers(tmp_path)


def test_a_bad_file_is_set_aside_by_the_next_answer_and_never_lost(tmp_path: Path) -> None:
    for number, name in ((1, "answers.json.bak"), (2, "answers.json.bak2")):
        (tmp_path / FILE_NAME).write_text(f"broken {number}")
        assert write_answer(tmp_path, "row.q1", "b") == tmp_path / name
        assert (tmp_path / name).read_text() == f"broken {number}"
    assert read_answers(tmp_path) == {"row.q1": "b"}


def test_links_pipes_and_folders_are_not_followed(tmp_path: Path) -> None:
    secret = tmp_path / "secret.json"
    secret.write_text('{"row.q1": "b"}')
    (tmp_path / "link").mkdir()
    (tmp_path / "link" / FILE_NAME).symlink_to(secret)
    (tmp_path / "pipe").mkdir()
    os.mkfifo(tmp_path / "pipe" / FILE_NAME)
    (tmp_path / "folder" / FILE_NAME).mkdir(parents=True)
    for kind in ("link", "pipe", "folder"):
        with pytest.raises(AnswersError):
            read_answers(tmp_path / kind)


def test_writers_at_the_same_time_lose_no_answer(tmp_path: Path) -> None:
    def write(first: int) -> None:
        for number in range(first, first + 10):
            write_answer(tmp_path, f"row.q{number}", "b")

    writers = [threading.Thread(target=write, args=(first,)) for first in range(0, 40, 10)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert len(read_answers(tmp_path)) == 40


def test_a_failed_write_keeps_the_old_file_and_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_answer(tmp_path, "row.q1", "b")

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        write_answer(tmp_path, "row.q2", "c")
    assert read_answers(tmp_path) == {"row.q1": "b"}
    assert sorted(path.name for path in tmp_path.iterdir()) == [f".{FILE_NAME}.lock", FILE_NAME]
