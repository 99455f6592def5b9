"""Assemble one chapter in one language into the notebook that nbgrader starts from, and the home notebook.

What comes out is nbgrader's *source*: solved, with the marks between which `autograder.course.release` puts the stub.
Cell ids are names, not random numbers, so that the same course gives the same bytes.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import nbformat
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from autograder.course.ids import answer_grade_id, grade_id, part_id, solution_grade_id
from autograder.course.model import (
    FORMAT,
    LANGUAGES,
    Chapter,
    Course,
    CourseError,
    Exercise,
    Language,
    Question,
    Text,
    Written,
)
from autograder.course.slides import Piece, check_blocks, check_in_step, check_slides_in_step, figures, read_slides
from autograder.course.slides import blocks as blocks_of
from autograder.course.starter import BEGIN, END, solution_cell_source
from autograder.course.texts import closing, home_text, opening

SETUP = "from tilewise_lab import check, hint, picked, progress, quiz"
ANSWER_PLACE = "*Your answer · 你的回答*"
KERNEL = {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"}


def chapter_notebook(
    chapter: Chapter, language: Language, course: Course | None = None, *, home: bool = False
) -> NotebookNode:
    """Assemble the solved notebook of a chapter; raise CourseError where the chapter does not hold together.

    course: names the chapters before this one.   home: link to the home notebook, which a class does not have.
    """
    slides = {}
    for each in LANGUAGES:
        slides[each] = read_slides(chapter.slides[each], chapter.folder / f"slides.{each}.md")
        check_blocks(chapter, blocks_of(slides[each]), chapter.folder / f"slides.{each}.md")
    check_slides_in_step(chapter.folder / "slides.zh.md", slides)
    first = opening(chapter, language, course, home=home)
    cells = [_slide_cell("intro", first, chapter.slug, first=True), _setup_cell(chapter.slug)]
    for number, slide in enumerate(slides[language], start=1):
        for place, piece in enumerate(slide):
            cells += _cells_of(chapter, language, piece, f"slide-{number:02}{f'-{place + 1}' if place else ''}")
    cells.append(_slide_cell("closing", closing(chapter, language), chapter.slug, first=True))
    return _notebook(cells, {"format": FORMAT, "chapter": chapter.slug, "language": language})


def home_notebook(course: Course, language: Language) -> NotebookNode:
    """Assemble the notebook that a learner starts on: what the course is, its chapters, and the progress so far."""
    source = "from tilewise_lab import progress\n\nprogress()"
    progress = new_code_cell(source, id="progress", metadata={"tilewise": {"role": "setup", "id": "home"}})
    title, how = home_text(course, language)
    cells = [_slide_cell("intro", title, "home", first=True), progress, _slide_cell("how", how, "home", first=True)]
    return _notebook(cells, {"format": FORMAT, "language": language})


def check_parity(chapter: Chapter, notebooks: Mapping[Language, NotebookNode]) -> None:
    """Raise CourseError unless the two notebooks differ in free markdown alone; the last line of defence."""
    if [_fixed(cell) for cell in notebooks["en"].cells] != [_fixed(cell) for cell in notebooks["zh"].cells]:
        problem = "the English and the Chinese notebook differ in more than free markdown"
        raise CourseError(chapter.folder, "slides", problem, "Compare slides.en.md with slides.zh.md")


def figures_of(chapter: Chapter, notebook: NotebookNode) -> list[Path]:
    """List the files of the pictures that a notebook shows; raise CourseError for one that is not in figures/."""
    shown = {name for cell in notebook.cells if cell.cell_type == "markdown" for name in figures(cell.source)}
    for name in sorted(shown):
        if Path(name).parent != Path("figures"):
            raise CourseError(chapter.folder, name, "is a picture outside figures/", "Move it to figures/")
        if not (figure := chapter.folder / name).is_file() or figure.is_symlink():
            raise CourseError(figure, "", "is shown and is no file", "Draw it, or mend its name in the text")
    return [chapter.folder / name for name in sorted(shown)]


def answer_stub(question_id: str) -> str:
    """Give the text that a student finds in the answer cell of a graded question."""
    name = question_id.rpartition(".")[2]
    return f'{name} = picked("{question_id}")  # or type {name} = "b"'


def key_of(question: Question) -> str | float | list[str]:
    """Give the right answer to a question, as a student would type it."""
    if question.kind == "number" and question.answer is not None:
        return question.answer
    if question.kind == "ordering":
        return list(question.order)
    right = [option.key for option in question.options if option.correct]
    return right[0] if question.kind == "one" else right


def _fixed(cell: NotebookNode) -> tuple:
    """Give what may not depend on the language: all but the text of free markdown."""
    is_free = cell.cell_type == "markdown" and "nbgrader" not in cell.metadata
    return cell.id, cell.cell_type, cell.metadata, None if is_free else cell.source


def _cells_of(chapter: Chapter, language: Language, piece: Piece, cell_id: str) -> list[NotebookNode]:
    match piece.kind:
        case "markdown":
            return [_slide_cell(cell_id, piece.text, chapter.slug, first=cell_id.count("-") == 1)]
        case "demo":
            return [new_code_cell(piece.text, id=cell_id, metadata=_metadata("demo", chapter.slug, "-"))]
        case "exercise":
            return _exercise_cells(next(e for e in chapter.exercises if e.name == piece.text), language)
        case "quiz":
            return _quiz_cells(next(q for q in chapter.questions if q.id == piece.text))
        case "written":
            return _written_cells(chapter, next(w for w in chapter.written if w.id == piece.text), language)


def _exercise_cells(exercise: Exercise, language: Language) -> list[NotebookNode]:
    identifier = exercise.id
    _check_statement(exercise.folder, exercise.statement)
    return [
        _prose(part_id(identifier, "statement"), exercise.statement[language], "statement", identifier),
        _student_code(solution_grade_id(identifier), solution_cell_source(exercise), "code", identifier),
        _check_cell(identifier, exercise.points),
    ]


def _quiz_cells(question: Question) -> list[NotebookNode]:
    identifier = question.full_id
    cells = [_locked_code(part_id(identifier, "quiz"), f'quiz("{identifier}")', "quiz", identifier)]
    if question.graded:
        # The key is marked as a solution; the release puts `answer_stub` in its place.
        solved = f"### {BEGIN}\n{question.id} = {_literal(key_of(question))}\n### {END}"
        cells.append(_student_code(answer_grade_id(identifier), solved, "answer", identifier))
        cells.append(_check_cell(identifier, question.points))
    return cells


def _written_cells(chapter: Chapter, written: Written, language: Language) -> list[NotebookNode]:
    identifier = f"{chapter.slug}.{written.id}"
    metadata = _metadata("written", identifier, "skip") | {
        "nbgrader": _nbgrader(grade_id(identifier), grade=True, solution=True, points=written.points)
    }
    return [
        _prose(part_id(identifier, "prompt"), written.prompt[language], "prompt", identifier),
        new_markdown_cell(ANSWER_PLACE, id=grade_id(identifier), metadata=metadata),
    ]


def _setup_cell(slug: str) -> NotebookNode:
    return _locked_code("setup", SETUP, "setup", slug)


def _slide_cell(cell_id: str, text: str, identifier: str, *, first: bool) -> NotebookNode:
    return new_markdown_cell(text, id=cell_id, metadata=_metadata("slide", identifier, "slide" if first else "-"))


def _prose(cell_id: str, text: str, role: str, identifier: str) -> NotebookNode:
    return new_markdown_cell(text.strip(), id=cell_id, metadata=_metadata(role, identifier, "subslide"))


def _locked_code(cell_id: str, source: str, role: str, identifier: str) -> NotebookNode:
    metadata = _metadata(role, identifier, "skip") | {"nbgrader": _nbgrader(cell_id, locked=True)}
    return new_code_cell(source, id=cell_id, metadata=metadata)


def _student_code(cell_id: str, source: str, role: str, identifier: str) -> NotebookNode:
    metadata = _metadata(role, identifier, "skip") | {"nbgrader": _nbgrader(cell_id, solution=True)}
    return new_code_cell(source, id=cell_id, metadata=metadata)


def _check_cell(identifier: str, points: float) -> NotebookNode:
    cell_id = grade_id(identifier)
    nbgrader = _nbgrader(cell_id, grade=True, locked=True, points=points)
    metadata = _metadata("check", identifier, "skip") | {"nbgrader": nbgrader}
    return new_code_cell(f'check("{identifier}")', id=cell_id, metadata=metadata)


def _metadata(role: str, identifier: str, slide_type: str) -> dict[str, Any]:
    return {"tilewise": {"role": role, "id": identifier}, "slideshow": {"slide_type": slide_type}}


def _nbgrader(
    cell_id: str, *, grade: bool = False, solution: bool = False, locked: bool = False, points: float | None = None
) -> dict[str, Any]:
    flags = {"grade": grade, "solution": solution, "locked": locked, "task": False}
    return {"schema_version": 3, "grade_id": cell_id, **flags, **({} if points is None else {"points": points})}


def _notebook(cells: list[NotebookNode], tilewise: dict[str, Any]) -> NotebookNode:
    metadata = {"kernelspec": KERNEL, "language_info": {"name": "python"}, "tilewise": tilewise}
    notebook = new_notebook(cells=cells, metadata=metadata)
    nbformat.validate(notebook)
    return notebook


def _check_statement(folder: Path, statement: Text) -> None:
    check_in_step(folder / "statement.zh.md", {"en": statement.en, "zh": statement.zh})


def _literal(answer: str | float | list[str]) -> str:
    """Write an answer in Python, strings in double quotes as everywhere in the course."""
    return repr(answer).replace("'", '"')
