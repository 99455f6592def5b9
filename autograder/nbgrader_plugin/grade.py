"""Grade a whole class in this process: every hand-in of an assignment, its feedback, and what came of it.

One hand-in that cannot be judged costs that student a place in this run, never the others theirs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import nbformat
from nbformat.notebooknode import NotebookNode
from nbgrader.api import Grade
from nbgrader.apps import api as nbgrader_api
from nbgrader.converters.base import NbGraderException

from autograder.course.ids import exercise_id
from autograder.judge.verdict import Kind, Verdict
from autograder.nbgrader_plugin.autograde import JudgedAutograde
from autograder.nbgrader_plugin.classroom import LOG, ClassError
from autograder.nbgrader_plugin.execute import flags_of, verdicts_of
from autograder.nbgrader_plugin.folders import is_usable
from autograder.nbgrader_plugin.intake import intake_of
from autograder.nbgrader_plugin.isolation import STAMP, unsafe_rung

UNUSABLE = "nbgrader cannot handle this name; rename the student's folder in submitted, then grade again"
GRADED, WAITING, FAILED = "graded", "to review", "NOT GRADED"


@dataclass(frozen=True)
class CellMark:
    """What one exercise, graded question or written answer earned. points: None while a person has still to look."""

    points: float | None
    max_points: float


@dataclass(frozen=True)
class Result:
    """One student's standing in an assignment after a run. marks: exercise or question id -> what it earned."""

    assignment: str
    student: str
    status: str
    timestamp: str = ""
    points: float = 0.0
    max_points: float = 0.0
    penalty: float = 0.0
    marks: dict[str, CellMark] = field(default_factory=dict)
    verdicts: dict[str, Verdict] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def failed_properties(self, exercise: str) -> list[str]:
        """Name the properties that cost points in an exercise."""
        verdict = self.verdicts.get(exercise)
        return [p.name for p in verdict.properties if p.kind is not Kind.PASSED] if verdict else []


def assignments_of(classroom: nbgrader_api.NbGraderAPI, wanted: str | None) -> list[str]:
    """Give the assignment asked for, or all that somebody has handed in; raise ClassError where there is none."""
    with classroom.gradebook as gradebook:
        known = [assignment.name for assignment in gradebook.assignments]
    if wanted is not None and wanted not in known:
        raise ClassError(f"the class has no assignment {wanted!r}; it has: {', '.join(known) or 'none'}")
    handed_in = [name for name in known if wanted in (None, name) and classroom.get_submitted_students(name)]
    if not handed_in:
        where = classroom.coursedir.format_path(classroom.coursedir.submitted_directory, "STUDENT", wanted or "*")
        raise ClassError(f"nothing was handed in yet; hand-ins belong in {where}")
    return handed_in


def students_of(classroom: nbgrader_api.NbGraderAPI, assignment: str, wanted: Sequence[str] = ()) -> list[str]:
    """Give the students to grade, sorted; raise ClassError for one who handed nothing in."""
    there = classroom.get_submitted_students(assignment)
    if missing := sorted(set(wanted) - there):
        raise ClassError(f"{', '.join(missing)} handed in nothing for {assignment}")
    return sorted(set(wanted) or there)


def grade_student(classroom: nbgrader_api.NbGraderAPI, assignment: str, student: str, *, force: bool) -> Result:
    """Grade one hand-in unless it is graded already, write its feedback, and give the student's standing."""
    if not is_usable(student):
        return Result(assignment, student, FAILED, notes=(UNUSABLE,))
    if failure := _autograde(classroom, assignment, student, force=force):
        return Result(assignment, student, FAILED, notes=(failure,))
    trouble = _feedback(classroom, assignment, student)
    return _standing(classroom, assignment, student, (trouble,) if trouble else ())


def grade_class(
    classroom: nbgrader_api.NbGraderAPI,
    assignment: str,
    students: Sequence[str],
    *,
    force: bool = False,
    done: Callable[[], None] = lambda: None,
) -> list[Result]:
    """Grade these students' hand-ins one after another; `done` is called after each."""
    results = []
    for student in students:
        results.append(grade_student(classroom, assignment, student, force=force))
        done()
    return results


def _autograde(classroom: nbgrader_api.NbGraderAPI, assignment: str, student: str, *, force: bool) -> str | None:
    """Run nbgrader's Autograde, which is ours, for one student; give None, or why the hand-in was not graded."""
    classroom.coursedir.assignment_id, classroom.coursedir.student_id = assignment, student
    step = JudgedAutograde(coursedir=classroom.coursedir, parent=classroom)
    step.force = force
    try:
        step.start()
    except NbGraderException as error:
        return f"{step.failures.get(student, error)} ({LOG} says more)"
    return None


def _feedback(classroom: nbgrader_api.NbGraderAPI, assignment: str, student: str) -> str | None:
    result = classroom.generate_feedback(assignment, student, force=True)
    return None if result["success"] else f"no feedback was written; {LOG} says why"


def _standing(classroom: nbgrader_api.NbGraderAPI, assignment: str, student: str, notes: tuple[str, ...]) -> Result:
    """Read what the gradebook and the autograded notebook say; marks given by hand count there as everywhere."""
    with classroom.gradebook as gradebook:
        submission = gradebook.find_submission(assignment, student)
        grades = {_label(grade.name): grade for notebook in submission.notebooks for grade in notebook.grades}
        marks = {
            label: CellMark(None if _is_unmarked(grade) else grade.score, grade.max_score)
            for label, grade in grades.items()
        }
        result = Result(
            assignment,
            student,
            WAITING if any(grade.needs_manual_grade for grade in grades.values()) else GRADED,
            timestamp=submission.timestamp.isoformat() if submission.timestamp else "",
            points=submission.score,
            max_points=submission.max_score,
            penalty=submission.late_submission_penalty or 0.0,
            marks=marks,
        )
        names = [notebook.name for notebook in submission.notebooks]
    verdicts: dict[str, Verdict] = {}
    for name in names:
        folder = classroom.coursedir.format_path(classroom.coursedir.autograded_directory, student, assignment)
        notebook = nbformat.read(Path(folder) / f"{name}.ipynb", as_version=4)
        verdicts |= verdicts_of(notebook)
        notes += tuple(_notes(notebook))
    if rung := unsafe_rung(verdicts.values()):
        notes += (f"{STAMP.en} ({rung})",)
    return replace(result, verdicts=verdicts, notes=notes)


def _is_unmarked(grade: Grade) -> bool:
    return grade.auto_score is None and grade.manual_score is None


def _label(cell: str) -> str:
    """Name the exercise or question of a cell as the class knows it; an instructor's own cell by its label."""
    try:
        return exercise_id(cell)
    except ValueError:
        return cell


def _notes(notebook: NotebookNode) -> Iterator[str]:
    """Give what intake noticed, in English: the instructor's table is not a student's page."""
    intake = intake_of(notebook)
    if intake["problem"]:
        yield intake["problem"]["en"]
    yield from (note["en"] for note in intake["notes"])
    yield from (f"{_label(cell)}: {note['en']}" for cell, note in intake["cells"].items())
    yield from (f"{_label(cell)}: {flag.en}" for cell, flag in flags_of(notebook).items())
