"""Who hands in what, and what they must get: the shape of one entry of the hostile class."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from autograder.judge.verdict import Kind
from tests.autograder.nbgrader_plugin.handins import CHAPTER, STREAMING, TWO_PASS, HandIn

FULL = 10.0
PASSED = frozenset({Kind.PASSED})
NOT_STARTED = frozenset({Kind.NOT_STARTED})


@dataclass(frozen=True)
class Outcome:
    """What one exercise must come to. kinds: any of these; empty where the hand-in was refused and nothing judged."""

    points: float
    kinds: frozenset[Kind]
    mistake: str | None = None


RIGHT = Outcome(FULL, PASSED)
HELD = Outcome(0.0, PASSED)  # right, and flagged: a person has to decide
BLANK = Outcome(0.0, NOT_STARTED)
REFUSED = Outcome(0.0, frozenset())


def nothing(*kinds: Kind) -> Outcome:
    """No points, for one of these reasons."""
    return Outcome(0.0, frozenset(kinds))


@dataclass(frozen=True)
class Submission:
    """One student's hand-in.

    outcomes: for both exercises.   notes: what the instructor's table must say of it (a part of it each).
    flagged: cells that a person must look at.   after: what is done to the folder once the notebook is in it.
    """

    hand_in: HandIn
    outcomes: Mapping[str, Outcome]
    notes: tuple[str, ...] = ()
    flagged: frozenset[str] = frozenset()
    after: Callable[[Path], None] = field(default=lambda folder: None)

    @property
    def student(self) -> str:
        return self.hand_in.student

    def write(self, classroom: Path) -> None:
        """Hand in: put the files under submitted/ of a class."""
        self.after(self.hand_in.write(classroom))


def both(two_pass: Outcome, streaming: Outcome) -> dict[str, Outcome]:
    return {TWO_PASS: two_pass, STREAMING: streaming}


def folder_of(classroom: Path, student: str) -> Path:
    return classroom / "submitted" / student / CHAPTER
