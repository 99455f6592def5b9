"""Files that no one should hand in: intake says why, the class goes on, and `tilewise preflight` says so before."""

from __future__ import annotations

import json
import os
import shutil
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from autograder.course.model import Course
from autograder.course.reading import course_root
from autograder.nbgrader_plugin import handin
from autograder.nbgrader_plugin.classroom import open_class
from autograder.nbgrader_plugin.handin import read_timestamp
from autograder.nbgrader_plugin.intake import intake_of, take_in
from autograder.nbgrader_plugin.preflight import PreflightError, State, preflight
from tests.autograder.nbgrader_plugin import test_intake
from tests.autograder.nbgrader_plugin.gradebooks import run, standings
from tests.autograder.nbgrader_plugin.handins import CHAPTER, NOTEBOOK, STREAMING, TWO_PASS, HandIn, save, variant

FILE = f"{NOTEBOOK}.ipynb"
DEEP = 100_000


@pytest.fixture
def hand_in(a_class: Path, course: Course) -> Path:
    """The folder of an honest hand-in."""
    code = {name: variant(course, name, "solution") for name in (TWO_PASS, STREAMING)}
    return HandIn("ada", code=code).write(a_class)


def as_text(change: Callable[[str], bytes]) -> Callable[[Path], None]:
    """Write the honest notebook anew, as other bytes."""

    def rewrite(file: Path) -> None:
        file.write_bytes(change(file.read_text(encoding="utf-8")))

    return rewrite


def in_its_place(make: Callable[[Path], Any]) -> Callable[[Path], None]:
    def replace(file: Path) -> None:
        file.unlink()
        make(file)

    return replace


def device(path: Path) -> None:
    try:
        os.mknod(path, stat.S_IFCHR | 0o666, os.makedev(1, 5))  # /dev/zero under another name
    except PermissionError:
        pytest.skip("only root can make a device")


def nested(text: str) -> bytes:
    return text[:-1].encode() + b', "metadata_": ' + b"[" * DEEP + b"]" * DEEP + b"}"


def another_chapter(file: Path) -> None:
    shutil.copy(course_root().parent / "notebooks/en/04_merge_softmax/merge_softmax.ipynb", file)


REFUSED = {
    "NUL bytes": (as_text(lambda text: text.encode().replace(b"import", b"im\0port")), "JSON is broken"),
    "NUL bytes alone": (as_text(lambda text: bytes(4096)), "JSON is broken"),
    "UTF-16": (as_text(lambda text: text.encode("utf-16")), "not UTF-8"),
    "half of it": (as_text(lambda text: text.encode()[: len(text) // 2]), "JSON is broken"),
    "deep nesting beside the cells": (as_text(nested), "nested too deeply"),
    "a notebook of format 3": (
        as_text(lambda text: json.dumps({"nbformat": 3, "worksheets": [{"cells": []}]}).encode()), "format 4"
    ),
    "no notebook at all": (as_text(lambda text: b"<html>log in first</html>"), "JSON is broken"),
    "another chapter's": (another_chapter, "none of the answer cells"),
    "a named pipe": (in_its_place(os.mkfifo), "not a file"),
    "a device": (in_its_place(device), "not a file"),
    "a socket": (in_its_place(lambda file: os.mknod(file, stat.S_IFSOCK | 0o600)), "not a file"),
    "a link": (in_its_place(lambda file: file.symlink_to("/etc/hostname")), "is a link"),
    "a link to itself": (in_its_place(lambda file: file.symlink_to(file)), "is a link"),
}  # fmt: skip
TAKEN = {
    "a byte order mark": as_text(lambda text: text.encode("utf-8-sig")),
    "numbers beyond any range": as_text(lambda text: text.replace('"nbformat": 4', '"nbformat": 1e999').encode()),
    "keys that stand twice": as_text(lambda text: ('{"cells": 7, ' + text.lstrip()[1:]).encode()),
    **{
        change.__name__: lambda file, change=change: edited(file, change)
        for change in (test_intake.flip, test_intake.delete_tests, test_intake.edit_tests, test_intake.reorder,
                       test_intake.add_cells, test_intake.change_types, test_intake.old_schema)
    },
}  # fmt: skip
NAMES = [
    "two\nlines.py",
    "\u202egnp.exe",
    "😀😀.ipynb",
    "\x1b[31mred",
    "x" * 250,
    ".hidden",
    "学生.txt",
    "<b>.html",
    "%s%n",
]


def edited(file: Path, change: Callable[[dict[str, Any]], None]) -> None:
    notebook = json.loads(file.read_text(encoding="utf-8"))
    change(notebook)
    save(file.parent, notebook)


@pytest.mark.parametrize(("make", "reason"), REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_graded_is_refused_and_preflight_says_so_before(hand_in, releases, course, make, reason) -> None:
    make(hand_in / FILE)
    problem = intake_of(take_in(hand_in, NOTEBOOK, releases))["problem"]
    assert reason in problem["en"]
    told = preflight(hand_in / FILE, course)
    assert [line.state for line in told.lines] == [State.LOST]
    assert told.lines[0].says.model_dump() == problem, "to the letter what the feedback would say"


@pytest.mark.parametrize("make", TAKEN.values(), ids=TAKEN)
def test_what_only_looks_odd_is_taken_and_preflight_says_so_before(hand_in, releases, course, make) -> None:
    make(hand_in / FILE)
    rebuilt = take_in(hand_in, NOTEBOOK, releases)
    assert intake_of(rebuilt)["problem"] is None
    for name in (TWO_PASS, STREAMING):
        assert variant(course, name, "solution") in [cell.source for cell in rebuilt.cells]
    assert preflight(hand_in / FILE, course).is_whole


@pytest.mark.parametrize("language", ["en", "zh"])
def test_a_notebook_of_either_language_is_taken_whichever_the_class_hands_out(
    a_class, course, releases, language
) -> None:
    code = {STREAMING: variant(course, STREAMING, "solution")}
    folder = HandIn("li", language, code=code).write(a_class)
    english_only = {"en": releases["en"]}
    rebuilt = take_in(folder, NOTEBOOK, english_only)
    assert intake_of(rebuilt)["problem"] is None
    assert code[STREAMING] in [cell.source for cell in rebuilt.cells]
    assert preflight(folder / FILE, course).language == language


def test_a_folder_in_place_of_the_notebook_is_refused(hand_in, releases, course) -> None:
    (hand_in / FILE).unlink()
    (hand_in / FILE).mkdir()
    assert "not a file" in intake_of(take_in(hand_in, NOTEBOOK, releases))["problem"]["en"]
    with pytest.raises(PreflightError, match="name the file itself"):
        preflight(hand_in / FILE, course)


@pytest.mark.parametrize("name", NAMES, ids=ascii)
def test_no_name_beside_the_notebook_costs_anything_or_is_shown_as_it_is(hand_in, releases, course, name) -> None:
    (hand_in / name).write_text("x")
    intake = intake_of(take_in(hand_in, NOTEBOOK, releases))
    assert intake["problem"] is None
    (note,) = intake["notes"]
    assert not set(note["en"]) & set("\n\x1b\u202e<>%")
    assert preflight(hand_in / FILE, course).is_whole


def test_a_notebook_of_any_name_gets_an_answer_from_preflight(hand_in, course) -> None:
    for name in NAMES:
        if len(name) < 200:
            told = preflight(shutil.copy(hand_in / FILE, hand_in / f"{name}.ipynb"), course)
            assert not set("".join(line.item.en for line in told.lines)) & set("\n\x1b\u202e")
            assert not told.is_whole


@pytest.fixture
def closed(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Have a file of that name refuse to be opened, as for one who is not root."""

    def close(name: str) -> None:
        opened = os.open

        def refuse(path: Any, *arguments: Any, **keywords: Any) -> int:
            if os.path.basename(path) == name:
                raise PermissionError(13, "Permission denied", str(path))
            return opened(path, *arguments, **keywords)

        monkeypatch.setattr(handin.os, "open", refuse)

    return close


def test_a_notebook_that_may_not_be_read_is_reported_and_nobody_gets_a_zero_for_it(
    a_class, hand_in, closed, course, monkeypatch
) -> None:
    """It may be the instructor's own doing: it is left ungraded, with the reason, and the next run tries again."""
    closed(FILE)
    result = open_class(a_class).autograde(CHAPTER, "ada")
    assert not result["success"]
    assert "Permission denied" in (a_class / "grading.log").read_text(encoding="utf-8")
    assert {grade.auto for grade in standings(a_class)["ada"].values()} == {None}
    with pytest.raises(PreflightError, match="Permission denied"):
        preflight(hand_in / FILE, course)


def test_a_timestamp_that_may_not_be_read_is_none(hand_in, closed) -> None:
    (hand_in / "timestamp.txt").write_text("2026-01-01 10:00:00 UTC")
    closed("timestamp.txt")
    assert read_timestamp(hand_in) is None


@pytest.mark.slow
def test_a_class_of_odd_files_is_graded_in_one_go(a_class, hand_in, course) -> None:
    """Through nbgrader's own command, for everything that is refused or taken above."""
    code = {name: variant(course, name, "solution") for name in (TWO_PASS, STREAMING)}
    makers = {name: make for name, (make, _) in REFUSED.items()} | TAKEN
    for name, make in makers.items():
        make(HandIn(name, code=code).write(a_class) / FILE)
    run(a_class, "nbgrader", "autograde", CHAPTER)
    found = standings(a_class)
    assert set(found) == {"ada", *makers}
    for student, grades in found.items():
        expected = 0.0 if student in REFUSED else course.exercises[TWO_PASS].points
        assert {grades[name].auto for name in (TWO_PASS, STREAMING)} == {expected}, student
