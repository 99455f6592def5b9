"""What an instructor without a judge would write: the same assertions as plain code in the test cells of a notebook.

Stock nbgrader runs these cells in the student's own kernel. Numbers are written out, so that no file of the judge's is
read there; the meter is written anew on purpose, as a second opinion.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import nbformat
import torch
from nbformat.notebooknode import NotebookNode
from nbformat.v4 import new_code_cell, new_notebook

from autograder.course.ids import grade_id, solution_grade_id
from autograder.course.model import Course, Exercise
from autograder.judge.checks import Checks, load_checks
from autograder.judge.drawing import Drawn, Expected, draw
from autograder.judge.scoring import allowance
from tests.attacks.honest import honest
from tests.autograder.nbgrader_plugin.gradebooks import run
from tests.autograder.nbgrader_plugin.handins import CHAPTER, NOTEBOOK, STREAMING, TWO_PASS, filled, save

SETUP = """
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

nan, inf = float("nan"), float("inf")
FREE = {"full", "zeros", "zeros_like", "empty", "empty_like", "ones", "clone", "copy_", "_to_copy", "cat", "stack",
        "constant_pad_nd", "fill_", "new_full", "new_zeros", "new_empty", "full_like", "detach", "lift_fresh"}

class Largest(TorchDispatchMode):
    numbers = 0
    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        result = function(*args, **(kwargs or {}))
        aliases = [r.alias_info for r in function._schema.returns]
        moves = function._schema.name.split("::")[1] in FREE or any(a is not None and not a.is_write for a in aliases)
        for leaf in () if moves else tree_leaves((args, kwargs, result)):
            if torch.is_tensor(leaf):
                self.numbers = max(self.numbers, leaf.numel())
        return result

def newest(marker):
    return next(text for text in reversed(In) if text.startswith(marker))

def fresh(source, name, *args):
    space = {}
    exec(source, space)
    return space[name](*args)

def near(got, expected, allowed):
    assert torch.is_tensor(got) and got.dtype == torch.float32 and got.shape == expected.shape
    same = (got.double() == expected) | (got.isnan() & expected.isnan())
    assert bool((same | ((got.double() - expected).abs() <= allowed)).all())

def call_case(x, block, expected, allowed, most):
    x = torch.tensor(x)
    with Largest() as meter:
        got = online_softmax(x, block)
    near(got, torch.tensor(expected, dtype=torch.float64), allowed)
    assert most is None or meter.numbers <= most

def state_case(x, widths, expected, allowed, states, most):
    x = torch.tensor(x)
    source = newest("# exercise: online_softmax.streaming")
    state = fresh(source, "init", x.shape[0])
    for number, tile in enumerate(x.split(widths, dim=1)):
        state = fresh(source, "update", state, tile.clone())
        assert sum(part.numel() * part.element_size() for part in state) <= most
        for got, (part, budget) in zip(state, states[number] if states else (), strict=bool(states)):
            near(got, torch.tensor(part, dtype=torch.float64), budget)
    near(fresh(source, "finish", state), torch.tensor(expected, dtype=torch.float64), allowed)

def holds(case, several):
    try:
        for one in several:
            case(*one)
    except Exception:
        return False
    return True
"""


# Between them these try every other method of both exercises, every misconception, and nothing at all.
COMPARED = ["blank", *(f"right-{n:02}" for n in range(0, 12, 3)), *(f"wrong-{n:02}" for n in range(12))]


def grade_inline(folder: Path, course: Course, seed: int) -> None:
    """Make a class of stock nbgrader in `folder`, hand in what COMPARED names, and grade it."""
    # nbgrader starts alembic by name; our plug-in, which is not configured here, would see to that.
    path = {"PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])}
    source = folder / "source" / CHAPTER
    source.mkdir(parents=True)
    (folder / "nbgrader_config.py").write_text("c = get_config()\nc.CourseDirectory.course_id = 'stock'\n")
    nbformat.write(notebook(course, seed), source / f"{NOTEBOOK}.ipynb")
    run(folder, "nbgrader", "generate_assignment", CHAPTER, environment=path)
    released = (folder / "release" / CHAPTER / f"{NOTEBOOK}.ipynb").read_text(encoding="utf-8")
    students = {submission.student: submission.hand_in for submission in honest(course)}
    for student in COMPARED:
        texts = {solution_grade_id(name): text for name, text in students[student].code.items()}
        submitted = folder / "submitted" / student / CHAPTER
        submitted.mkdir(parents=True)
        save(submitted, filled(json.loads(released), texts))
    run(folder, "nbgrader", "autograde", CHAPTER, environment=path)


def notebook(course: Course, seed: int) -> NotebookNode:
    """Make the instructor's notebook: for both exercises a cell for the answer, and one that tests it inline."""
    cells = [_locked("setup", SETUP)]
    for name, case in ((TWO_PASS, "call_case"), (STREAMING, "state_case")):
        exercise = course.exercises[name]
        starter = f"# exercise: {name}\n### BEGIN SOLUTION\n### END SOLUTION\n"
        cells.append(_cell(solution_grade_id(name), starter, solution=True, locked=False))
        cells.append(_cell(grade_id(name), _tests(exercise, case, seed), grade=True, points=exercise.points))
    made = new_notebook(cells=cells, metadata={"kernelspec": {"name": "python3", "display_name": "Python 3"}})
    for number, cell in enumerate(made.cells):
        cell.id = f"cell-{number}"
    return made


def _tests(exercise: Exercise, case: str, seed: int) -> str:
    checks = load_checks(exercise.checks_path)
    lines = ["points = 0.0"]
    for name, text in exercise.properties.items():
        cases = [_written(d, checks) for d in draw(exercise, checks, seed) if d.property.name == name]
        lines += [f"# {name}", f"if holds({case}, {cases!r}):", f"    points += {text.points!r}"]
    return "\n".join([*lines, "points"])


def _written(drawn: Drawn, checks: Checks) -> tuple[Any, ...]:
    """Write a case out as plain values: the arguments of `call_case` or `state_case`."""
    arguments = drawn.case.arguments
    assert drawn.expected is not None
    expected, allowed = _one(drawn.expected)
    x = arguments["x"]
    assert isinstance(x, torch.Tensor)
    if "block" in arguments:
        assert checks.largest_temporary is not None
        most = checks.largest_temporary(**arguments) if drawn.property.meter else None
        return x.tolist(), arguments["block"], expected, allowed, most
    assert checks.state_bytes is not None
    widths = [int(width) for width in str(arguments["widths"]).split("+")]
    states = [_all(state) for state in drawn.states]
    return x.tolist(), widths, expected, allowed, states, checks.state_bytes(**arguments)


def _all(expected: Expected) -> list[tuple[Any, float]]:
    return [(o.tolist(), allowance(o, p)) for o, p in zip(expected.oracle, expected.plain, strict=True)]


def _one(expected: Expected) -> tuple[Any, float]:
    (found,) = _all(expected)
    return found


def _locked(label: str, source: str) -> NotebookNode:
    return _cell(label, source)


def _cell(label: str, source: str, **more: Any) -> NotebookNode:
    flags = {"schema_version": 3, "grade_id": label, "grade": False, "solution": False, "locked": True, "task": False}
    return new_code_cell(source, metadata={"nbgrader": flags | more})
