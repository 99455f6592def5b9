"""Tell a student before the deadline what intake would make of a notebook: that same intake, and words about it.

Nothing is run, nothing is marked: whether an answer is right is not looked at, and keys of questions are not used.
"""

from __future__ import annotations

import os
import warnings
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from enum import Enum
from pathlib import Path

import nbformat
from nbformat.notebooknode import NotebookNode
from nbgrader.utils import is_grade, is_solution
from rich.console import Console
from rich.table import Table
from rich.text import Text as Styled

from autograder.course.ids import SEPARATOR
from autograder.course.model import LANGUAGES, Chapter, Course, Language, Text
from autograder.course.quiz import PICKED, normalised, typed_answer
from autograder.course.reading import release_root
from autograder.judge.printable import one_line
from autograder.nbgrader_plugin.handin import HandIn, Refused, read_hand_in
from autograder.nbgrader_plugin.intake import MISSING, TOO_LONG, UNREADABLE_ANSWER, intake_of, take_in

SUFFIX = ".ipynb"


class PreflightError(Exception):
    """It cannot be told what intake would say: says why, and what to do."""


class State(Enum):
    """What becomes of one answer. OPEN: there is none. NOTED: counts, yet something is odd. LOST: cannot count."""

    TAKEN = "taken"
    OPEN = "open"
    NOTED = "noted"
    LOST = "lost"


_BESIDE = Text(en="beside the notebook", zh="笔记本旁边的文件")
_TAKEN = Text(en="taken in", zh="会被采用")
_UNTOUCHED = Text(en="still as it was handed out: nothing to grade", zh="还和发下来时一样：没有可以评分的内容")
_NO_ANSWER = Text(en="no answer yet", zh="还没有作答")
_NOT_AN_ANSWER = Text(
    en="what is there is no answer to this question; choose again, or type one of its letters, or a number",
    zh="现有的内容不是这道题的答案；请重新选择，或者输入选项字母或数字",
)
_LEFT_OUT = Text(
    en="Something that you wrote for it would not be graded: keep one cell, the one that came with the notebook, and "
    "put all of it there.",
    zh="你为它写的内容有一部分不会被评分：请只保留笔记本原有的那个单元格，把全部内容放进去。",
)
_SAY_IT_OTHERWISE = Text(
    en="If you mean no such thing, say it in other words.",
    zh="如果你并没有这个意思，请换一种说法。",
)
_NOT_OURS = Text(en="this is no notebook of the course", zh="这不是本课程的笔记本")
_MARKS = {
    State.TAKEN: ("✓", "green"),
    State.OPEN: ("○", "yellow"),
    State.NOTED: ("!", "yellow"),
    State.LOST: ("✗", "bold red"),
}
_WHOLE = Text(
    en="All that you wrote would be taken in (✓ !). What is open (○) earns nothing. Whether it is right, `check` says.",
    zh="你写的内容都会被采用（✓ !）。还空着的（○）没有分。对不对由 `check` 来说。",
)
_LOSSES = Text(
    en="Not ready: what is marked ✗ would not count. Mend it, save, and run this again.",
    zh="还不能交：标着 ✗ 的不会被计入。请改好、保存，再运行一次。",
)
_MAGIC = Text(
    en=" Lines that begin with % or ! work in a notebook only; take them out.",
    zh="以 % 或 ! 开头的行只在笔记本里有效，请删去。",
)


@dataclass(frozen=True)
class Line:
    """What is to be said about one answer, or about the whole."""

    item: Text
    state: State
    says: Text


@dataclass(frozen=True)
class Preflight:
    """What intake would say. language: that of the notebook; None where it cannot be read."""

    language: Language | None
    lines: tuple[Line, ...]

    @property
    def is_whole(self) -> bool:
        """Whether everything that the student wrote would count; what is unanswered does not matter here."""
        return all(line.state is not State.LOST for line in self.lines)


def preflight(file: Path, course: Course) -> Preflight:
    """Take in `file` and the answers beside it as the grading would, and say what becomes of every answer.

    Raise PreflightError when there is no such file, and that or CourseError when there is no release to compare with.
    """
    if not os.path.lexists(file) or file.is_dir():
        raise PreflightError(f"{file} is no notebook; name the file itself · {file} 不是笔记本，请写出文件本身")
    folder = file.parent.resolve()  # what counts is whether the notebook is a link, not where the folder lies
    if file.suffix != SUFFIX:
        return _refused(file, Text(en=f"its name must end in {SUFFIX}", zh=f"文件名必须以 {SUFFIX} 结尾"))
    try:
        hand_in = read_hand_in(folder, file.stem)
    except Refused as refusal:
        return _refused(file, refusal.reason)
    except OSError as error:
        shown = one_line(str(error))
        raise PreflightError(f"{file.name} cannot be read: {shown} · 无法读取 {file.name}：{shown}") from None
    language: Language = "zh" if hand_in.language == "zh" else "en"
    chapter = _chapter_of(file.stem, hand_in, course)
    if chapter is None:
        return _refused(file, _NOT_OURS, language)
    releases = _releases(chapter)
    rebuilt = take_in(folder, file.stem, releases)
    intake = intake_of(rebuilt)
    if intake["problem"]:
        return _refused(file, Text(**intake["problem"]), language)
    lines = list(_name(file, chapter))
    for said in (Text(**note) for note in intake["notes"]):
        state = State.LOST if said in hand_in.notes else State.NOTED  # picked answers unread, or files left behind
        lines.append(Line(_BESIDE, state, said))
    starters = {label: cell for cell in releases["en"].cells if (label := _label(cell))}
    for cell in rebuilt.cells:
        if is_solution(cell):
            note, flag = (intake[said].get(_label(cell)) for said in ("cells", "flags"))
            line = _answer(cell, starters[_label(cell)], Text(**note) if note else None, hand_in, course)
            lines.append(_flagged(line, Text(**flag), cell) if flag else line)
    return Preflight(language, tuple(lines))


def show(told: Preflight, console: Console, language: Language | None = None) -> None:
    """Print it in a language, or in the notebook's own; in both where that is not known."""
    wanted = language or told.language
    for spoken in (wanted,) if wanted else LANGUAGES:
        table = Table(box=None, show_header=False)
        for line in told.lines:
            mark, style = _MARKS[line.state]
            table.add_row(Styled(mark, style), Styled(line.item[spoken]), Styled(line.says[spoken], overflow="fold"))
        console.print(table)
        verdict = _WHOLE if told.is_whole else _LOSSES
        style = "bold green" if told.is_whole else "bold red"
        console.print(Styled(f"\n{verdict[spoken]}", style), soft_wrap=True)


def _refused(file: Path, reason: Text, language: Language | None = None) -> Preflight:
    return Preflight(language, (Line(_same(file.name), State.LOST, reason),))


def _chapter_of(stem: str, hand_in: HandIn, course: Course) -> Chapter | None:
    """Find the chapter by the file's name, or else by what most of the cells say."""
    chapters = {chapter.slug: chapter for chapter in course.chapters}
    if stem in chapters:
        return chapters[stem]
    slugs = Counter(cell.grade_id.split(SEPARATOR)[0] for cell in hand_in.cells if SEPARATOR in cell.grade_id)
    for slug, _ in slugs.most_common():
        if slug in chapters:
            return chapters[slug]
    return None


def _releases(chapter: Chapter) -> dict[str, NotebookNode]:
    """Read the chapter's release of the installed course, by language."""
    root = release_root()
    files = {language: root / language / chapter.folder.name / f"{chapter.slug}{SUFFIX}" for language in LANGUAGES}
    try:
        return {language: nbformat.read(file, as_version=4) for language, file in files.items()}
    except FileNotFoundError as error:
        raise PreflightError(
            f"{error.filename} is missing; `tilewise build` makes it · "
            f"缺少 {error.filename}，可用 `tilewise build` 生成"
        ) from None


def _name(file: Path, chapter: Chapter) -> Iterator[Line]:
    wanted = f"{chapter.slug}{SUFFIX}"
    if file.name != wanted:
        yield Line(
            _same(file.name),
            State.LOST,
            Text(
                en=f"must be called {wanted}; under another name it is not found, and counts as not handed in",
                zh=f"必须叫 {wanted}；换了名字就找不到，会被当作没有交",
            ),
        )


def _answer(cell: NotebookNode, starter: NotebookNode, note: Text | None, hand_in: HandIn, course: Course) -> Line:
    """Say what becomes of one answer. note: what intake has to say about its cell."""
    item, role = _item(cell, course), cell.metadata["tilewise"]["role"]
    if note in (MISSING, TOO_LONG, UNREADABLE_ANSWER):
        return Line(item, State.LOST, note)
    if _is_left_out(cell, starter, hand_in):
        return Line(item, State.LOST, _joined(note, _LEFT_OUT) if note else _LEFT_OUT)
    if cell.source == starter.source:
        return Line(item, State.OPEN, _UNTOUCHED if role == "code" else _NO_ANSWER)
    if problem := _problem(cell, role, course):
        return Line(item, State.LOST, problem)
    return Line(item, State.NOTED, note) if note else Line(item, State.TAKEN, _TAKEN)


def _flagged(line: Line, flag: Text, cell: NotebookNode) -> Line:
    """Add why a person will look; it is no loss in a written answer, which a person reads anyway."""
    if is_grade(cell):
        return replace(line, state=State.LOST if line.state is State.LOST else State.NOTED, says=flag)
    return replace(line, state=State.LOST, says=_joined(flag, _SAY_IT_OTHERWISE))


def _is_left_out(cell: NotebookNode, starter: NotebookNode, hand_in: HandIn) -> bool:
    """Tell whether some handed-in text for this cell is not in what would be graded."""
    marker = starter.source.split("\n", 1)[0]
    is_marked = marker.startswith("# exercise: ")
    texts = {
        candidate.text.strip()
        for candidate in hand_in.cells
        if candidate.grade_id == _label(cell) or (is_marked and candidate.text.lstrip().split("\n", 1)[0] == marker)
    } - {starter.source.strip()}
    if cell.metadata["tilewise"]["role"] == "answer":
        question = cell.metadata["tilewise"]["id"]
        return len({typed_answer(text, question) for text in texts} - {PICKED}) > 1
    return any(text not in cell.source for text in texts)


def _problem(cell: NotebookNode, role: str, course: Course) -> Text | None:
    """Say why a text that is taken over could earn nothing, whatever it means."""
    if role == "code":
        return _syntax(cell.source)
    if role == "answer":
        question = course.questions[cell.metadata["tilewise"]["id"]]
        answer = typed_answer(cell.source, question.full_id)
        if answer is PICKED or normalised(question, answer) is None:
            return _NOT_AN_ANSWER
    return None


def _syntax(source: str) -> Text | None:
    """Compile a cell as the judge would, without running it."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            compile(source, "cell", "exec", dont_inherit=True)
    except SyntaxError as error:
        what, line = one_line(error.msg), error.lineno or 1
        said = Text(
            en=f"Python cannot read line {line} of the cell: {what}.", zh=f"Python 读不懂单元格的第 {line} 行：{what}。"
        )
        uses_magic = any(row.lstrip().startswith(("%", "!")) for row in source.splitlines())
        return _joined(said, _MAGIC, "") if uses_magic else said
    except (ValueError, RecursionError, MemoryError, OverflowError) as error:
        what = one_line(str(error)) or type(error).__name__
        return Text(en=f"Python cannot read the cell: {what}.", zh=f"Python 读不懂这个单元格：{what}。")
    return None


def _item(cell: NotebookNode, course: Course) -> Text:
    identifier = cell.metadata["tilewise"]["id"]
    if exercise := course.exercises.get(identifier):
        return exercise.title
    name = identifier.rpartition(".")[2]
    if is_grade(cell):
        return Text(en=f"written answer {name}", zh=f"书面题 {name}")
    return Text(en=f"question {name}", zh=f"题目 {name}")


def _label(cell: NotebookNode) -> str:
    return str(cell.metadata.get("nbgrader", {}).get("grade_id", ""))


def _joined(first: Text, second: Text, between: str = " ") -> Text:
    return Text(en=f"{first.en}{between}{second.en}", zh=f"{first.zh}{second.zh}")


def _same(name: str) -> Text:
    shown = one_line(name) or "?"
    return Text(en=shown, zh=shown)
