"""nbgrader's GenerateFeedback with a page of our own: in the student's language, and with no 0 for what is unmarked.

The page is one file that runs no script and asks for nothing: a student opens it anywhere, and what is in it stays put.
"""

from __future__ import annotations

import glob
import os
from pathlib import Path
from typing import Any

from nbconvert.exporters.exporter import ResourcesDict
from nbconvert.preprocessors import CSSHTMLHeaderPreprocessor
from nbformat.notebooknode import NotebookNode
from nbgrader.converters import GenerateFeedback
from nbgrader.converters.base import NbGraderException
from nbgrader.coursedir import CourseDirectory
from nbgrader.preprocessors import GetGrades
from nbgrader.utils import is_grade, is_solution
from traitlets import List
from traitlets.config import Config

from autograder.course.markup import to_html
from autograder.course.notebook import ANSWER_PLACE
from autograder.nbgrader_plugin.execute import the_course, verdicts_of
from autograder.nbgrader_plugin.folders import is_usable, matching
from autograder.nbgrader_plugin.intake import language_of
from autograder.nbgrader_plugin.isolation import STAMP, unsafe_rung
from autograder.nbgrader_plugin.prose import to_page, visible

TEMPLATES = Path(__file__).parent / "templates"


class GetStanding(GetGrades):
    """Also mark what a person has still to grade, which nbgrader would show as 0 points, and bring in the questions.

    A question is drawn by its widget in the notebook; on a page it must be written out, or the answer says nothing.
    What the page shows of prose is made here, as metadata.tilewise.page, and of a comment as metadata.tilewise.said.
    """

    def preprocess(self, nb: NotebookNode, resources: ResourcesDict) -> tuple[NotebookNode, ResourcesDict]:
        for cell in nb.cells:
            tilewise = cell.metadata.setdefault("tilewise", NotebookNode())
            if tilewise.get("role") == "answer" and (question := the_course().questions.get(tilewise["id"])):
                tilewise["prompt"] = to_html(question.prompt[language_of(nb)])
        nb, resources = super().preprocess(nb, resources)
        folder = Path(resources["metadata"]["path"])
        resources["tilewise"] = {"student": visible(resources["nbgrader"]["student"])}
        for cell in nb.cells:
            cell.source = visible(cell.source)
            if cell.cell_type == "markdown":
                # What marks the place of an answer in a notebook of either language is no answer.
                is_empty = is_solution(cell) and cell.source.strip() == ANSWER_PLACE
                cell.metadata["tilewise"]["page"] = "" if is_empty else to_page(cell.source, folder)
            if comment := cell.metadata.get("nbgrader", {}).get("comment"):
                cell.metadata["tilewise"]["said"] = to_page(comment, folder)
        if unsafe_rung(verdicts_of(nb).values()):
            nb.metadata["tilewise"]["stamp"] = STAMP[language_of(nb)]
        return nb, resources

    def preprocess_cell(
        self, cell: NotebookNode, resources: ResourcesDict, cell_index: int
    ) -> tuple[NotebookNode, ResourcesDict]:
        cell, resources = super().preprocess_cell(cell, resources, cell_index)
        if is_grade(cell):
            label = cell.metadata.nbgrader["grade_id"]
            grade = self.gradebook.find_grade(label, self.notebook_id, self.assignment_id, self.student_id)
            cell.metadata["tilewise"]["waiting"] = grade.needs_manual_grade and grade.manual_score is None
        return cell, resources


class TilewiseFeedback(GenerateFeedback):
    """GenerateFeedback with our page. `autograder.nbgrader_plugin.configure` puts it in nbgrader's place."""

    preprocessors = List([GetStanding, CSSHTMLHeaderPreprocessor]).tag(config=True)

    def __init__(self, coursedir: CourseDirectory | None = None, **keywords: Any) -> None:
        super().__init__(coursedir=coursedir, **keywords)
        # Found before nbgrader's own template of the same name, which its API asks for by name.
        ours = Config()
        ours.HTMLExporter.extra_template_basedirs = [str(TEMPLATES)]
        self.update_config(ours)

    def init_notebooks(self) -> None:
        """Find the autograded notebooks, also of a student whose name would mean something else as a pattern."""
        pattern = self._format_source(self.coursedir.assignment_id, self.coursedir.student_id)
        wanted = f"{self.coursedir.notebook_id}.ipynb"
        found = {
            folder: sorted(glob.glob(os.path.join(glob.escape(folder), wanted)))
            for folder in matching(pattern)
            if is_usable(folder)
        }
        self.assignments = {folder: notebooks for folder, notebooks in found.items() if notebooks}
        if not self.assignments:
            message = f"there is nothing to give feedback on: no autograded notebook matches {pattern}; autograde first"
            self.log.error(message)
            raise NbGraderException(message)
