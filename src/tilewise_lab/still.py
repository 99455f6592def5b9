"""What a notebook shows when it is opened and nothing in it has run yet: its quizzes and its progress, as they stand.

A saved quiz is a reference to a widget in the memory of a kernel. When that is gone, JupyterLab writes "model not
found". So the server gives a notebook out with stills in place of widgets, drawn from answers.json and progress.json:
the question with the saved answer, and how to answer it again. The file itself stays as it is.
"""

from __future__ import annotations

from collections.abc import Iterator
from html import escape
from pathlib import Path
from typing import Any

from autograder.course.markup import to_html
from autograder.course.model import Course, Language, Question, Text
from autograder.course.quiz import Answer, AnswersError, normalised, read_answers
from autograder.judge import panel
from tilewise_lab import explain, output, place, record
from tilewise_lab.progress import panels

WIDGET = "application/vnd.jupyter.widget-view+json"
_TO_ANSWER = Text(
    en="To answer, run the first code cell of this notebook, then this one.",
    zh="要作答，请先运行本 notebook 的第一个代码单元格，再运行这一格。",
)
_TO_ANSWER_AGAIN = Text(
    en="To answer again, run the first code cell of this notebook, then this one.",
    zh="要重新作答，请先运行本 notebook 的第一个代码单元格，再运行这一格。",
)


def redraw(notebook: dict[str, Any], folder: Path) -> None:
    """Bring the outputs of a notebook up to date with the record in its folder, in place; leave all others alone.

    Where the course cannot be read, or no longer has a question, the text that was saved with its widget remains.
    Raises CourseError when it was the course.
    """
    shown = [data for data in _data(notebook) if output.QUIZ in data or output.PROGRESS in data]
    for data in shown:
        data.pop(WIDGET, None)
    if not shown:
        return
    course, language = place.course(), place.language_of([notebook])
    for data in shown:
        if output.QUIZ in data:
            if question := course.questions.get(_id(data[output.QUIZ])):
                data["text/html"] = quiz(question, _saved(question, folder), language)
        else:
            _redraw_progress(data, course, folder, language)


def quiz(question: Question, answer: Answer, language: Language) -> str:
    """Draw a question with a normalised answer, or with None; the key shows only where the widget would show it."""
    head = f'<div style="{panel.QUIET}">{escape(explain.label(question, language))}</div>'
    head += f'<div style="font-size: 1.05em; font-weight: 600">{to_html(question.prompt[language])}</div>'
    tone: panel.Tone = "note"
    if answer is not None and not question.graded:
        explained = explain.explanation(question, answer, language)
        tone = "good" if explained.right else "bad"
        body = f'<div style="margin-top: .6em">{explain.title_line(explained)}</div>{explain.body(explained)}'
    else:
        options = (f"{panel.code(o.key)} {to_html(o.text[language])}" for o in explain.as_shown(question))
        body = "".join(panel.paragraph(option) for option in options)
        if answer is not None:
            saved = explain.SAVED[language].format(answer=explain.written(question, answer))
            body += f'<div style="margin-top: .6em">{panel.title_line("note", "✓", escape(saved))}</div>'
    how = _TO_ANSWER if answer is None else _TO_ANSWER_AGAIN
    return panel.frame(language, tone, head, body + panel.small_print(escape(how[language])))


def _redraw_progress(data: dict[str, Any], course: Course, folder: Path, language: Language) -> None:
    done = record.peek(folder)
    if done is not None:
        data["text/html"], data["text/plain"] = panels(course, done, language)


def _saved(question: Question, folder: Path) -> Answer:
    try:
        return normalised(question, read_answers(folder).get(question.full_id))
    except AnswersError:
        return None  # the widget says so as soon as its cell runs


def _data(notebook: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Give the data of every output, of whatever a notebook's file holds in their places."""
    for cell in _dicts(notebook.get("cells")):
        for each in _dicts(cell.get("outputs")):
            if isinstance(data := each.get("data"), dict):
                yield data


def _dicts(found: object) -> list[dict[str, Any]]:
    return [each for each in found if isinstance(each, dict)] if isinstance(found, list) else []


def _id(shown: object) -> str:
    return str(shown.get("id")) if isinstance(shown, dict) else ""
