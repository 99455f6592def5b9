"""nbgrader's GenerateFeedback with a page of our own: in the student's language, and with no 0 for what is unmarked."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from nbconvert.exporters.exporter import ResourcesDict
from nbconvert.preprocessors import CSSHTMLHeaderPreprocessor
from nbformat.notebooknode import NotebookNode
from nbgrader.converters import GenerateFeedback
from nbgrader.coursedir import CourseDirectory
from nbgrader.preprocessors import GetGrades
from nbgrader.utils import is_grade
from traitlets import List
from traitlets.config import Config

from autograder.course.markup import to_html
from autograder.nbgrader_plugin.execute import the_course
from autograder.nbgrader_plugin.intake import language_of

TEMPLATES = Path(__file__).parent / "templates"


class GetStanding(GetGrades):
    """Also mark what a person has still to grade, which nbgrader would show as 0 points, and bring in the questions.

    A question is drawn by its widget in the notebook; on a page it must be written out, or the answer says nothing.
    """

    def preprocess(self, nb: NotebookNode, resources: ResourcesDict) -> tuple[NotebookNode, ResourcesDict]:
        for cell in nb.cells:
            tilewise = cell.metadata.get("tilewise", {})
            if tilewise.get("role") == "answer" and (question := the_course().questions.get(tilewise["id"])):
                tilewise["prompt"] = to_html(question.prompt[language_of(nb)])
        return super().preprocess(nb, resources)

    def preprocess_cell(
        self, cell: NotebookNode, resources: ResourcesDict, cell_index: int
    ) -> tuple[NotebookNode, ResourcesDict]:
        cell, resources = super().preprocess_cell(cell, resources, cell_index)
        if is_grade(cell):
            label = cell.metadata.nbgrader["grade_id"]
            grade = self.gradebook.find_grade(label, self.notebook_id, self.assignment_id, self.student_id)
            unmarked = grade.needs_manual_grade and grade.manual_score is None
            cell.metadata.setdefault("tilewise", NotebookNode())["waiting"] = unmarked
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
