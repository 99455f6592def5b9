"""What stands in for running the notebook: the judge's verdicts, written as the outputs of the grade cells.

nbgrader's own SaveAutoGrades, formgrader and feedback then work on those outputs unmodified. No cell is executed here,
no kernel is started; the judge runs the text of each exercise's cell in a process of its own.
"""

from __future__ import annotations

import atexit
import math
from functools import cache
from typing import Any

from nbconvert.exporters.exporter import ResourcesDict
from nbformat.notebooknode import NotebookNode
from nbformat.v4 import new_output
from nbgrader.api import Gradebook
from nbgrader.preprocessors import NbGraderPreprocessor
from nbgrader.utils import is_grade, is_solution
from traitlets import Bool

from autograder.course.ids import answer_grade_id, exercise_id, grade_id, solution_grade_id
from autograder.course.markup import to_html, to_text
from autograder.course.model import Course, Language, Question, Text
from autograder.course.quiz import PICKED, Answer, Mark, mark, normalised, typed_answer
from autograder.course.reading import load_course
from autograder.judge import panel, report
from autograder.judge.client import Judge, JudgeError
from autograder.judge.verdict import Verdict
from autograder.nbgrader_plugin.intake import intake_of, language_of
from autograder.nbgrader_plugin.isolation import require_isolation, stamp, unsafe_rung
from autograder.nbgrader_plugin.seeds import secret_seed

_REFUSED = Text(en="This could not be graded", zh="无法评分")
_RIGHT = Text(en="Right", zh="正确")
_WRONG = Text(en="Not right", zh="不正确")
_UNANSWERED = Text(en="Not answered", zh="未作答")
_ANSWER = Text(en="Your answer", zh="你的答案")
# For both who read it: the student waits for a person, and that person restores the marks with one click.
_HELD = Text(
    en="By what it does it would earn {points:g} of {worth:g} points.",
    zh="按它实际做到的，应得 {points:g} / {worth:g} 分。",
)


@cache
def the_course() -> Course:
    return load_course()


@cache
def the_judge() -> Judge:
    """Give this process's one judge; its child imports torch once for a whole class."""
    judge = Judge()
    atexit.register(judge.close)
    return judge


class JudgeCells(NbGraderPreprocessor):
    """Write the judge's verdict on each exercise and graded question as the outputs of its grade cell.

    Takes the place of nbgrader's Execute. Raises JudgeError where the judge could not do its work: then nothing of this
    notebook is saved, and no student gets a 0 for it.
    """

    unsafe = Bool(
        False,
        help="Whether to grade where the machine gives no isolation: then a hand-in can read the gradebook and change "
        "marks. What was graded so is stamped in the gradebook and in the feedback.",
    ).tag(config=True)

    def require_isolation(self) -> None:
        """Raise UnsafeError where students' code would run without walls and that is not asked for."""
        require_isolation(the_judge().rung, unsafe=self.unsafe)

    def preprocess(self, nb: NotebookNode, resources: ResourcesDict) -> tuple[NotebookNode, ResourcesDict]:
        self.require_isolation()
        nbgrader = resources["nbgrader"]
        seed = secret_seed(nbgrader["db_url"], nbgrader["assignment"])
        problem = intake_of(nb)["problem"]
        for cell in nb.cells:
            if cell.cell_type != "code":
                continue
            cell.outputs, cell.execution_count = [], None
            if is_grade(cell) and not is_solution(cell):
                if problem:
                    self._write(cell, *_refusal(Text(**problem), cell))
                else:
                    self._grade(cell, nb, seed)
        return nb, resources

    def _grade(self, cell: NotebookNode, nb: NotebookNode, seed: int) -> None:
        label = cell.metadata.nbgrader["grade_id"]
        language: Language = language_of(nb)  # type: ignore[assignment]
        try:
            identifier = exercise_id(label)
        except ValueError:
            identifier = label
        if identifier in the_course().exercises:
            source = _source_of(nb, solution_grade_id(identifier))
            verdict = the_judge().verdict(identifier, source, seed=seed, grading=True).redacted()
            _check_points(label, verdict.points, verdict.max_points, cell)
            cell.metadata["tilewise"]["verdict"] = verdict.model_dump(mode="json")
            html, text = report.as_html(verdict, language), report.as_text(verdict, language)
            self._write(cell, html, text, _held(nb, cell, solution_grade_id(identifier), verdict.points))
        elif identifier in the_course().questions:
            question = the_course().questions[identifier]
            answer = typed_answer(_source_of(nb, answer_grade_id(identifier)), identifier)
            given = None if answer is PICKED else answer
            result = mark(question, given)
            _check_points(label, result.points, result.max_points, cell)
            html, text = _quiz_panel(question, given, result, language)
            self._write(cell, html, text, _held(nb, cell, answer_grade_id(identifier), result.points))
        else:
            raise JudgeError(
                f"grade cell {label!r} belongs to no exercise and no graded question of this course, so the judge "
                "cannot grade it; make it a manually graded cell in source/, and generate the assignment again"
            )

    @staticmethod
    def _write(cell: NotebookNode, html: str, text: str, points: float) -> None:
        # nbgrader reads the first execute_result as the points; the panel before it must be of another type.
        cell.outputs = [
            new_output("display_data", {"text/html": html, "text/plain": text}),
            new_output("execute_result", {"text/plain": repr(float(points))}, execution_count=None),
        ]


class SaveNotes(NbGraderPreprocessor):
    """Keep what goes beyond marks in the gradebook; runs after SaveAutoGrades.

    What intake noticed about a cell becomes nbgrader's automatic comment on it; a flagged answer, at 0, waits for a
    person; a hand-in that was judged without isolation is stamped.
    """

    def preprocess(self, nb: NotebookNode, resources: ResourcesDict) -> tuple[NotebookNode, ResourcesDict]:
        where = resources["nbgrader"]
        language = language_of(nb)
        noticed: dict[str, Any] = intake_of(nb)["cells"]
        flags = flags_of(nb)
        # Of every other answer the verdict says that it is missing.
        written = {cell.metadata["nbgrader"]["grade_id"] for cell in nb.cells if is_grade(cell) and is_solution(cell)}
        flagged = set(flags) | {_grade_cell_of(label) for label in flags}
        with Gradebook(where["db_url"]) as gradebook:
            notebook = gradebook.find_submission_notebook(where["notebook"], where["assignment"], where["student"])
            for comment in notebook.comments:
                said = [noticed[comment.name][language]] if comment.name in noticed else []
                if comment.name in flags:
                    said.append(flags[comment.name][language])
                if said:
                    comment.auto_comment = " ".join(said)
                elif comment.auto_comment:  # nbgrader's own "No response.", for a cell that is as it was released
                    comment.auto_comment = _UNANSWERED[language] if comment.name in written else None
            for grade in notebook.grades:
                grade.needs_manual_grade |= grade.name in flagged
            gradebook.db.commit()
        stamp(where["db_url"], where["assignment"], where["student"], unsafe_rung(verdicts_of(nb).values()))
        return nb, resources


def verdicts_of(notebook: NotebookNode) -> dict[str, Verdict]:
    """Give the verdicts that an autograded notebook holds, by exercise id."""
    found = (cell.metadata.get("tilewise", {}).get("verdict") for cell in notebook.cells)
    return {verdict["exercise"]: Verdict.model_validate(verdict) for verdict in found if verdict}


def flags_of(notebook: NotebookNode) -> dict[str, Text]:
    """Say of each flagged answer in an autograded notebook, by its cell, why it is and what it would have earned."""
    cells = {cell.metadata["nbgrader"]["grade_id"]: cell.metadata for cell in notebook.cells if is_grade(cell)}
    said = {}
    for label, flag in intake_of(notebook)["flags"].items():
        said[label] = Text(**flag)
        grade_cell = cells[_grade_cell_of(label)]
        if (points := grade_cell["tilewise"].get("held")) is not None:
            worth = grade_cell["nbgrader"]["points"]
            said[label] = Text(
                en=f"{said[label].en} {_HELD.en.format(points=points, worth=worth)}",
                zh=said[label].zh + _HELD.zh.format(points=points, worth=worth),
            )
    return said


def _held(notebook: NotebookNode, grade_cell: NotebookNode, answer: str, points: float) -> float:
    """Give what a grade cell counts for now: nothing while its answer is flagged, and then keep what it would earn."""
    if answer not in intake_of(notebook)["flags"]:
        return points
    grade_cell.metadata["tilewise"]["held"] = float(points)
    return 0.0


def _grade_cell_of(label: str) -> str:
    """Give the cell that holds the marks for a cell in which a student answers."""
    for identifier in (*the_course().exercises, *the_course().questions):
        if label in (solution_grade_id(identifier), answer_grade_id(identifier)):
            return grade_id(identifier)
    return label


def _source_of(nb: NotebookNode, label: str) -> str:
    for cell in nb.cells:
        if cell.metadata.get("nbgrader", {}).get("grade_id") == label:
            return cell.source
    raise JudgeError(f"the release has no cell {label!r}; generate the assignment again from source/")


def _check_points(label: str, points: float, max_points: float, cell: NotebookNode) -> None:
    """Raise JudgeError for points that nbgrader would misread: it takes a NaN or a negative number as full marks."""
    worth = float(cell.metadata.nbgrader["points"])
    if not math.isclose(max_points, worth):
        raise JudgeError(
            f"{label} is worth {max_points:g} points in the course and {worth:g} in the gradebook; "
            "generate the assignment again, then grade"
        )
    if not (math.isfinite(points) and 0.0 <= points <= worth):
        raise JudgeError(
            f"the judge gave {points!r} points for {label}, expected 0 to {worth:g}; report this as a fault"
        )


def _refusal(problem: Text, cell: NotebookNode) -> tuple[str, str, float]:
    """Say why nothing could be graded, in both languages: what cannot be read does not tell its own."""
    body = panel.paragraph(problem.en) + panel.paragraph(problem.zh)
    html = panel.notice("en", "bad", report.MARK["failed"], f"{_REFUSED.en} · {_REFUSED.zh}", body)
    return html, f"{_REFUSED.en}: {problem.en}\n{_REFUSED.zh}：{problem.zh}", 0.0


def _quiz_panel(question: Question, answer: Answer, result: Mark, language: Language) -> tuple[str, str]:
    """Say whether an answer was right, and why a wrong choice is wrong; the key is not given, for it may come again."""
    state = _RIGHT if result.correct else _WRONG if result.answered else _UNANSWERED
    title = f"{state[language]} · {result.points:g} / {result.max_points:g}"
    # Only an answer in the question's own form is shown: what else a student typed stays in the answer cell.
    given = normalised(question, answer)
    line = (
        f"{_ANSWER[language]}: {', '.join(given) if isinstance(given, tuple) else given}" if given is not None else ""
    )
    tone: panel.Tone = "good" if result.correct else "bad" if result.answered else "note"
    shown = report.MARK["passed" if result.correct else "failed" if result.answered else "open"]
    chosen = given if isinstance(given, tuple) else (given,)
    whys = [] if question.kind == "ordering" else [o.why for o in question.options if o.key in chosen and not o.correct]
    body = (panel.code(line) if line else "") + "".join(panel.paragraph(to_html(why[language])) for why in whys)
    text = "\n".join([title, *filter(None, [line]), *(to_text(why[language]) for why in whys)])
    return panel.notice(language, tone, shown, title, body), text
