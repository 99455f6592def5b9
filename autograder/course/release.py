"""Turn nbgrader source into what students get, with nbgrader's own GenerateAssignment.

An instructor's nbgrader_config.py calls `configure(c)` too, so that a class gets the notebooks that learners get.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

from nbconvert.exporters.exporter import ResourcesDict
from nbformat import NotebookNode
from nbgrader import preprocessors as nbgrader_preprocessors
from nbgrader.converters import GenerateAssignment
from nbgrader.converters.base import NbGraderException
from nbgrader.coursedir import CourseDirectory
from traitlets.config import Config

from autograder.course.model import CourseError
from autograder.course.notebook import answer_stub
from autograder.course.starter import CODE_STUB


class ClearSolutions(nbgrader_preprocessors.ClearSolutions):
    """Put each kind of cell's own stub where the solution was.

    nbgrader has one stub for all code cells, which raises; an unanswered question must not. A written answer's cell is
    the same before and after.
    """

    def preprocess_cell(
        self, cell: NotebookNode, resources: ResourcesDict, cell_index: int
    ) -> tuple[NotebookNode, ResourcesDict]:
        tilewise = cell.metadata.get("tilewise", {})
        match tilewise.get("role"):
            case "answer":
                cell.source = answer_stub(tilewise["id"])
            case "written":
                pass
            case _:
                return super().preprocess_cell(cell, resources, cell_index)
        return cell, resources


def configure(config: Any) -> None:
    """Set what makes an nbgrader release a Tilewise release, in a traitlets Config (the `c` of nbgrader_config.py)."""
    config.ClearSolutions.code_stub = {"python": CODE_STUB}
    stock = GenerateAssignment.preprocessors.default_args[0]
    config.GenerateAssignment.preprocessors = [
        ClearSolutions if step is nbgrader_preprocessors.ClearSolutions else step for step in stock
    ]


def generate_release(workspace: Path, assignment: str, author: Path) -> Path:
    """Convert workspace/source/ASSIGNMENT to workspace/release/ASSIGNMENT, and give that folder.

    Raises CourseError with what nbgrader logged when it refuses a notebook, naming `author`, the folder that the source
    was made from. No gradebook is written: nbgrader's own `--no-db`.
    """
    config = Config()
    configure(config)
    config.CourseDirectory.root = str(workspace)
    config.GenerateAssignment.no_database = True
    config.SaveCells.enabled = False
    folder = CourseDirectory(config=config)
    folder.assignment_id = assignment
    # A logger of its own: a refusal is told once, by the error, and not with nbgrader's tracebacks before it.
    log = logging.Logger("tilewise.release")
    log.addHandler(messages := _Messages())
    try:
        GenerateAssignment(coursedir=folder, config=config, log=log).start()
    except NbGraderException:
        reason = messages.lines[0] if messages.lines else "no reason given"
        raise CourseError(author, "", f"nbgrader refuses its notebook: {reason}", "Mend the text it names") from None
    return workspace / "release" / assignment


class _Messages(logging.Handler):
    """Keep what nbgrader logs as an error."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(record.getMessage())
