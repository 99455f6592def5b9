"""A draft as a notebook to look at: what there is of it in one language, with a sign where a text is missing.

Nothing here can be handed in, checked or graded: there are no nbgrader cells.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path, PurePosixPath

import nbformat
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from autograder.course.draft import Draft, DraftExercise, DraftQuestion, PartialText, load_draft
from autograder.course.model import FORMAT, Language, Text
from autograder.course.notebook import KERNEL
from autograder.course.slides import read_slides
from autograder.course.starter import cleared

PREVIEWS = PurePosixPath("build", "drafts")
_NOTICE = Text(
    en="**Draft.** Not released; `tilewise verify {slug}` lists what is missing.",
    zh="**草稿。** 尚未发布；运行 `tilewise verify {slug}` 可以看到还缺什么。",
)
_MISSING = Text(en="*[missing in English]*", zh="*[缺少中文]*")
_VIDEOS = Text(en="## Videos", zh="## 视频")


def previews(folder: Path) -> dict[PurePosixPath, bytes]:
    """Make the notebooks of a draft, one for each language that has slides; raise CourseError where one cannot be."""
    draft = load_draft(folder)
    tree = {}
    for language in draft.languages:
        text = nbformat.writes(draft_notebook(draft, language)).rstrip("\n") + "\n"
        tree[PREVIEWS / language / folder.name / f"{draft.slug}.ipynb"] = text.encode()
    return tree


def draft_notebook(draft: Draft, language: Language) -> NotebookNode:
    """Assemble what there is of a draft in one language."""
    cells = [new_markdown_cell(f"# {_text(draft.title, language)}\n\n{_NOTICE[language].format(slug=draft.slug)}")]
    for slide in read_slides(_text(draft.slides, language), draft.folder / f"slides.{language}.md"):
        for piece in slide:
            match piece.kind:
                case "markdown":
                    cells.append(new_markdown_cell(piece.text))
                case "demo":
                    cells.append(new_code_cell(piece.text))
                case "exercise":
                    cells += [c for e in draft.exercises if e.name == piece.text for c in _exercise(e, language)]
                case "quiz":
                    cells += [_question(q, language) for q in draft.questions if q.id == piece.text]
    if draft.video:
        lines = [f"- [{video.title}]({video.url})" for video in draft.video]
        cells.append(new_markdown_cell("\n".join([_VIDEOS[language], "", *lines])))
    for number, cell in enumerate(cells, start=1):
        cell.id = f"draft-{number:02}"
    tilewise = {"format": FORMAT, "draft": draft.slug, "language": language}
    metadata = {"kernelspec": KERNEL, "language_info": {"name": "python"}, "tilewise": tilewise}
    return new_notebook(cells=cells, metadata=metadata)


def _exercise(exercise: DraftExercise, language: Language) -> Iterator[NotebookNode]:
    yield new_markdown_cell(f"## {_text(exercise.title, language)}\n\n{_text(exercise.statement, language)}")
    yield new_code_cell(cleared(exercise.solution) if exercise.starter is None else exercise.starter)
    yield new_code_cell(exercise.solution)


def _question(question: DraftQuestion, language: Language) -> NotebookNode:
    options = [f"- {'✓ ' if o.correct else ''}{o.key}) {_text(o.text, language)}" for o in question.option]
    return new_markdown_cell("\n".join([f"**{question.id}.** {_text(question.prompt, language)}", "", *options]))


def _text(text: PartialText, language: Language) -> str:
    return text[language] or _MISSING[language]
