"""A class of honest and hostile students is graded in one go: everyone gets what is due, and nobody more."""

from __future__ import annotations

import csv
import html
import json
import re
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import nbformat
import pytest

from autograder.judge.verdict import Kind
from scripts import hostile_class
from tests.attacks.cells import MARK, PROCESS
from tests.attacks.comparing import surprises, verdicts
from tests.attacks.conftest import REPOSITORY, Run
from tests.attacks.roll import Submission
from tests.attacks.watched import descendants
from tests.autograder.nbgrader_plugin.gradebooks import Standing, autograded, feedback, standings
from tests.autograder.nbgrader_plugin.handins import CHAPTER, QUESTION, STREAMING, TWO_PASS, WRITTEN
from tests.autograder.nbgrader_plugin.secret_cases import assert_no_secret, secret_numbers

pytestmark = pytest.mark.slow
# Both ways run side by side on two cores, among the tests of others; by itself one of them takes a third of this.
LONGEST_S = 840
MOST_LOG_BYTES = 4 << 20
MOST_NOTEBOOK_BYTES = 1 << 20


def test_every_verdict_is_as_listed(run, roll) -> None:
    assert list(surprises(run.folder, roll)) == []


def test_the_comparison_notices_a_wrong_mark(run, roll) -> None:
    student = roll["right-00"]
    swapped = Submission(student.hand_in, roll["blank"].outcomes, flagged=frozenset({WRITTEN}))
    assert len(list(surprises(run.folder, {student.student: swapped, "nobody": swapped}))) == 2 + 2 + 1 + 1


def test_a_person_can_make_the_class_and_compare_it(runs, roll, tmp_path, capsys) -> None:
    """What `python -m scripts.hostile_class DIR` does, and what its --check says of a graded and an ungraded class."""
    hostile_class.make(tmp_path / "class")
    assert {path.name for path in (tmp_path / "class" / "submitted").iterdir()} == set(roll)
    with (tmp_path / "class" / hostile_class.EXPECTED).open(encoding="utf-8", newline="") as stream:
        expected = {row["student"]: row for row in csv.DictReader(stream)}
    assert len(expected) == len(roll)
    assert expected["sleeper"][f"{TWO_PASS} verdict"] == "TLE"
    assert expected["wrong-00"][f"{TWO_PASS} verdict"].endswith(roll["wrong-00"].outcomes[TWO_PASS].mistake)
    assert not hostile_class.check(tmp_path / "class")
    capsys.readouterr()
    assert hostile_class.check(runs["tilewise grade"].folder), capsys.readouterr().out


def test_the_class_is_as_large_as_it_must_be(roll) -> None:
    honest = [student for student in roll if re.fullmatch(r"(right|wrong)-\d\d|blank", student)]
    assert len(honest) == 12 + 12 + 1
    assert len(roll) - len(honest) >= 15


def test_nobody_is_lost_and_nobody_is_added(run, roll) -> None:
    assert run.status == 0, run.printed[-3000:]
    assert set(standings(run.folder)) == set(roll)
    assert all(autograded(run.folder, student).is_file() for student in roll)


def test_both_ways_give_the_same_marks(runs) -> None:
    ours, theirs = (standings(run.folder) for run in runs.values())
    assert ours == theirs


def test_quiz_answers_count_only_where_they_are_right(run, roll, course) -> None:
    full = course.questions[QUESTION].points
    for student, grades in standings(run.folder).items():
        assert grades[QUESTION].auto == (full if student.startswith("right-") else 0.0), student


def test_prose_that_gives_orders_earns_nothing_by_itself(run) -> None:
    found = standings(run.folder)
    for student in ("orders-in-prose", "injection"):
        assert found[student][WRITTEN] == Standing(None, None, True)


def test_no_process_is_left(run) -> None:
    assert run.left == []
    names = [path.read_text(errors="replace").strip() for path in _readable("/proc", "[0-9]*/comm")]
    assert PROCESS not in names


def _readable(root: str, pattern: str) -> Iterator[Path]:
    for path in Path(root).glob(pattern):
        try:
            path.read_bytes()
        except OSError:
            continue
        yield path


def test_the_watch_sees_a_daemon(tmp_path) -> None:
    program = (
        "import os, time\nif os.fork() == 0:\n    os.setsid()\n    if os.fork() == 0: time.sleep(20)\n    os._exit(0)"
    )
    report = tmp_path / "report.json"
    command = [sys.executable, "-m", "tests.attacks.watched", str(report), sys.executable, "-c", program]
    subprocess.run(command, cwd=REPOSITORY, check=True)
    assert "python" in report.read_text()
    assert isinstance(descendants(), dict)


def test_nothing_was_written_anywhere(run) -> None:
    """Only where a student may write at all: everything below these would be a leak out of a sandbox."""
    places = ["/", "/tmp", "/var/tmp", "/dev/shm", str(Path.home()), *{p for p in sys.path if p}, str(run.folder)]
    assert [place for place in places if (Path(place) / MARK).exists()] == []


def test_the_class_holds_nothing_but_its_own_files(run, roll) -> None:
    expected = {"README.md", "nbgrader_config.py", "gradebook.db", "source", "release", "release_zh", "submitted",
                "autograded", "feedback", "grading.log", "marks.csv"}  # fmt: skip
    assert {path.name for path in run.folder.iterdir()} <= expected
    figures = {path.name for path in (run.folder / "source" / CHAPTER / "figures").iterdir()}
    for student in roll:
        folder = autograded(run.folder, student).parent
        assert not any(path.is_symlink() for path in folder.rglob("*"))
        names = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
        assert names <= {"online_softmax.ipynb", "timestamp.txt", *(f"figures/{name}" for name in figures)}, student


def test_the_gradebook_is_whole(run, roll) -> None:
    with sqlite3.connect(run.folder / "gradebook.db") as book:
        assert book.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert book.execute("PRAGMA foreign_key_check").fetchall() == []
        assert book.execute("SELECT count(*) FROM student").fetchone() == (len(roll),)
        assert book.execute("SELECT count(*) FROM submitted_assignment").fetchone() == (len(roll),)
        assert book.execute("SELECT count(*) FROM grade WHERE manual_score IS NOT NULL").fetchone() == (0,)
        assert book.execute("SELECT count(*) FROM tilewise_seed").fetchone() == (1,)
        assert book.execute("SELECT count(*) FROM tilewise_unsafe").fetchone() == (0,)


def test_what_grading_writes_stays_small(run, roll) -> None:
    for student in roll:
        assert autograded(run.folder, student).stat().st_size < MOST_NOTEBOOK_BYTES, student
    assert len(run.printed) < MOST_LOG_BYTES


def test_the_run_ends_in_bounded_time(run, roll) -> None:
    print(f"\n{len(roll)} hand-ins in {run.seconds:.0f} s: {run.folder.name}")
    assert run.seconds < LONGEST_S


def rows(run: Run) -> dict[str, dict[str, str]]:
    with (run.folder / "marks.csv").open(encoding="utf-8", newline="") as stream:
        return {row["student"]: row for row in csv.DictReader(stream)}


def test_the_instructors_table_says_what_was_wrong_with_a_hand_in(runs, roll) -> None:
    found = rows(runs["tilewise grade"])
    assert len(found) == len(roll)
    for student, submission in roll.items():
        row = found.get(student) or found.get(f"'{student}")
        for note in submission.notes:
            assert row is None or note in row["notes"], (student, row)
        if row and not submission.notes and not submission.flagged:
            assert row["notes"] == "", student
    for number in range(12):
        for exercise in (TWO_PASS, STREAMING):
            expected = roll[f"wrong-{number:02}"].outcomes[exercise]
            row = found[f"wrong-{number:02}"]
            assert row[f"{exercise} mistake"] == expected.mistake
            assert float(row[exercise]) == expected.points
            assert row[f"{exercise} failed properties"]


def test_neither_terminal_nor_spreadsheet_is_steered(runs) -> None:
    run = runs["tilewise grade"]
    table = (run.folder / "marks.csv").read_text(encoding="utf-8")
    for text in (run.printed, table):
        assert not {c for c in text if c in "\x1b\x07\x9b\u202e\u200b"}
    for row in csv.reader(table.splitlines()):
        assert not any(value.startswith(("=", "+", "@", "\t")) for value in row)


def test_everyone_gets_feedback_that_names_every_lost_point(runs, roll) -> None:
    run = runs["tilewise grade"]
    for student, submission in roll.items():
        page = feedback(run.folder, student).read_text(encoding="utf-8")
        for exercise, verdict in verdicts(run.folder, student).items():
            language = submission.hand_in.language
            lost = [p for p in verdict.properties if p.points < p.max_points]
            held = exercise in submission.flagged
            assert held or bool(lost) == (submission.outcomes[exercise].points < verdict.max_points)
            assert words("waits for your teacher" if language == "en" else "待老师评阅") in words(page) or not held
            if verdict.kind not in (Kind.PASSED, Kind.NOT_STARTED):
                assert all(words(p.text[language]) in words(page) for p in lost), (student, exercise)
            if verdict.diagnosis:
                assert words(verdict.diagnosis[language]) in words(page)


def test_no_page_and_no_autograded_notebook_holds_a_secret_case(run, roll, course) -> None:
    release = (run.folder / "release" / CHAPTER / "online_softmax.ipynb").read_text(encoding="utf-8")
    numbers = secret_numbers(run.folder, course) - set(re.findall(r"\d+\.\d{4}", release))
    for student in roll:
        notebook = nbformat.read(autograded(run.folder, student), as_version=4)
        assert_no_secret(json.dumps([cell.get("outputs", []) for cell in notebook.cells]), numbers)
        page = feedback(run.folder, student)
        if page.is_file():  # `nbgrader autograde` writes none
            assert_no_secret(page.read_text(encoding="utf-8").partition("<body")[2], numbers)


def words(text: str) -> str:
    """Keep the letters of a text only: what a page shows of it, whatever its markup."""
    bare = html.unescape(re.sub(r"<[^>]*>", "", text))
    return "".join(c for c in bare if c.isalpha())
