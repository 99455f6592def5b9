"""Intake: what a student can do to a notebook file, and what is left of it afterwards."""

from __future__ import annotations

import copy
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbconvert.filters import markdown2html
from nbformat.notebooknode import NotebookNode

from autograder.course.ids import answer_grade_id, grade_id, solution_grade_id
from autograder.course.model import Course
from autograder.nbgrader_plugin.handin import MAX_CELL_CHARACTERS, MAX_CELLS, MAX_NOTEBOOK_BYTES
from autograder.nbgrader_plugin.intake import intake_of, quoted, take_in
from tests.autograder.nbgrader_plugin.handins import (
    NOTEBOOK,
    QUESTION,
    STREAMING,
    TWO_PASS,
    WRITTEN,
    HandIn,
    filled,
    label_of,
    released,
    save,
    variant,
)

CODE = solution_grade_id(STREAMING)
FILE = f"{NOTEBOOK}.ipynb"


@pytest.fixture
def hand_in(a_class: Path, course: Course) -> Path:
    """The folder of an honest hand-in."""
    return HandIn("ada", code={STREAMING: variant(course, STREAMING, "solution")}).write(a_class)


@pytest.fixture
def edit(hand_in: Path, releases: dict[str, NotebookNode]) -> Callable[..., NotebookNode]:
    """Change the honest notebook by a function, and give what intake makes of it."""

    def changed(change: Callable[[dict[str, Any]], None]) -> NotebookNode:
        notebook = json.loads((hand_in / FILE).read_text(encoding="utf-8"))
        change(notebook)
        save(hand_in, notebook)
        return take_in(hand_in, NOTEBOOK, releases)

    return changed


def cell_of(notebook: NotebookNode, label: str) -> NotebookNode:
    return next(cell for cell in notebook.cells if label_of(cell) == label)


def index_of(notebook: dict[str, Any], label: str) -> int:
    return next(i for i, cell in enumerate(notebook["cells"]) if label_of(cell) == label)


def problem_of(notebook: NotebookNode) -> str:
    problem = intake_of(notebook)["problem"]
    assert problem is not None, "expected a hand-in that is refused"
    assert set(problem) == {"en", "zh"}
    return problem["en"]


def assert_only_the_answer_was_taken(rebuilt: NotebookNode, release: NotebookNode) -> None:
    """Fail unless the rebuilt notebook is the release but for the text of the streaming cell."""
    assert intake_of(rebuilt)["problem"] is None
    wanted = copy.deepcopy(release)
    cell_of(wanted, CODE).source = cell_of(rebuilt, CODE).source
    cells = [cell for cell in rebuilt.cells if cell.id != "tilewise-notes"]
    assert cells == wanted.cells
    assert cell_of(rebuilt, CODE).source != cell_of(release, CODE).source


def test_the_helper_notices_a_change_outside_the_answer(edit, releases) -> None:
    rebuilt = edit(lambda notebook: None)
    rebuilt.cells[0].source += "!"
    with pytest.raises(AssertionError):
        assert_only_the_answer_was_taken(rebuilt, releases["en"])


def test_an_honest_hand_in_is_the_release_with_its_answer(edit, releases) -> None:
    rebuilt = edit(lambda notebook: None)
    assert_only_the_answer_was_taken(rebuilt, releases["en"])
    assert intake_of(rebuilt)["cells"] == {}
    assert intake_of(rebuilt)["notes"] == []


def test_a_chinese_hand_in_is_rebuilt_from_the_chinese_release(a_class, course, releases) -> None:
    folder = HandIn("li", "zh", code={STREAMING: variant(course, STREAMING, "solution")}).write(a_class)
    rebuilt = take_in(folder, NOTEBOOK, releases)
    assert_only_the_answer_was_taken(rebuilt, releases["zh"])


def test_an_unknown_language_is_english(edit, releases) -> None:
    def change(notebook: dict[str, Any]) -> None:
        notebook["metadata"]["tilewise"] = ["zh"]

    assert_only_the_answer_was_taken(edit(change), releases["en"])


def flip(notebook: dict[str, Any]) -> None:
    for cell in notebook["cells"]:
        cell["metadata"]["tags"] = ["skip-execution", "raises-exception"]
        cell["attachments"] = {"a.png": {"image/png": "AAAA"}}
        if "nbgrader" in cell["metadata"]:
            cell["metadata"]["nbgrader"] |= {"points": 1000, "locked": False, "checksum": "0" * 32, "solution": True}
        if cell["cell_type"] == "code":
            cell["outputs"] = [{"output_type": "execute_result", "data": {"text/plain": "1000"}}]


def delete_tests(notebook: dict[str, Any]) -> None:
    left = [cell for cell in notebook["cells"] if not "".join(cell["source"]).startswith("check(")]
    assert len(left) < len(notebook["cells"])
    notebook["cells"] = left


def edit_tests(notebook: dict[str, Any]) -> None:
    filled(notebook, {grade_id(STREAMING): "10.0", "setup": "import os; os._exit(0)"})


def reorder(notebook: dict[str, Any]) -> None:
    notebook["cells"].reverse()


def add_cells(notebook: dict[str, Any]) -> None:
    notebook["cells"] += [{"cell_type": "code", "metadata": {}, "source": "import os", "outputs": []}, 7, None, {}]


def change_types(notebook: dict[str, Any]) -> None:
    for cell in notebook["cells"]:
        cell["cell_type"] = "raw"
        cell["source"] = "".join(cell["source"]).splitlines(keepends=True)


def old_schema(notebook: dict[str, Any]) -> None:
    for cell in notebook["cells"]:
        if "nbgrader" in cell["metadata"]:
            cell["metadata"]["nbgrader"]["schema_version"] = 99


@pytest.mark.parametrize(
    "change", [flip, delete_tests, edit_tests, reorder, add_cells, change_types, old_schema], ids=lambda f: f.__name__
)
def test_nothing_but_the_answer_is_taken_over(edit, releases, change) -> None:
    assert_only_the_answer_was_taken(edit(change), releases["en"])


def test_the_last_changed_copy_of_a_cell_holds_and_the_student_is_told(edit) -> None:
    def duplicate(notebook: dict[str, Any]) -> None:
        cell = notebook["cells"][index_of(notebook, CODE)]
        notebook["cells"] += [cell | {"source": f"# exercise: {STREAMING}\nx = {n}"} for n in (1, 2)]

    rebuilt = edit(duplicate)
    assert cell_of(rebuilt, CODE).source == f"# exercise: {STREAMING}\nx = 2"
    assert "3 times" in intake_of(rebuilt)["cells"][CODE]["en"]
    assert sum(label_of(cell) == CODE for cell in rebuilt.cells) == 1


def test_a_copy_that_is_still_the_starter_does_not_replace_the_answer(edit, releases) -> None:
    starter = cell_of(releases["en"], CODE).source

    def duplicate(notebook: dict[str, Any]) -> None:
        notebook["cells"].append(notebook["cells"][index_of(notebook, CODE)] | {"source": starter})

    assert_only_the_answer_was_taken(edit(duplicate), releases["en"])


def test_a_split_cell_is_put_together_again(edit) -> None:
    """JupyterLab's "split cell" gives both halves one label."""

    def split(notebook: dict[str, Any]) -> None:
        at = index_of(notebook, CODE)
        cell = notebook["cells"][at]
        notebook["cells"][at : at + 1] = [
            cell | {"source": f"# exercise: {STREAMING}\nimport torch"},
            cell | {"source": "def init(rows): ..."},
        ]

    assert cell_of(edit(split), CODE).source == f"# exercise: {STREAMING}\nimport torch\n\ndef init(rows): ..."


def test_a_cell_without_its_label_is_found_by_its_first_line(edit, releases) -> None:
    def unlabel(notebook: dict[str, Any]) -> None:
        for cell in notebook["cells"]:
            cell["metadata"] = {}

    rebuilt = edit(unlabel)
    assert_only_the_answer_was_taken(rebuilt, releases["en"])
    assert "first line" in intake_of(rebuilt)["cells"][CODE]["en"]


def test_a_deleted_answer_cell_comes_back_as_the_starter(edit, releases) -> None:
    def delete(notebook: dict[str, Any]) -> None:
        del notebook["cells"][index_of(notebook, solution_grade_id(TWO_PASS))]

    rebuilt = edit(delete)
    assert_only_the_answer_was_taken(rebuilt, releases["en"])
    assert "missing" in intake_of(rebuilt)["cells"][solution_grade_id(TWO_PASS)]["en"]


def test_an_endless_cell_is_left_behind(edit, releases) -> None:
    def grow(notebook: dict[str, Any]) -> None:
        filled(notebook, {CODE: "#" * (MAX_CELL_CHARACTERS + 1)})

    rebuilt = edit(grow)
    assert cell_of(rebuilt, CODE).source == cell_of(releases["en"], CODE).source
    assert "shorten" in intake_of(rebuilt)["cells"][CODE]["en"]


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b'{"cells": [', "JSON is broken"),
        (b"", "JSON is broken"),
        (b"\xff\xfe\x00", "not UTF-8"),
        (b"[" * 200_000 + b"]" * 200_000, "nested too deeply"),
        (b'{"cells": ' + b"9" * 10_000 + b"}", "JSON is broken"),
        (b"[]", "no list of cells"),
        (b'{"cells": {}}', "no list of cells"),
        (b'{"worksheets": [{"cells": []}]}', "no list of cells"),
        (b'{"cells": []}', "none of the answer cells"),
        (b'{"cells": [' + b"0," * MAX_CELLS + b"0]}", "more than"),
        (b" " * (MAX_NOTEBOOK_BYTES + 1), "larger than"),
    ],
    ids=["broken", "empty", "bytes", "deep", "number", "list", "cells", "v3", "other", "many", "large"],
)
def test_what_cannot_be_read_is_refused_with_a_reason(hand_in, releases, data, reason) -> None:
    (hand_in / FILE).write_bytes(data)
    rebuilt = take_in(hand_in, NOTEBOOK, releases)
    assert reason in problem_of(rebuilt)
    assert [c for c in rebuilt.cells if c.id != "tilewise-notes"] == releases["en"].cells
    assert reason in rebuilt.cells[0].source, "the reason must be the first thing that the student reads"


def test_a_wrong_file_name_is_refused_and_names_what_was_found(hand_in, releases) -> None:
    (hand_in / FILE).rename(hand_in / "final <b>v2<b>.ipynb")
    reason = problem_of(take_in(hand_in, NOTEBOOK, releases))
    assert FILE in reason
    assert "final" in reason
    assert "<" not in reason


def test_an_empty_hand_in_is_refused(hand_in, releases) -> None:
    (hand_in / FILE).unlink()
    assert "found: nothing" in problem_of(take_in(hand_in, NOTEBOOK, releases))


@pytest.mark.parametrize("what", ["notebook", "folder", "student"])
def test_links_are_not_followed(hand_in, releases, tmp_path, what) -> None:
    thing = {"notebook": hand_in / FILE, "folder": hand_in, "student": hand_in.parent}[what]
    moved = tmp_path / "elsewhere"
    thing.rename(moved)
    thing.symlink_to(moved)
    assert "is a link" in problem_of(take_in(hand_in, NOTEBOOK, releases))


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir], ids=["pipe", "folder"])
def test_what_is_no_file_is_refused_without_waiting(hand_in, releases, make) -> None:
    (hand_in / FILE).unlink()
    make(hand_in / FILE)
    assert "is not a file" in problem_of(take_in(hand_in, NOTEBOOK, releases))


def test_a_linked_answers_file_costs_the_picked_answers_only(hand_in, releases, tmp_path) -> None:
    (tmp_path / "answers.json").write_text(json.dumps({QUESTION: "d"}))
    (hand_in / "answers.json").symlink_to(tmp_path / "answers.json")
    rebuilt = take_in(hand_in, NOTEBOOK, releases)
    assert intake_of(rebuilt)["problem"] is None
    assert "link" in intake_of(rebuilt)["notes"][0]["en"]
    assert cell_of(rebuilt, answer_grade_id(QUESTION)) == cell_of(releases["en"], answer_grade_id(QUESTION))


def test_picked_and_typed_answers_become_literals(hand_in, releases) -> None:
    (hand_in / "answers.json").write_text(json.dumps({QUESTION: "c"}))
    label = answer_grade_id(QUESTION)
    assert cell_of(take_in(hand_in, NOTEBOOK, releases), label).source == "q7 = 'c'"
    save(hand_in, filled(json.loads((hand_in / FILE).read_text()), {label: 'import os\nos.abort()\nq7 = "b"'}))
    assert cell_of(take_in(hand_in, NOTEBOOK, releases), label).source == "q7 = 'b'"


def test_an_answer_that_is_no_literal_is_not_taken_and_the_student_is_told(edit, releases) -> None:
    label = answer_grade_id(QUESTION)
    rebuilt = edit(lambda notebook: filled(notebook, {label: "q7 = open('/etc/passwd').read()"}))
    assert cell_of(rebuilt, label) == cell_of(releases["en"], label)
    assert "plain value" in intake_of(rebuilt)["cells"][label]["en"]


def test_extra_files_are_named_harmlessly(hand_in, releases) -> None:
    (hand_in / "torch.py").write_text("raise SystemExit")
    (hand_in / "<script>.pt").write_bytes(b"")
    note = intake_of(take_in(hand_in, NOTEBOOK, releases))["notes"][0]["en"]
    assert "torch.py" in note
    assert "<" not in note


MARKUP = [
    "<script>alert(1)</script>",
    "~~~\n<img src=x onerror=alert(1)>\n~~~~~~\n<b>out</b>",
    "```\n<b>x</b>\n```\n<iframe src=//x></iframe>",
    "[a](javascript:alert(1)) ![b](http://x/y.png) $\\href{javascript:alert(1)}{x}$",
    "\\begin{equation}</code></pre><script>x</script>\\end{equation}",
    "~" * 5000 + "\n<script>",
    "  ~~~\n   ~~~~\n\t~~~\r~~~~~\r<svg onload=x>\u2028~~~~~~\x0c<svg>",
]


@pytest.mark.parametrize("text", MARKUP)
def test_a_written_answer_is_shown_to_the_letter(text) -> None:
    html = markdown2html(quoted(text))
    assert html.strip().startswith("<pre><code>")
    assert html.strip().endswith("</code></pre>")
    inside = html.strip().removeprefix("<pre><code>").removesuffix("</code></pre>")
    assert "<" not in inside


def test_the_markup_samples_are_live_when_they_are_not_quoted() -> None:
    assert any("<script>" in markdown2html(text) for text in MARKUP)


def test_a_written_answer_is_quoted_and_an_unanswered_one_is_the_release(edit, releases) -> None:
    label = grade_id(WRITTEN)
    rebuilt = edit(lambda notebook: filled(notebook, {label: MARKUP[0]}))
    assert cell_of(rebuilt, label).source == f"~~~\n{MARKUP[0]}\n~~~"
    assert cell_of(edit(lambda n: filled(n, {label: cell_of(releases["en"], label).source})), label) == cell_of(
        releases["en"], label
    )


def test_half_a_surrogate_and_a_nul_can_be_written_to_a_file(edit, tmp_path) -> None:
    rebuilt = edit(lambda notebook: filled(notebook, {CODE: "x = '\ud800\x00'"}))
    nbformat.write(rebuilt, tmp_path / "out.ipynb")
    assert cell_of(nbformat.read(tmp_path / "out.ipynb", as_version=4), CODE).source == "x = '??'"


def test_the_release_itself_is_never_changed(hand_in, releases, empty_class) -> None:
    before = copy.deepcopy(releases)
    (hand_in / "torch.py").write_text("")
    take_in(hand_in, NOTEBOOK, releases)
    assert releases == before
    assert released(empty_class)["cells"], "the release on disk is read only"
