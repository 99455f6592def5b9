"""How figures are measured and told: interleaved runs on the processor's clock, medians with quartiles, and the bar.

Others use the machine too. So time is what this process used of the processor, every round runs all that is compared,
one right after the other, and a ratio is taken within a round before the median is.
"""

from __future__ import annotations

import datetime
import os
import platform
import statistics
import subprocess
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("torch", "triton", "numpy", "memory-efficient-attention-pytorch")
MS = 1e3


@dataclass(frozen=True)
class Spread:
    """The median of some measurements, and the quartiles around it."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, measurements: Sequence[float]) -> Spread:
        if len(measurements) == 1:
            return cls(measurements[0], measurements[0], measurements[0])
        low, median, high = statistics.quantiles(measurements, n=4, method="inclusive")
        return cls(median, low, high)

    def text(self, digits: int) -> str:
        return f"{self.median:.{digits}f} ({self.low:.{digits}f} to {self.high:.{digits}f})"


@dataclass(frozen=True)
class Bar:
    """What a figure must reach. At its limit it is met, unless `strict`."""

    limit: float
    at_least: bool = False
    strict: bool = False

    def met(self, value: float) -> bool:
        if value == self.limit:
            return not self.strict
        return (value > self.limit) is self.at_least

    def __str__(self) -> str:
        if self.strict:
            return f"{'above' if self.at_least else 'below'} {self.limit:g}"
        return f"at {'least' if self.at_least else 'most'} {self.limit:g}"


@dataclass(frozen=True)
class Figure:
    """One line of a table. unit: of `value`   parts: what it was made from, in milliseconds or MiB, by name"""

    what: str
    value: Spread
    unit: str
    bars: tuple[Bar, ...]
    parts: dict[str, Spread]

    @property
    def met(self) -> bool:
        return all(bar.met(self.value.median) for bar in self.bars)


@dataclass(frozen=True)
class Table:
    """Figures of one kind. about: sentences that say what is compared, in which shapes, and how often"""

    title: str
    about: str
    figures: tuple[Figure, ...]

    def markdown(self) -> str:
        names = list(self.figures[0].parts)
        lines = [f"## {self.title}\n", f"{self.about}\n"]
        lines += [_row("what", *names, self.figures[0].unit, "bar", "met"), _row(*["---"] * (len(names) + 4))]
        for figure in self.figures:
            parts = [figure.parts[name].text(1) for name in names]
            bars = " and ".join(str(bar) for bar in figure.bars)
            lines.append(_row(figure.what, *parts, figure.value.text(2), bars, "yes" if figure.met else "**NO**"))
        return "\n".join(lines)

    def data(self) -> dict[str, Any]:
        figures = [asdict(figure) | {"met": figure.met} for figure in self.figures]
        return {"title": self.title, "about": self.about, "figures": figures}


def _row(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"


def interleaved(tasks: Mapping[str, Callable[[], object]], rounds: int) -> dict[str, list[float]]:
    """Run every task once to warm up, then all of them in each round. -> milliseconds of each round, by task"""
    for task in tasks.values():
        task()
    taken: dict[str, list[float]] = {name: [] for name in tasks}
    for _ in range(rounds):
        for name, task in tasks.items():
            began = time.process_time()
            task()
            taken[name].append((time.process_time() - began) * MS)
    return taken


def ratios(upper: Iterable[float], lower: Iterable[float]) -> list[float]:
    return [a / b for a, b in zip(upper, lower, strict=True)]


def load() -> str:
    return ", ".join(f"{average:.2f}" for average in os.getloadavg())


def commit() -> str:
    """Name the commit, and say where the library differs from it."""

    def git(*arguments: str) -> str:
        return subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=True).stdout.strip()

    changed = " with uncommitted changes" if git("status", "--porcelain", "--", "src/tilewise") else ""
    return git("rev-parse", "--short=12", "HEAD") + changed


def processor() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text(encoding="utf-8").splitlines() if cpuinfo.exists() else []
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())


def machine() -> dict[str, str]:
    """Say where and with what figures are taken."""
    return {
        "date": f"{datetime.datetime.now(datetime.UTC):%Y-%m-%d %H:%M} UTC",
        "processor": f"{processor()}, {torch.backends.cpu.get_cpu_capability()}, {os.cpu_count()} cores; no GPU",
        "threads": str(torch.get_num_threads()),
        "system": f"{platform.system()} {platform.release()}",
        "versions": ", ".join(
            [f"Python {platform.python_version()}", *(f"{name} {version(name)}" for name in PACKAGES)]
        ),
        "tilewise": commit(),
        "load at the start (1, 5, 15 minutes)": load(),
    }
