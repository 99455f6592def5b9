"""Rebuild a handed-in notebook from the release, taking over only the text of the cells that a student answers in.

Everything else in the hand-in (tags, outputs, attachments, metadata, added cells, edited test cells) is left behind.
What nbgrader, formgrader and the feedback see from then on is the class's own notebook.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from nbformat.notebooknode import NotebookNode
from nbformat.v4 import new_markdown_cell
from nbgrader.utils import is_grade, is_solution

from autograder.course.model import Text
from autograder.course.quiz import PICKED, Answer, typed_answer
from autograder.nbgrader_plugin.flags import flag_of
from autograder.nbgrader_plugin.handin import (
    MAX_CELL_CHARACTERS,
    HandIn,
    Refused,
    fingerprint,
    plain,
    read_hand_in,
)

NOTES_CELL = "tilewise-notes"
MISSING = Text(
    en="This cell was missing from the notebook handed in; it was put back as it was released.",
    zh="提交的笔记本中缺少这个单元格；评分时已按发布时的原样补回。",
)
UNLABELLED = Text(
    en="This cell had lost its label; it was found by its first line.",
    zh="这个单元格丢失了标识，是根据首行找到的。",
)
TOO_LONG = Text(
    en=f"This cell holds more than {MAX_CELL_CHARACTERS} characters and was not taken over; shorten it, hand in again.",
    zh=f"这个单元格超过 {MAX_CELL_CHARACTERS} 个字符，未被采用；请缩短后重新提交。",
)
UNREADABLE_ANSWER = Text(
    en='No answer could be read from this cell; write a plain value, such as q7 = "b".',
    zh='无法从这个单元格读出答案；请写成普通的值，例如 q7 = "b"。',
)


def take_in(folder: Path, notebook: str, releases: Mapping[str, NotebookNode]) -> NotebookNode:
    """Rebuild what was handed in; whatever a student did, the result is a sound notebook that says what was wrong.

    releases: the released notebook by language; "en" must be there. Its metadata.tilewise.intake then holds
    problem (text or null), notes (for the whole), cells and flags (grade id -> note; flags want a person) and
    fingerprint.
    """
    try:
        hand_in = read_hand_in(folder, notebook)
        release = releases.get(hand_in.language, releases["en"])
        rebuilt = _rebuild(release, hand_in)
    except Refused as refusal:
        rebuilt = copy.deepcopy(releases["en"])
        _record(rebuilt, problem=refusal.reason, notes=(), cells={}, flags={})
    rebuilt.metadata["tilewise"]["intake"]["fingerprint"] = fingerprint(folder, notebook)
    return rebuilt


def language_of(notebook: NotebookNode) -> str:
    """Give the language in which a rebuilt notebook speaks to its student."""
    return "zh" if notebook.metadata.get("tilewise", {}).get("language") == "zh" else "en"


def intake_of(notebook: NotebookNode) -> dict[str, Any]:
    """Give what intake recorded in a rebuilt notebook."""
    return dict(notebook.metadata["tilewise"]["intake"])


def _rebuild(release: NotebookNode, hand_in: HandIn) -> NotebookNode:
    rebuilt = copy.deepcopy(release)
    notes: dict[str, Text] = {}
    flags: dict[str, Text] = {}
    taken = 0
    for cell in rebuilt.cells:
        if not is_solution(cell):
            continue
        label = cell.metadata.nbgrader["grade_id"]
        texts, note = _texts_of(cell, label, hand_in)
        taken += bool(texts)
        attempts = _attempts(cell, texts)
        # Of several copies the last one holds: it is what a run of the notebook from top to bottom leaves behind.
        text = attempts[-1] if attempts else cell.source
        if len(text) > MAX_CELL_CHARACTERS:
            notes[label] = TOO_LONG
            continue
        note = note or _duplicates(len(texts), attempts)
        if attempts and (flag := flag_of(text, prose=cell.cell_type == "markdown")):
            flags[label] = flag
        cell.source, unread = _safe_source(cell, text, hand_in.answers)
        if note := unread or note:
            notes[label] = note
    if not taken:
        raise Refused(
            "the notebook holds none of the answer cells of this chapter; is it the notebook of another one?",
            "笔记本中没有本章的任何答题单元格；是不是交成了别的章节？",
        )
    whole = list(hand_in.notes)
    if hand_in.extra:
        names = ", ".join(hand_in.extra)
        whole.append(
            Text(
                en=f"Only the notebook and its answers are graded. Left behind: {plain(names)}.",
                zh=f"只对笔记本及其答案评分。未采用：{plain(names)}。",
            )
        )
    _record(rebuilt, problem=None, notes=tuple(whole), cells=notes, flags=flags)
    return rebuilt


def _texts_of(cell: NotebookNode, label: str, hand_in: HandIn) -> tuple[list[str], Text | None]:
    """Find the handed-in texts of a cell: by its label, else by the exercise's marker line."""
    if texts := [c.text for c in hand_in.cells if c.grade_id == label]:
        return texts, None
    marker = _marker(cell)
    if marker and (texts := [c.text for c in hand_in.cells if c.text.lstrip().startswith(marker)]):
        return texts, UNLABELLED
    return [], MISSING


def _marker(cell: NotebookNode) -> str:
    first = cell.source.lstrip().split("\n", 1)[0].strip()
    return first if re.fullmatch(r"# exercise: [a-z0-9_.]+", first) else ""


def _attempts(cell: NotebookNode, texts: list[str]) -> list[str]:
    """Tell the attempts apart: join the parts of a split cell, drop what is still the starter.

    JupyterLab gives both halves of a split cell the same label, and only the first half starts with the marker line.
    """
    if is_grade(cell):  # a person reads a written answer, and reads all of it
        parts = [text for text in texts if text.strip() != cell.source.strip()]
        return ["\n\n".join(parts)] if parts else []
    marker = _marker(cell)
    whole: list[str] = []
    for text in texts:
        if whole and marker and not text.lstrip().startswith(marker):
            whole[-1] += "\n\n" + text
        else:
            whole.append(text)
    return [text for text in whole if text.strip() != cell.source.strip()]


def _duplicates(count: int, attempts: list[str]) -> Text | None:
    if count < 2 or not attempts:
        return None
    if len(attempts) == 1:
        return Text(
            en=f"This cell stood {count} times in the notebook handed in; what you changed in it was graded as one.",
            zh=f"提交的笔记本中这个单元格出现了 {count} 次；评分时将你的改动合并为一份。",
        )
    return Text(
        en=f"This cell stood {count} times in the notebook handed in; the last one that you changed was graded.",
        zh=f"提交的笔记本中这个单元格出现了 {count} 次；以最后一个改动过的为准评分。",
    )


def _safe_source(cell: NotebookNode, text: str, answers: Mapping[str, Answer]) -> tuple[str, Text | None]:
    """Write a student's text so that nothing downstream interprets it: prose quoted, quiz answers as literals."""
    tilewise = cell.metadata.get("tilewise", {})
    if tilewise.get("role") == "answer":
        return _answer(cell.source, text, tilewise["id"], answers)
    if cell.cell_type == "markdown" and text != cell.source:
        return quoted(text), None
    return text, None


def quoted(text: str) -> str:
    """Fence a text so that markdown shows it to the letter: no HTML, link, image or formula of a student's is live."""
    longest = max((len(run) for run in re.findall(r"~+", text)), default=0)
    fence = "~" * max(3, longest + 1)
    return f"{fence}\n{text}\n{fence}"


def _answer(starter: str, text: str, question: str, answers: Mapping[str, Answer]) -> tuple[str, Text | None]:
    answer = typed_answer(text, question)
    if answer is PICKED:
        answer = answers.get(question)
        if answer is None:
            return starter, None
    elif answer is None:
        return starter, UNREADABLE_ANSWER
    value = list(answer) if isinstance(answer, tuple) else answer
    return f"{question.rpartition('.')[2]} = {value!r}", None


def _record(
    notebook: NotebookNode,
    *,
    problem: Text | None,
    notes: tuple[Text, ...],
    cells: dict[str, Text],
    flags: dict[str, Text],
) -> None:
    notebook.metadata.setdefault("tilewise", NotebookNode())
    notebook.metadata["tilewise"]["intake"] = {
        "problem": problem.model_dump() if problem else None,
        "notes": [note.model_dump() for note in notes],
        "cells": {label: note.model_dump() for label, note in cells.items()},
        "flags": {label: flag.model_dump() for label, flag in flags.items()},
    }
    language = language_of(notebook)
    lines = [f"{problem.en}\n\n{problem.zh}"] if problem else [note[language] for note in notes]
    if lines:
        text = "\n\n".join(f"> {line}" for line in "\n\n".join(lines).split("\n\n"))
        notebook.cells.insert(0, new_markdown_cell(text, id=NOTES_CELL))
