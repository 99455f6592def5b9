"""What the tests of the doctor share: stand-ins for what is asked, and the report as it would be printed."""

from __future__ import annotations

import io
import re
from pathlib import Path
from typing import Any

from rich.console import Console

from tilewise_lab import doctor
from tilewise_lab.health.finding import Examination, Finding, Need, same, works
from tilewise_lab.health.processes import Unanswered


class Answers:
    """Stands for a process that was asked: gives the facts that it is made of, raises those that are failures."""

    def __init__(self, **facts: Any) -> None:
        self._facts = facts

    def fact(self, name: str) -> Any:
        if isinstance(told := self._facts[name], Exception):
            raise told
        return told


def broken(reason: str) -> Unanswered:
    return Unanswered(same(reason))


def fake_package(folder: Path, name: str, text: str) -> None:
    (folder / name).mkdir(parents=True)
    (folder / name / "__init__.py").write_text(text)


def line_of(output: str, title: str) -> str:
    """Find the table's line about one thing; the mark stands first in it."""
    found = re.search(rf"^ +[✓✗!–] +{re.escape(title)} .*", output, re.MULTILINE)
    assert found is not None, output
    return found[0]


def look(*findings: tuple[Need, Finding], language: str = "en") -> tuple[bool, str]:
    """Report findings as the command would; give its verdict and what it printed."""
    screen = io.StringIO()
    todo = [Examination(same(f"thing {n}"), need, lambda: works(same("-"))) for n, (need, _) in enumerate(findings)]
    console = Console(file=screen, width=200)
    return doctor.report(console, todo, [finding for _, finding in findings], language), screen.getvalue()
