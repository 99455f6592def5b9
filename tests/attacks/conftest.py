"""The hostile class, graded once in both ways; all tests look at the same result."""

from __future__ import annotations

import fcntl
import json
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from autograder.course.model import Course
from autograder.course.reading import course_root, load_course
from autograder.nbgrader_plugin import classroom
from autograder.nbgrader_plugin.seeds import secret_seed
from tests.attacks.everyone import everyone
from tests.attacks.honest import COMPARED, honest
from tests.attacks.inline import grade_inline
from tests.attacks.roll import Submission
from tests.autograder.nbgrader_plugin.gradebooks import db_url
from tests.autograder.nbgrader_plugin.handins import CHAPTER

REPOSITORY = Path(__file__).resolve().parents[2]
BIN = Path(sys.executable).parent
LONGEST_S = 900
PATIENT, IMPATIENT = "seconds = 2", "seconds = 1"
WAYS = {
    "tilewise grade": ["tilewise", "grade", CHAPTER, "--csv", "marks.csv"],
    "nbgrader autograde": ["nbgrader", "autograde", CHAPTER],
}


@dataclass(frozen=True)
class Run:
    """A graded class. left: processes that outlived the run.   printed: what the terminal was shown."""

    folder: Path
    status: int
    seconds: float
    left: list[str]
    printed: str


@pytest.fixture(scope="session")
def course() -> Course:
    return load_course()


@pytest.fixture(scope="session")
def runs(course: Course, tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> dict[str, Run]:
    """Grade the class in both ways, and its honest part by stock nbgrader, side by side.

    Of several test processes the first one does it for all.
    """
    shared = tmp_path_factory.getbasetemp()
    if worker_id != "master":
        shared = shared.parent
    root = shared / "hostile"
    with (shared / "hostile.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not root.exists():
            root.mkdir()
            seed = _make(course, root)
            with ThreadPoolExecutor() as pool:
                chapter = course.chapter(CHAPTER)
                compared = {s.student: s.hand_in.code for s in honest(course) if s.student in COMPARED}
                stock = pool.submit(grade_inline, root / "stock", course, chapter, seed, compared)
                graded = [pool.submit(_grade, root / _folder(way), command) for way, command in WAYS.items()]
                for job in (*graded, stock):
                    job.result()
    return {way: _result(root / _folder(way)) for way in WAYS}


@pytest.fixture(scope="session", params=WAYS)
def run(runs: dict[str, Run], request: pytest.FixtureRequest) -> Run:
    return runs[request.param]


@pytest.fixture(scope="session")
def roll(course: Course, runs: dict[str, Run]) -> dict[str, Submission]:
    """Student -> what was handed in and must come of it."""
    return {s.student: s for s in everyone(course, runs["tilewise grade"].folder)}


def _make(course: Course, root: Path) -> int:
    """Make the same class twice, with one seed, and give that. Pipes and huge files are not copied but handed in twice.

    The judge reads a copy of the course in which a hand-in that hangs is given up sooner; the release is the real one.
    """
    copied = shutil.copytree(course_root(), root / "course")
    for file in (copied / CHAPTER).glob("*/exercise.toml"):
        text = file.read_text(encoding="utf-8")
        assert text.count(PATIENT) == 1
        file.write_text(text.replace(PATIENT, IMPATIENT), encoding="utf-8")
    empty = root / "empty"
    classroom.init(empty, course, [CHAPTER])
    seed = secret_seed(db_url(empty), CHAPTER)
    for way in WAYS:
        folder = shutil.copytree(empty, root / _folder(way))
        for submission in everyone(course, folder):
            submission.write(folder)
    return seed


def _grade(folder: Path, command: list[str]) -> None:
    watched = [sys.executable, "-m", "tests.attacks.watched", str(folder.parent / f"{folder.name}.json")]
    inside = [
        "env",
        f"--chdir={folder}",
        "COLUMNS=200",
        f"TILEWISE_COURSE={folder.parent / 'course'}",
        str(BIN / command[0]),
        *command[1:],
    ]
    with (folder.parent / f"{folder.name}.log").open("wb") as log:
        subprocess.run(
            [*watched, *inside], cwd=REPOSITORY, stdout=log, stderr=log, timeout=LONGEST_S, check=True
        )  # fmt: skip


def _result(folder: Path) -> Run:
    report: dict[str, Any] = json.loads((folder.parent / f"{folder.name}.json").read_text())
    printed = (folder.parent / f"{folder.name}.log").read_text(encoding="utf-8")
    return Run(folder, report["status"], report["seconds"], report["left"], printed)


def _folder(way: str) -> str:
    return way.replace(" ", "-")
