"""`tilewise doctor`: what works on this machine, found out by trying it, in under 15 seconds.

Nothing is taken on trust: packages are imported, kernels and programs run, the judge tries to get out of its sandbox.
What crashed or did not answer in time counts as failed, and says so.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text as Styled

from autograder.course.model import Language, Text
from autograder.judge.printable import one_line
from tilewise_lab.health import course, machine, software
from tilewise_lab.health.finding import Examination, Finding, Need, State, fails, same
from tilewise_lab.health.processes import MEND_FIRST, SECONDS, SLOW_REMEDY, Questioner, Unanswered, too_late
from tilewise_lab.jupyter import server
from tilewise_lab.learn import state_folder

GRACE_SECONDS = 0.3  # the processes' own deadline comes first, so that none is left when a thread is given up
WIDEST = 400  # characters of a finding
_FAILS = {Need.COURSE: ("✗", "bold red"), Need.LATER: ("!", "bold yellow"), Need.OPTIONAL: ("!", "yellow")}
_WHAT, _FOUND = Text(en="what", zh="检查项"), Text(en="found", zh="结果")
_LEGEND = Text(
    en="✓ works   ✗ or ! does not   – nothing to try here, which is no pass",
    zh="✓ 正常   ✗ 或 ! 不正常   – 这里没有可检查的，不等于通过",
)
_YES = Text(en="The course can be taken here.", zh="这台机器可以学习本课程。")
_NO = Text(en="The course cannot be taken here yet: {what}.", zh="这台机器还不能学习本课程：{what}。")
_ONE_FAILS = Text(en="one thing that it needs does not work", zh="有 1 项必需的东西不正常")
_SOME_FAIL = Text(en="{count} things that it needs do not work", zh="有 {count} 项必需的东西不正常")
_CRASHED = Text(
    en="The examination itself went wrong. If the message names nothing that you can mend, report it.",
    zh="检查本身出了错。如果这条信息里没有你能解决的问题，请反馈给我们。",
)
_EXAMINING = Text(en="Trying what works here …", zh="正在检查这台机器……")


def doctor(folder: Path, language: Language, console: Console | None = None) -> int:
    """Examine this machine, print what was found, and give the exit status: 0 when the course can be taken.

    folder: where `tilewise learn` keeps the learner's work; it need not be there, and is not made.
    """
    console = console or Console()
    temporary = Examination(Text(en="temporary files", zh="临时文件"), Need.COURSE, machine.temporary)
    if (finding := temporary.examine()).state is State.FAILS:  # nothing else could be tried
        return 0 if report(console, [temporary], [finding], language) else 1
    with console.status(_EXAMINING[language]), questioners(folder.absolute(), language) as asked:
        todo = examinations(folder.absolute(), *asked)
        findings = examine(todo)
    return 0 if report(console, todo, findings, language) else 1


@contextmanager
def questioners(folder: Path, language: Language) -> Iterator[tuple[Questioner, Questioner, Questioner]]:
    """Start the processes that try torch, Jupyter and the judge; all are dead afterwards."""
    as_learn_does = server.environment(state_folder(folder, language), language, os.environ)
    with Questioner("judge") as judge, Questioner("torch") as torch, Questioner("jupyter", as_learn_does) as jupyter:
        yield torch, jupyter, judge


def examinations(folder: Path, torch: Questioner, jupyter: Questioner, judge: Questioner) -> list[Examination]:
    """List what to look at, in the order of the table."""

    def package(name: str, need: Need, asked: Questioner) -> Examination:
        return Examination(same(name), need, partial(software.package, name, asked))

    both: list[tuple[str, str, Need, Callable[[], Finding]]] = [
        ("Python", "Python", Need.COURSE, software.python_version),
        ("other packages", "其他软件包", Need.COURSE, software.other_packages),
        ("quizzes in JupyterLab", "JupyterLab 中的测验", Need.COURSE, partial(software.lab_extensions, jupyter)),
        ("judge and sandbox", "评测器与沙箱", Need.COURSE, partial(course.sandbox, judge)),
        ("notebooks", "笔记本", Need.COURSE, course.notebooks),
        ("your folder", "你的文件夹", Need.COURSE, partial(machine.writable, folder)),
        ("disk", "磁盘", Need.COURSE, partial(machine.room, folder)),
        ("free port", "空闲端口", Need.COURSE, machine.free_port),
        ("Triton's interpreter", "Triton 解释器", Need.LATER, partial(software.interpreter, torch)),
        ("C++ compiler", "C++ 编译器", Need.LATER, machine.compiler),
        ("GPU", "GPU", Need.OPTIONAL, partial(software.gpu, torch)),
        ("CUDA compiler", "CUDA 编译器", Need.OPTIONAL, machine.cuda_compiler),
        ("nbgrader's exchange", "nbgrader 的 exchange", Need.OPTIONAL, course.exchange),
        ("Chinese font", "中文字体", Need.OPTIONAL, machine.chinese_font),
    ]
    rows = [Examination(Text(en=en, zh=zh), need, look) for en, zh, need, look in both]
    packages = [
        package("torch", Need.COURSE, torch),
        package("jupyterlab", Need.COURSE, jupyter),
        package("ipywidgets", Need.COURSE, jupyter),
        package("anywidget", Need.COURSE, jupyter),
        package("triton", Need.LATER, torch),
        package("nbgrader", Need.OPTIONAL, jupyter),
    ]
    return [*rows[:1], *packages, *rows[1:]]


def examine(todo: Sequence[Examination], *, seconds: float = SECONDS + GRACE_SECONDS) -> list[Finding]:
    """Make all examinations at once; one that raises, or is not done in so many seconds, failed."""
    findings: list[Finding | None] = [None] * len(todo)

    def look(number: int) -> None:
        findings[number] = _examined(todo[number])

    deadline = time.monotonic() + seconds
    # Daemons: one that hangs must not keep the command from ending.
    threads = [threading.Thread(target=look, args=(number,), daemon=True) for number in range(len(todo))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(max(0.0, deadline - time.monotonic()))
    return [finding or fails(too_late(seconds).reason, SLOW_REMEDY) for finding in findings]


def report(console: Console, todo: Sequence[Examination], findings: Sequence[Finding], language: Language) -> bool:
    """Print the table, then for each thing that does not work what to do; tell whether the course can be taken."""
    rows = sorted((Row(*pair) for pair in zip(todo, findings, strict=True)), key=lambda row: list(Need).index(row.need))
    table = Table("", _WHAT[language], _FOUND[language], box=SIMPLE_HEAD)
    for number, row in enumerate(rows):
        if number == 0 or row.need is not rows[number - 1].need:
            table.add_row("", Styled(row.need.value[language], "italic"))
        seen = Styled(one_line(row.finding.seen[language], width=WIDEST), overflow="fold")
        table.add_row(Styled(*row.mark), Styled(row.examination.title[language]), seen)
    console.print(table)
    console.print(_LEGEND[language], style="dim", markup=False)
    for row in rows:
        if row.finding.remedy is not None and row.finding.state is State.FAILS:
            mark, style = row.mark
            console.print(Styled(f"\n{mark} {row.examination.title[language]}: {row.need.value[language]}", style))
            console.print(Styled(row.finding.remedy[language]), soft_wrap=True)
    missing = sum(row.finding.state is State.FAILS and row.need is Need.COURSE for row in rows)
    what = (_ONE_FAILS if missing == 1 else _SOME_FAIL)[language].format(count=missing)
    verdict = _NO[language].format(what=what) if missing else _YES[language]
    console.print(f"\n{verdict}", style="bold red" if missing else "bold green", markup=False, highlight=False)
    return not missing


@dataclass(frozen=True)
class Row:
    """One line of the table."""

    examination: Examination
    finding: Finding

    @property
    def need(self) -> Need:
        return self.finding.need or self.examination.need

    @property
    def mark(self) -> tuple[str, str]:
        """A sign, and the style that it is shown in."""
        match self.finding.state:
            case State.WORKS:
                return "✓", "green"
            case State.ABSENT:
                return "–", "dim"
            case State.FAILS:
                return _FAILS[self.need]


def _examined(examination: Examination) -> Finding:
    try:
        return examination.examine()
    except Unanswered as failure:
        return fails(failure.reason, SLOW_REMEDY if failure.is_late else MEND_FIRST)
    except Exception as error:  # whatever an examination dies of is a finding about this machine, and is shown
        what = f"{type(error).__name__}: {error}"
        return fails(Text(en=f"could not be examined: {what}", zh=f"无法检查：{what}"), _CRASHED)
