"""The course that is shipped: what is committed is what it gives, and no secret of it would slip through the scan."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from pathlib import PurePosixPath

import pytest

from autograder.course.build import built_tree, check_build
from autograder.course.leaks import scan_release
from autograder.course.model import Course
from autograder.course.reading import load_course
from autograder.course.soundness import check_chapter, check_course, check_exercise
from autograder.course.starter import solution_cell_source
from autograder.course.verify import verify
from autograder.judge.client import Judge

DISGUISES: dict[str, Callable[[str], str]] = {
    "as it is": lambda text: text,
    "with other white space": lambda text: text.replace("    ", "\t").replace(" = ", "="),
    "in base64": lambda text: base64.b64encode(text.encode()).decode(),
    "as JSON": json.dumps,
    "commented out": lambda text: "".join(f"# {line}\n" for line in text.splitlines()),
}


@pytest.fixture(scope="module")
def course() -> Course:
    return load_course()


@pytest.fixture(scope="module")
def release(course: Course) -> dict[PurePosixPath, bytes]:
    return {path: content for path, content in built_tree(course).items() if path.parts[0] == "notebooks"}


def bodies(course: Course) -> dict[str, str]:
    """Give every text that a student must not get, under the name by which the scan tells of it."""
    found = {}
    for exercise in course.exercises.values():
        found[f"the solution of {exercise.id}"] = solution_cell_source(exercise)
        found[f"checks.py of {exercise.id}"] = exercise.checks_path.read_text(encoding="utf-8")
        for name, path in exercise.variants("wrong").items():
            found[f"the wrong solution {name} of {exercise.id}"] = path.read_text(encoding="utf-8")
        for name, path in exercise.variants("right").items():
            found[f"the right solution {name} of {exercise.id}"] = path.read_text(encoding="utf-8")
    for question in course.questions.values():
        if question.graded:
            found[f"the key of {question.full_id}"] = next(o.why.zh for o in question.options if o.correct)
    return found


def test_what_is_committed_is_what_the_course_gives(course: Course) -> None:
    drift = check_build(course, course.root.parent)
    assert not drift, f"{drift}; run `tilewise build` and commit what it writes"


def test_the_release_gives_nothing_away(course: Course, release: dict[PurePosixPath, bytes]) -> None:
    assert scan_release(course, release) == []


@pytest.mark.parametrize("disguise", DISGUISES)
def test_every_secret_would_be_found(course: Course, release: dict[PurePosixPath, bytes], disguise: str) -> None:
    home = PurePosixPath("notebooks", "en", "home.ipynb")
    for name, body in bodies(course).items():
        notebook = json.loads(release[home])
        notebook["cells"][1]["source"] = [DISGUISES[disguise](body)]
        told = {leak.what.partition(": ")[0] for leak in scan_release(course, {home: json.dumps(notebook).encode()})}
        assert name in told, f"{name} {disguise} slips through"


def test_texts_slides_quizzes_and_files_are_sound(course: Course) -> None:
    findings = [*check_course(course)]
    for chapter in course.chapters:
        findings += check_chapter(course, chapter)
        for exercise in chapter.exercises:
            findings += check_exercise(exercise)
    assert findings == []


@pytest.mark.slow
def test_the_judge_proves_the_course(course: Course) -> None:
    with Judge(course=course.root) as judge:
        rows = verify(course, course.chapters, [judge], seed=1)
    assert [(row.item, finding.what) for row in rows for finding in row.findings] == []
