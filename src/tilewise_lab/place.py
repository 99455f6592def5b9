"""Where this code runs: the kernel, its executed cells, the notebook's folder, file and language."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

from autograder.course.datafile import DataFileError, read_json
from autograder.course.model import LANGUAGES, Course, Language
from autograder.course.reading import load_course

NOTEBOOK_LIMIT = 32 * 1024 * 1024
# A cell that changes the working directory must not move the answers away from the notebook.
_STARTED_IN = Path.cwd()


class NotInNotebookError(RuntimeError):
    """There are no executed cells here: says what to do instead."""


class Executed(NamedTuple):
    """One executed input: In[number] and its text."""

    number: int
    source: str


@lru_cache(maxsize=1)
def course() -> Course:
    """Load the course once per process; raises CourseError that says what to mend."""
    return load_course()


def shell() -> Any | None:
    """Return the running IPython shell, or None. Never the first to import IPython."""
    if "IPython" not in sys.modules:
        return None
    from IPython import get_ipython

    return get_ipython()


def in_kernel() -> bool:
    """Say whether a Jupyter kernel runs this, as opposed to IPython in a terminal or plain Python."""
    return getattr(shell(), "kernel", None) is not None


def newest_input(wanted: Callable[[str], bool]) -> Executed | None:
    """Find the newest executed cell whose text is `wanted`, as it was typed. Raises NotInNotebookError."""
    running = shell()
    if running is None:
        raise NotInNotebookError(
            "check() and verdict() read the cells of a running notebook, and here is none. Open the notebook with "
            "`tilewise learn` and run the cell there. "
            "(这里没有 notebook 在运行：请用 `tilewise learn` 打开 notebook，再运行单元格。)"
        )
    inputs = running.history_manager.input_hist_raw
    for number in range(len(inputs) - 1, 0, -1):
        if wanted(inputs[number]):
            return Executed(number, inputs[number])
    return None


def is_marked(source: str, exercise_id: str) -> bool:
    """Say whether a cell's first line of text is the exercise's marker, `# exercise: ID`."""
    first = source.lstrip().partition("\n")[0]
    return re.fullmatch(rf"#\s*exercise:\s*{re.escape(exercise_id)}\s*", first) is not None


def folder() -> Path:
    """Return the folder of the notebook: answers.json lies there."""
    file = _session_file()
    return file.parent if file else _STARTED_IN


def language() -> Language:
    """Return the reader's language: $TILEWISE_LANG, else that of the notebook here, else English."""
    return language_of(_notebooks())


def language_of(notebooks: Iterable[dict[str, Any]]) -> Language:
    """Return $TILEWISE_LANG, else the language of the first notebook that names one, else English."""
    if named := os.environ.get("TILEWISE_LANG"):
        short = re.split(r"[-_.]", named)[0].lower()
        if short not in LANGUAGES:
            raise ValueError(f"TILEWISE_LANG is {named!r}, expected one of: {', '.join(LANGUAGES)}")
        return short
    for notebook in notebooks:
        found = _tilewise(notebook).get("language")
        if found in LANGUAGES:
            return found
    return "en"


def chapter() -> str | None:
    """Return the slug of the chapter whose notebook this is, or None where no notebook here names one of the course."""
    slugs = {each.slug for each in course().chapters}
    return next((slug for notebook in _notebooks() if (slug := _tilewise(notebook).get("chapter")) in slugs), None)


def saved_text_differs(exercise_id: str, source: str) -> bool:
    """Say whether the saved notebook holds this exercise's cell with another text than the one given."""
    saved = [text for notebook in _notebooks() for text in _cell_texts(notebook) if is_marked(text, exercise_id)]
    return bool(saved) and source.strip() not in [text.strip() for text in saved]


def _session_file() -> Path | None:
    # JupyterLab names the notebook of a kernel in its environment; the file may have been renamed since.
    named = os.environ.get("JPY_SESSION_NAME", "")
    file = Path(named)
    return file if named and file.is_absolute() and file.suffix == ".ipynb" and file.is_file() else None


def _notebooks() -> Iterator[dict[str, Any]]:
    """Read this kernel's notebook, or where it is not known every notebook of the folder; skip what cannot be read."""
    file = _session_file()
    for path in [file] if file else sorted(_STARTED_IN.glob("*.ipynb")):
        try:
            notebook = read_json(path, limit=NOTEBOOK_LIMIT)
        except DataFileError:
            # It says nothing about language or saved text, and a file half written by an editor is no reason to stop.
            continue
        if isinstance(notebook, dict):
            yield notebook


def _tilewise(notebook: dict[str, Any]) -> dict[str, Any]:
    metadata = notebook.get("metadata")
    found = metadata.get("tilewise") if isinstance(metadata, dict) else None
    return found if isinstance(found, dict) else {}


def _cell_texts(notebook: dict[str, Any]) -> Iterator[str]:
    cells = notebook.get("cells")
    for cell in cells if isinstance(cells, list) else []:
        source = cell.get("source") if isinstance(cell, dict) and cell.get("cell_type") == "code" else None
        if isinstance(source, list) and all(isinstance(line, str) for line in source):
            yield "".join(source)
        elif isinstance(source, str):
            yield source
