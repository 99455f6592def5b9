"""formgrader, served by a real JupyterLab from the class's folder, over HTTP."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from http.cookiejar import CookieJar
from pathlib import Path
from typing import Any

import pytest

from autograder.course.model import Course
from tests.autograder.nbgrader_plugin.gradebooks import run, set_manual_mark, standings
from tests.autograder.nbgrader_plugin.handins import CHAPTER, NOTEBOOK, STREAMING, TWO_PASS, HandIn, six, variant

pytestmark = pytest.mark.slow
START_SECONDS = 120
TOKEN = "a-token-for-this-test"
STUDENTS = ["ada", "bob", "cyd", "dan", "eve", "fay"]


class Formgrader:
    """Talks to formgrader as a browser does: with the session's cookies, and the XSRF cookie sent back as a header."""

    def __init__(self, port: int) -> None:
        self.root = f"http://127.0.0.1:{port}"
        self.cookies = CookieJar()
        self.opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(self.cookies))

    def page(self, path: str, method: str = "GET") -> str:
        request = urllib.request.Request(f"{self.root}{path}", method=method, data=b"" if method == "POST" else None)
        request.add_header("Authorization", f"token {TOKEN}")
        for cookie in self.cookies:
            if cookie.name == "_xsrf":
                request.add_header("X-XSRFToken", cookie.value or "")
        with self.opener.open(request, timeout=START_SECONDS) as answer:
            return answer.read().decode("utf-8")

    def json(self, path: str, method: str = "GET") -> Any:
        return json.loads(self.page(f"/formgrader/api{path}", method))


@pytest.fixture(scope="module")
def served(empty_class: Path, course: Course, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A class with the six hand-ins graded, and one more that is not."""
    folder = shutil.copytree(empty_class, tmp_path_factory.mktemp("formgrader") / "class")
    for hand_in in six(course):
        hand_in.write(folder)
    run(folder, "tilewise", "grade", CHAPTER)
    solution = {name: variant(course, name, "solution") for name in (TWO_PASS, STREAMING)}
    late = HandIn("gus", code=solution, written="<script>alert(1)</script> [x](javascript:alert(2))").write(folder)
    (late / "torch.py").write_text("raise SystemExit")
    return folder


@pytest.fixture(scope="module")
def formgrader(served: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Formgrader]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    home = tmp_path_factory.mktemp("home")
    quiet = {"HOME": str(home), "JUPYTER_CONFIG_DIR": str(home), "JUPYTER_RUNTIME_DIR": str(home / "run")}
    with (home / "server.log").open("wb") as log:
        server = subprocess.Popen(
            [Path(sys.executable).parent / "jupyter", "lab", "--no-browser", "--allow-root", f"--port={port}",
             f"--IdentityProvider.token={TOKEN}"],
            cwd=served, env=os.environ | quiet, stdout=log, stderr=subprocess.STDOUT,
        )  # fmt: skip
    try:
        client = Formgrader(port)
        wait_for(client, server, home / "server.log")
        yield client
    finally:
        server.terminate()
        server.wait(30)


def wait_for(client: Formgrader, server: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and server.poll() is None:
        try:
            client.json("/status")
            return
        except (urllib.error.URLError, ConnectionError):
            time.sleep(0.3)
    pytest.fail(f"JupyterLab did not start:\n{log.read_text(errors='replace')[-3000:]}")


def test_formgrader_lists_every_hand_in_with_its_marks(formgrader, served) -> None:
    listed = {s["student"]: s for s in formgrader.json(f"/submissions/{CHAPTER}")}
    assert sorted(listed) == [*STUDENTS, "gus"]
    for student, grades in standings(served).items():
        if student in STUDENTS:
            assert listed[student]["autograded"]
            assert listed[student]["score"] == sum(grade.auto or 0.0 for grade in grades.values())
            assert listed[student]["needs_manual_grade"] == any(g.needs_person for g in grades.values())
    assert not listed["gus"]["autograded"] or listed["gus"]["score"] > 0


def test_formgraders_pages_open(formgrader) -> None:
    assert CHAPTER in formgrader.page(f"/formgrader/manage_submissions/{CHAPTER}")
    assert "formgrader" in formgrader.page("/formgrader/manage_assignments").lower()


def test_a_submission_shows_its_verdict_to_the_grader(formgrader) -> None:
    submissions = formgrader.json(f"/submitted_notebooks/{CHAPTER}/{NOTEBOOK}")
    found = next(s for s in submissions if s["student"] == "cyd")
    page = formgrader.page(f"/formgrader/submissions/{found['id']}/")
    assert "tilewise-panel" in page
    assert "is not rescaled" in page, "the diagnosis of the wrong solution that behaves alike"


def test_formgraders_button_grades_with_the_judge(formgrader, served, course) -> None:
    formgrader.page("/formgrader/manage_assignments")  # sets the XSRF cookie, as the page with the button does
    answer = formgrader.json(f"/submission/{CHAPTER}/gus/autograde", "POST")
    assert answer["success"], answer.get("log")
    grades = standings(served)["gus"]
    assert {grades[name].auto for name in (TWO_PASS, STREAMING)} == {course.exercises[TWO_PASS].points}
    graded = served / "autograded" / "gus" / CHAPTER
    assert not (graded / "torch.py").exists(), "stock Autograde would have copied it"
    assert '"intake"' in (graded / f"{NOTEBOOK}.ipynb").read_text(encoding="utf-8")
    submissions = formgrader.json(f"/submitted_notebooks/{CHAPTER}/{NOTEBOOK}")
    found = next(s for s in submissions if s["student"] == "gus")
    page = formgrader.page(f"/formgrader/submissions/{found['id']}/")
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
    assert "<script>alert(1)</script>" not in page
    assert 'href="javascript:' not in page


def test_formgraders_feedback_button_writes_our_page(formgrader, served) -> None:
    set_manual_mark(served, "ada", "online_softmax--w1", 2.0)
    formgrader.page("/formgrader/manage_assignments")
    answer = formgrader.json(f"/assignment/{CHAPTER}/ada/generate_feedback", "POST")
    assert answer["success"], answer.get("log")
    page = (served / "feedback" / "ada" / CHAPTER / f"{NOTEBOOK}.html").read_text(encoding="utf-8")
    assert "waits for your teacher" not in page
    assert "24 / 24" in page
