"""What a notebook shows when it is opened again: stills of the record in place of widgets that are gone."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import nbformat
import pytest

from autograder.course.model import LANGUAGES
from tests.tilewise_lab.questions import SECRET
from tilewise_lab import output, place, progress, quiz, still
from tilewise_lab.jupyter.contents import LearnersFiles

PRACTICE = ("doubling.q11", "doubling.q12", "doubling.q13", "doubling.q14")
GRADED = ("doubling.q21", "doubling.q22", "doubling.q23", "doubling.q24")
ANSWERS = {"1": "b", "2": ["a", "c"], "3": ["c", "a", "b"], "4": 12.5}
WRITTEN = {"1": "b", "2": "a, c", "3": "c → a → b", "4": "12.5 KiB"}


def saved(*bundles: dict[str, Any], language: str = "en") -> dict[str, Any]:
    """A notebook as JupyterLab saves it, each bundle the output of a cell."""
    cells = [
        nbformat.v4.new_code_cell(outputs=[nbformat.v4.new_output("execute_result", data=bundle, execution_count=1)])
        for bundle in bundles
    ]
    return nbformat.v4.new_notebook(cells=cells, metadata={"tilewise": {"language": language}})


def bundle(question_id: str) -> dict[str, Any]:
    """What the cell of a question leaves in the file."""
    return quiz(question_id)._repr_mimebundle_()[0]


def redrawn(data: dict[str, Any], folder: Path, language: str = "en") -> dict[str, Any]:
    notebook = saved(data, language=language)
    still.redraw(notebook, folder)
    return dict(notebook["cells"][0]["outputs"][0]["data"])


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("question_id", [*PRACTICE, *GRADED])
def test_a_question_without_an_answer_invites_to_run_its_cell(folder: Path, question_id: str, language: str) -> None:
    shown = redrawn(bundle(question_id), folder, language)
    assert still.WIDGET not in shown
    assert {"en": "prompt of", "zh": "的题目"}[language] in shown["text/html"]
    assert {"en": "To answer, run", "zh": "要作答，请先运行"}[language] in shown["text/html"]
    assert SECRET not in shown["text/html"]


@pytest.mark.parametrize("question_id", PRACTICE)
def test_an_answered_practice_question_shows_the_answer_and_every_why(folder: Path, question_id: str) -> None:
    before = bundle(question_id)
    quiz(question_id, ANSWERS[question_id[-1]])
    html = redrawn(before, folder)["text/html"]
    assert "Right." in html
    assert html.count(SECRET) == (1 if question_id == "doubling.q14" else 3)
    assert "To answer again" in html


@pytest.mark.parametrize("question_id", GRADED)
def test_an_answered_graded_question_shows_the_answer_and_no_key(folder: Path, question_id: str) -> None:
    before = bundle(question_id)
    quiz(question_id, ANSWERS[question_id[-1]])
    html = redrawn(before, folder)["text/html"]
    assert f"Saved: your answer is {WRITTEN[question_id[-1]]}." in html
    assert SECRET not in html


def test_progress_is_that_of_the_file_and_not_what_was_saved(
    folder: Path, progress_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown: list[dict[str, Any]] = []
    monkeypatch.setattr(output, "show", lambda html, text, *, kind: shown.append({"text/html": html, kind: {}}))
    progress()
    assert "0 of 13 answered" in shown[0]["text/html"]
    quiz("doubling.q11", "b")
    assert "1 of 13 answered" in redrawn(shown[0], folder)["text/html"]
    progress_file.write_text("{")
    assert redrawn(shown[0], folder) == shown[0]


def test_an_answers_file_that_cannot_be_read_shows_the_question(folder: Path) -> None:
    (folder / "answers.json").write_text("{")
    assert "To answer, run" in redrawn(bundle("doubling.q11"), folder)["text/html"]


def test_a_question_that_is_gone_leaves_the_text_of_its_widget(folder: Path) -> None:
    shown = redrawn(bundle("doubling.q11") | {output.QUIZ: {"id": "doubling.q99"}}, folder)
    assert still.WIDGET not in shown
    assert "prompt of q11" in shown["text/plain"]


def test_what_is_not_ours_stays_as_it_was_saved(folder: Path) -> None:
    notebook = saved({still.WIDGET: {"model_id": "x"}, "text/plain": "a slider"}, {"text/html": "<b>panel</b>"})
    before = json.loads(json.dumps(notebook))
    still.redraw(notebook, folder)
    assert notebook == before


@pytest.mark.parametrize("cells", [None, 3, [None], [{}], [{"outputs": None}], [{"outputs": [1, {"data": 2}]}]])
def test_a_file_that_is_hardly_a_notebook_stops_nothing(folder: Path, cells: object) -> None:
    still.redraw({"cells": cells}, folder)


def test_jupyter_gives_out_stills_and_leaves_the_file_alone(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = folder / "doubling.ipynb"
    nbformat.write(saved(bundle("doubling.q11")), file)
    before = file.read_bytes()
    files = LearnersFiles(root_dir=str(folder.parents[1]))
    path = file.relative_to(folder.parents[1]).as_posix()

    def shown() -> dict[str, Any]:
        return dict(asyncio.run(files.get(path))["content"]["cells"][0]["outputs"][0]["data"])

    assert "To answer, run" in shown()["text/html"]
    assert file.read_bytes() == before
    monkeypatch.setenv("TILEWISE_COURSE", str(folder))
    place.course.cache_clear()
    without = shown()
    assert still.WIDGET not in without
    assert "prompt of q11" in without["text/plain"]
