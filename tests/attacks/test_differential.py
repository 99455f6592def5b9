"""Honest hand-ins get the same marks as from stock nbgrader, which runs the same assertions in the student's kernel."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from autograder.course.ids import solution_grade_id
from autograder.course.model import Chapter, Course
from autograder.nbgrader_plugin import classroom
from autograder.nbgrader_plugin.seeds import secret_seed
from tests.attacks.conftest import Run
from tests.attacks.honest import COMPARED
from tests.attacks.inline import grade_inline
from tests.autograder.nbgrader_plugin.gradebooks import db_url, run, standings
from tests.autograder.nbgrader_plugin.handins import CHAPTER, filled

pytestmark = pytest.mark.slow
OTHERS = ["04_merge_softmax", "07_blockwise_attention"]
Marks = dict[str, dict[str, float | None]]


def marks(folder: Path, chapter: Chapter) -> Marks:
    """Give student -> exercise -> automatic marks."""
    exercises = {exercise.id for exercise in chapter.exercises}
    found = standings(folder, chapter.folder.name)
    return {s: {e: grade.auto for e, grade in grades.items() if e in exercises} for s, grades in found.items()}


def assert_they_tell_answers_apart(found: Marks, chapter: Chapter) -> None:
    """Fail where stock nbgrader gave all or nothing: then agreeing with it would say little."""
    for exercise in chapter.exercises:
        given = {grades[exercise.id] for grades in found.values()}
        assert {0.0, exercise.points} < given
        assert len(given) > 3


def test_honest_hand_ins_of_the_hostile_class_get_the_marks_of_stock_nbgrader(
    runs: dict[str, Run], course: Course
) -> None:
    chapter, graded = course.chapter(CHAPTER), runs["tilewise grade"].folder
    stock, ours = marks(graded.parent / "stock", chapter), marks(graded, chapter)
    assert set(stock) == set(COMPARED)
    assert stock == {student: ours[student] for student in COMPARED}
    assert_they_tell_answers_apart(stock, chapter)


def class_of(chapter: Chapter) -> dict[str, dict[str, str]]:
    """Give student -> exercise -> text: nothing, every right method, and every misconception of each exercise."""
    answers = {}
    for exercise in chapter.exercises:
        files = [exercise.solution_path, *exercise.variants("right").values(), *exercise.variants("wrong").values()]
        answers[exercise.id] = [file.read_text(encoding="utf-8") for file in files]
    count = max(map(len, answers.values()))
    students = {f"s{n:02}": {name: texts[n % len(texts)] for name, texts in answers.items()} for n in range(count)}
    return {"blank": {}} | students


@pytest.mark.parametrize("assignment", OTHERS)
def test_honest_hand_ins_of_the_other_chapters_get_the_marks_of_stock_nbgrader(
    course: Course, tmp_path: Path, assignment: str
) -> None:
    chapter, ours, stock = course.chapter(assignment), tmp_path / "ours", tmp_path / "stock"
    classroom.init(ours, course, [assignment])
    seed, code = secret_seed(db_url(ours), assignment), class_of(chapter)
    file = f"{chapter.slug}.ipynb"
    released = (ours / "release" / assignment / file).read_text(encoding="utf-8")
    for student, answers in code.items():
        submitted = ours / "submitted" / student / assignment
        submitted.mkdir(parents=True)
        texts = {solution_grade_id(name): text for name, text in answers.items()}
        (submitted / file).write_text(json.dumps(filled(json.loads(released), texts)), encoding="utf-8")
    with ThreadPoolExecutor() as pool:
        done = pool.submit(grade_inline, stock, course, chapter, seed, code)
        run(ours, "tilewise", "grade", assignment)
        done.result()
    found = marks(stock, chapter)
    assert found == marks(ours, chapter)
    assert_they_tell_answers_apart(found, chapter)


def test_every_chapter_is_compared(course: Course) -> None:
    assert {chapter.folder.name for chapter in course.chapters if not chapter.draft} == {CHAPTER, *OTHERS}
