"""Grade a chapter as stock nbgrader does, where the test cells hold the assertions themselves (`assertions.py`)."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import nbformat
import torch
from nbformat.notebooknode import NotebookNode
from nbformat.v4 import new_code_cell, new_notebook

from autograder.course.ids import grade_id, solution_grade_id
from autograder.course.model import Chapter, Course, Exercise
from autograder.judge.checks import Checks, load_checks
from autograder.judge.drawing import Drawn, Expected, draw
from autograder.judge.scoring import allowance
from tests.autograder.nbgrader_plugin.gradebooks import run
from tests.autograder.nbgrader_plugin.handins import filled

SETUP = Path(__file__).with_name("assertions.py").read_text(encoding="utf-8")
# What a counterexample has to refute: the published function as it is, and with the scale that it lacks put in.
REFUTES = {"refuted": 1.0, "refuted_whatever_the_scale": 0.0}


def grade_inline(
    folder: Path, course: Course, chapter: Chapter, seed: int, code: Mapping[str, Mapping[str, str]]
) -> None:
    """Make a class of stock nbgrader in `folder`, hand in, and grade. code: student -> exercise -> text."""
    # nbgrader starts alembic by name; our plug-in, which is not configured here, would see to that.
    path = {"PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])}
    assignment, file = chapter.folder.name, f"{chapter.slug}.ipynb"
    source = folder / "source" / assignment
    source.mkdir(parents=True)
    (folder / "nbgrader_config.py").write_text("c = get_config()\nc.CourseDirectory.course_id = 'stock'\n")
    nbformat.write(notebook(chapter), source / file)
    torch.save({exercise.id: _data(course, exercise, seed) for exercise in chapter.exercises}, source / "cases.pt")
    run(folder, "nbgrader", "generate_assignment", assignment, environment=path)
    released = (folder / "release" / assignment / file).read_text(encoding="utf-8")
    for student, answers in code.items():
        texts = {solution_grade_id(name): text for name, text in answers.items()}
        submitted = folder / "submitted" / student / assignment
        submitted.mkdir(parents=True)
        (submitted / file).write_text(json.dumps(filled(json.loads(released), texts)), encoding="utf-8")
    run(folder, "nbgrader", "autograde", assignment, environment=path)


def notebook(chapter: Chapter) -> NotebookNode:
    """Make the instructor's notebook: for each exercise a cell for the answer, and one that tests it inline."""
    cells = [_cell("setup", SETUP)]
    for exercise in chapter.exercises:
        starter = f"# exercise: {exercise.id}\n### BEGIN SOLUTION\n### END SOLUTION\n"
        cells.append(_cell(solution_grade_id(exercise.id), starter, solution=True, locked=False))
        cells.append(_cell(grade_id(exercise.id), _tests(exercise), grade=True, points=exercise.points))
    made = new_notebook(cells=cells, metadata={"kernelspec": {"name": "python3", "display_name": "Python 3"}})
    for number, cell in enumerate(made.cells):
        cell.id = f"cell-{number}"
    return made


def _tests(exercise: Exercise) -> str:
    lines = ["points = 0.0"]
    for name, text in exercise.properties.items():
        lines += [f"if holds({exercise.id!r}, {name!r}, globals()):", f"    points += {text.points!r}"]
    return "\n".join([*lines, "points"])


def _data(course: Course, exercise: Exercise, seed: int) -> dict[str, Any]:
    """Write an exercise's cases out as plain values, in the form in which `assertions.py` reads them."""
    checks = load_checks(exercise.checks_path)
    cases: dict[str, list[dict[str, Any]]] = {name: [] for name in exercise.properties}
    for drawn in draw(exercise, checks, seed):
        cases[drawn.property.name].append(_case(exercise, checks, drawn))
    way = "call" if exercise.contract == "call" else "stream" if len(exercise.functions) == 3 else "attend"
    given = [course.exercises[name].solution_path.read_text(encoding="utf-8") for name in exercise.given]
    return {"way": way, "cases": cases, "given": given}


def _case(exercise: Exercise, checks: Checks, drawn: Drawn) -> dict[str, Any]:
    arguments, name = drawn.case.arguments, drawn.property.name
    most = None
    if exercise.contract == "state" and checks.state_bytes is not None:
        most = checks.state_bytes(**arguments)
    elif drawn.property.meter:
        assert checks.largest_temporary is not None
        most = checks.largest_temporary(**arguments)
    return {
        "arguments": dict(arguments),
        "calls": drawn.property.calls or exercise.functions[0],
        "expected": _written(drawn.expected),
        "states": [_written(state) for state in drawn.states],
        "most": most,
        "memory_mib": exercise.properties[name].memory_mib,
        "scale_of_refutation": REFUTES[name] if drawn.expected is None else None,
    }


def _written(expected: Expected | None) -> list[tuple[torch.Tensor, torch.dtype, float]]:
    if expected is None:
        return []
    return [(o.double(), p.dtype, allowance(o, p)) for o, p in zip(expected.oracle, expected.plain, strict=True)]


def _cell(label: str, source: str, **more: Any) -> NotebookNode:
    flags = {"schema_version": 3, "grade_id": label, "grade": False, "solution": False, "locked": True, "task": False}
    return new_code_cell(source, metadata={"nbgrader": flags | more})
