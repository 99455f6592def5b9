"""Read what a student handed in: bounded, following no link, running nothing.

What cannot be read raises `Refused` with a reason for the student; anything else (a full disk, no permission) is not
the student's fault and stays an OSError.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import re
import stat
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from nbgrader.utils import parse_utc

from autograder.course.model import Text
from autograder.course.quiz import Answer, AnswersError, read_answers

MIB = 1 << 20
MAX_NOTEBOOK_BYTES = 10 * MIB
MAX_ANSWERS_BYTES = MIB // 16
MAX_TIMESTAMP_BYTES = 128
MAX_CELLS = 2000
MAX_CELL_CHARACTERS = 100_000
MAX_NAMES = 5
ANSWERS = "answers.json"
TIMESTAMP = "timestamp.txt"
# What nbgrader's exchange, the course itself and Jupyter put beside a notebook; naming it would only worry a student.
EXPECTED = {ANSWERS, TIMESTAMP, "figures", ".ipynb_checkpoints", "submission_secret.txt"}
_LINK = {errno.ELOOP, errno.ENOTDIR, errno.EMLINK}


class Refused(Exception):
    """What was handed in cannot be graded; `reason` says why and what to do, in both languages."""

    def __init__(self, en: str, zh: str) -> None:
        self.reason = Text(en=en, zh=zh)
        super().__init__(en)


@dataclass(frozen=True)
class Cell:
    """The two things that intake looks at in a handed-in cell."""

    grade_id: str
    text: str


@dataclass(frozen=True)
class HandIn:
    """A hand-in as plain data. extra: names, made harmless, of files that are not taken over."""

    cells: tuple[Cell, ...]
    language: str
    answers: dict[str, Answer] = field(default_factory=dict)
    extra: tuple[str, ...] = ()
    notes: tuple[Text, ...] = ()


def read_hand_in(folder: Path, notebook: str) -> HandIn:
    """Read `folder`/`notebook`.ipynb and the answers beside it; raise Refused."""
    name = f"{notebook}.ipynb"
    try:
        data = read_file(folder, name, MAX_NOTEBOOK_BYTES)
    except FileNotFoundError:
        found = ", ".join(_harmless(entry) for entry in _names(folder)[:MAX_NAMES])
        raise Refused(
            f"there is no file {name} in the hand-in (found: {found or 'nothing'}); "
            "hand in again under the name that the notebook had when you got it",
            f"提交中没有文件 {name}（找到：{found or '无'}）；请用领到时的原文件名重新提交",
        ) from None
    cells, language = _parse(data, name)
    answers, notes = _answers(folder)
    extra = tuple(_harmless(entry) for entry in _names(folder) if entry not in EXPECTED and entry != name)
    return HandIn(cells, language, answers, extra, notes)


def read_file(folder: Path, name: str, limit: int) -> bytes:
    """Read a regular file of at most `limit` bytes in a folder that is no link; raise Refused or FileNotFoundError."""
    if folder.parent.is_symlink():
        raise _is_a_link(folder.parent.name)
    directory = _open(folder, folder.name, os.O_DIRECTORY)
    try:
        # O_NONBLOCK: opening a named pipe must not wait for someone to write into it.
        file = _open(name, name, os.O_NONBLOCK, directory)
    finally:
        os.close(directory)
    if not stat.S_ISREG(os.fstat(file).st_mode):
        os.close(file)
        raise Refused(f"{name} is not a file; hand in the notebook itself", f"{name} 不是文件；请提交笔记本本身")
    with os.fdopen(file, "rb") as stream:
        data = stream.read(limit + 1)
    if len(data) > limit:
        raise Refused(
            f"{name} is larger than {limit / MIB:g} MiB; clear all outputs, save, and hand in again",
            f"{name} 超过 {limit / MIB:g} MiB；请清除全部输出、保存后重新提交",
        )
    return data


def read_timestamp(folder: Path) -> str | None:
    """Give the text of nbgrader's timestamp.txt, or None where none can be read or it holds no time."""
    try:
        text = read_file(folder, TIMESTAMP, MAX_TIMESTAMP_BYTES).decode("ascii").strip()
        return text if text and parse_utc(text) else None
    except (OSError, Refused, ValueError, OverflowError):
        return None


def existing_time(coursedir: Any, folder: str) -> datetime | None:
    """Say when what lies in a folder came; stands in for the method of nbgrader's CourseDirectory.

    nbgrader's own opens whatever is there, so that one timestamp.txt of nonsense ends `nbgrader collect` for the whole
    class and breaks formgrader's list of it, and one that is a pipe or a link to an endless file hangs both.
    """
    text = read_timestamp(Path(folder))
    return parse_utc(text) if text else None


def submitted_time(classroom: Any, assignment: str, student: str) -> datetime | None:
    """Say when a hand-in came; stands in for the method of nbgrader's API, for the same reason."""
    coursedir = classroom.coursedir
    return existing_time(coursedir, coursedir.format_path(coursedir.submitted_directory, student, assignment))


def fingerprint(folder: Path, notebook: str) -> str:
    """Name the content of a hand-in, so that a changed one is graded again even where no timestamp tells."""
    digest = hashlib.sha256()
    for name, limit in ((f"{notebook}.ipynb", MAX_NOTEBOOK_BYTES), (ANSWERS, MAX_ANSWERS_BYTES)):
        try:
            digest.update(hashlib.sha256(read_file(folder, name, limit)).digest())
        except (FileNotFoundError, Refused) as error:
            digest.update(type(error).__name__.encode())
    return digest.hexdigest()


def _open(path: Path | str, name: str, flags: int, directory: int | None = None) -> int:
    try:
        return os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | flags, dir_fd=directory)
    except OSError as error:
        if error.errno in _LINK:
            raise _is_a_link(name) from None
        if error.errno == errno.ENXIO:
            raise Refused(f"{_harmless(name)} is not a file", f"{_harmless(name)} 不是文件") from None
        raise


def _is_a_link(name: str) -> Refused:
    name = _harmless(name)
    return Refused(
        f"{name} is a link, and links are not followed; hand in the file itself",
        f"{name} 是链接，链接不会被跟随；请提交文件本身",
    )


def _names(folder: Path) -> list[str]:
    return sorted(os.listdir(folder))


def _harmless(name: str) -> str:
    """Keep of a student's file name only what can neither mark up a page nor steer a terminal."""
    return re.sub(r"[^\w. -]", "?", name)[:60]


def plain(text: str) -> str:
    """Take from a message everything that a notebook, a page or a terminal could read as more than text."""
    return re.sub(r"[^\w\s.,;:()'/=，。；：（）-]", "?", text)[:300]


def _parse(data: bytes, name: str) -> tuple[tuple[Cell, ...], str]:
    try:
        notebook = json.loads(data.decode("utf-8-sig"))
    except UnicodeDecodeError:
        raise _broken(name, "is not UTF-8 text", "不是 UTF-8 文本") from None
    except RecursionError:
        raise _broken(name, "is nested too deeply", "嵌套过深") from None
    except ValueError:
        raise _broken(name, "is not a notebook: its JSON is broken", "不是笔记本：JSON 已损坏") from None
    cells = notebook.get("cells") if isinstance(notebook, dict) else None
    if not isinstance(cells, list):
        raise _broken(name, "is not a notebook of format 4: it holds no list of cells", "不是第 4 版格式的笔记本")
    if len(cells) > MAX_CELLS:
        raise _broken(name, f"holds {len(cells)} cells, more than {MAX_CELLS}", f"有 {len(cells)} 个单元格，过多")
    return tuple(_cell(raw) for raw in cells), _language(notebook)


def _broken(name: str, en: str, zh: str) -> Refused:
    return Refused(
        f"{name} {en}; open it in JupyterLab, save it, and hand in again",
        f"{name} {zh}；请在 JupyterLab 中打开并保存，再重新提交",
    )


def _cell(raw: Any) -> Cell:
    source = raw.get("source") if isinstance(raw, dict) else None
    if isinstance(source, list) and all(isinstance(line, str) for line in source):
        source = "".join(source)
    text = source if isinstance(source, str) else ""
    # JSON can spell half a surrogate pair, which no file can hold; a NUL ends a program text early.
    text = text.encode("utf-8", "replace").decode("utf-8").replace("\0", "?")
    label: Any = raw
    for key in ("metadata", "nbgrader", "grade_id"):
        label = label.get(key) if isinstance(label, dict) else None
    return Cell(label if isinstance(label, str) else "", text)


def _language(notebook: dict[str, Any]) -> str:
    label: Any = notebook
    for key in ("metadata", "tilewise", "language"):
        label = label.get(key) if isinstance(label, dict) else None
    return "zh" if label == "zh" else "en"


def _answers(folder: Path) -> tuple[dict[str, Answer], tuple[Text, ...]]:
    """Read answers.json; one that cannot be read costs the picked answers, not the rest of the hand-in."""
    try:
        read_file(folder, ANSWERS, MAX_ANSWERS_BYTES)
        return read_answers(folder), ()
    except FileNotFoundError:
        return {}, ()
    except (Refused, AnswersError) as error:
        why = error.reason if isinstance(error, Refused) else Text(en=str(error), zh=str(error))
        note = Text(
            en=f"Picked quiz answers were not read ({plain(why.en)}). Answers typed in the notebook count.",
            zh=f"点选的测验答案未能读取（{plain(why.zh)}）。笔记本中键入的答案仍然有效。",
        )
        return {}, (note,)
