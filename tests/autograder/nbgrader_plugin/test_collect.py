"""`nbgrader collect` from an exchange in which students can put whatever they like."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from autograder.course.model import Course
from autograder.nbgrader_plugin import classroom
from autograder.nbgrader_plugin.collect import CarefulCollect
from autograder.nbgrader_plugin.handin import MAX_NOTEBOOK_BYTES, Refused, read_hand_in
from tests.autograder.nbgrader_plugin.gradebooks import run
from tests.autograder.nbgrader_plugin.handins import CHAPTER, NOTEBOOK, STREAMING, HandIn, variant

FILE = f"{NOTEBOOK}.ipynb"
WHEN = "2026-01-02 10:00:00 UTC"


@pytest.fixture
def inbound(a_class: Path, tmp_path: Path) -> Path:
    """The folder into which students hand in."""
    exchange = tmp_path / "exchange"
    folder = exchange / "here" / "inbound"
    folder.mkdir(parents=True)
    exchange.chmod(0o777)
    with (a_class / classroom.CONFIG).open("a", encoding="utf-8") as config:
        config.write(f"c.Exchange.root = {str(exchange)!r}\nc.CourseDirectory.course_id = 'here'\n")
    return folder


@pytest.fixture
def put(inbound: Path, a_class: Path, course: Course):
    """Hand in an honest notebook; give its folder in the exchange."""

    def handed_in(student: str, name: str = "") -> Path:
        made = HandIn("draft", code={STREAMING: variant(course, STREAMING, "solution")}).write(a_class)
        (made / "timestamp.txt").write_text(WHEN)
        target = inbound / (name or f"{student}+{CHAPTER}+{WHEN}+Zm9v")
        shutil.move(made, target)
        made.parent.rmdir()
        return target

    return handed_in


def collected(a_class: Path, student: str) -> Path:
    return a_class / "submitted" / student / CHAPTER


def test_what_students_can_do_to_the_exchange_stops_nobody_and_reads_nothing(a_class, inbound, put) -> None:
    put("ada")
    solved = put("bob") / FILE
    solved.unlink()
    solved.symlink_to(a_class / "source" / CHAPTER / FILE)
    os.mkfifo(put("cyd") / "pipe")
    os.truncate(put("dan") / FILE, 1 << 30)
    (inbound / f"eve+{CHAPTER}+{WHEN}+x").symlink_to(a_class / "source" / CHAPTER)
    put("", f"fay+{CHAPTER}+yesterday+x")
    put("", f"..+{CHAPTER}+{WHEN}+x")
    put("", f"a+b+{CHAPTER}+{WHEN}+x")
    run(a_class, "nbgrader", "collect", CHAPTER)
    assert read_hand_in(collected(a_class, "ada"), NOTEBOOK).cells
    assert read_hand_in(collected(a_class, "cyd"), NOTEBOOK).cells
    assert read_hand_in(collected(a_class, "a+b"), NOTEBOOK).cells
    for student, reason in (("bob", "is a link"), ("dan", "larger than"), ("eve", "found: nothing")):
        with pytest.raises(Refused, match=reason):
            read_hand_in(collected(a_class, student), NOTEBOOK)
    assert (collected(a_class, "dan") / FILE).stat().st_size == MAX_NOTEBOOK_BYTES + 1
    assert sorted(path.name for path in (a_class / "submitted").iterdir()) == ["a+b", "ada", "bob", "cyd", "dan", "eve"]
    assert not (a_class / CHAPTER).exists()


def test_a_newer_hand_in_replaces_the_older(a_class, inbound, put) -> None:
    put("ada")
    run(a_class, "nbgrader", "collect", CHAPTER)
    newer = put("ada", f"ada+{CHAPTER}+2026-01-03 10:00:00 UTC+x")
    (newer / "timestamp.txt").write_text("2026-01-03 10:00:00 UTC")
    (newer / "more.txt").write_text("new")
    run(a_class, "nbgrader", "collect", CHAPTER, "--update")
    assert (collected(a_class, "ada") / "more.txt").read_text() == "new"


@pytest.mark.parametrize(
    "make", [os.mkfifo, lambda path: path.symlink_to("/dev/zero"), lambda path: path.write_text("x")]
)
def test_a_second_collect_is_not_held_up_by_what_the_first_one_brought(a_class, inbound, put, make) -> None:
    """nbgrader's own opens the timestamp in submitted/: a pipe and an endless file hang it, nonsense ends it."""
    put("ada")
    run(a_class, "nbgrader", "collect", CHAPTER)
    (collected(a_class, "ada") / "timestamp.txt").unlink()
    make(collected(a_class, "ada") / "timestamp.txt")
    put("bob")
    run(a_class, "nbgrader", "collect", CHAPTER, "--update")
    assert read_hand_in(collected(a_class, "bob"), NOTEBOOK).cells


def test_a_file_that_may_not_be_read_is_left_out_and_the_rest_collected(tmp_path, monkeypatch) -> None:
    (tmp_path / "from").mkdir()
    for name in ("closed.txt", FILE):
        (tmp_path / "from" / name).write_text("{}")
    copy = CarefulCollect._copy_file

    def refuse(source: str, target: str) -> None:
        if source.endswith("closed.txt"):
            raise PermissionError(13, "Permission denied", source)
        copy(source, target)

    monkeypatch.setattr(CarefulCollect, "_copy_file", staticmethod(refuse))
    CarefulCollect().do_copy(str(tmp_path / "from"), str(tmp_path / "to"))
    assert [path.name for path in (tmp_path / "to").iterdir()] == [FILE]
