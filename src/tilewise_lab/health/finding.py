"""What an examination is, and what comes of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

from autograder.course.model import Text


class Need(Enum):
    """What a thing is needed for, the most needed first."""

    COURSE = Text(en="needed to take the course", zh="学习本课程必需")
    LATER = Text(en="needed for later chapters", zh="后面的章节需要")
    OPTIONAL = Text(en="optional", zh="可选")


class State(Enum):
    """ABSENT: there was nothing to try. It is no pass, and nothing is wrong either."""

    WORKS = "works"
    FAILS = "fails"
    ABSENT = "absent"


@dataclass(frozen=True)
class Finding:
    """What was found, and for a failure what to do. need: where the finding weighs otherwise than its examination."""

    state: State
    seen: Text
    remedy: Text | None = None
    need: Need | None = None


@dataclass(frozen=True)
class Examination:
    """One thing to look at. `examine` gives a finding; when it raises or takes too long, that is the finding."""

    title: Text
    need: Need
    examine: Callable[[], Finding]


def works(seen: Text) -> Finding:
    return Finding(State.WORKS, seen)


def fails(seen: Text, remedy: Text, *, need: Need | None = None) -> Finding:
    return Finding(State.FAILS, seen, remedy, need)


def absent(seen: Text, remedy: Text | None = None) -> Finding:
    return Finding(State.ABSENT, seen, remedy)


def same(text: str) -> Text:
    """A name, number or path, which is the same in both languages."""
    return Text(en=text, zh=text)
