"""What the judge says of one answer. Plain data: it crosses pipes as JSON and holds no code."""

from __future__ import annotations

from enum import StrEnum

from pydantic import BaseModel, ConfigDict

from autograder.course.model import Text

TOGETHER = "+"  # between the names of two mistakes that were made at once


class Kind(StrEnum):
    """How an answer, or one property of it, ended."""

    PASSED = "OK"
    WRONG = "WA"
    RAISED = "RE"
    TIME_LIMIT = "TLE"
    MEMORY_LIMIT = "MLE"
    PROTOCOL = "PE"
    FORBIDDEN = "FB"
    NOT_STARTED = "NS"
    NOT_PROVEN = "NP"
    NOT_RUN = "NR"


class Record(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class PropertyResult(Record):
    """One named property. `kind` is PASSED, or how the first failing case of it ended."""

    name: str
    text: Text
    kind: Kind
    points: float
    max_points: float


class Counterexample(Record):
    """The smallest failing input, written out for a person: enough to replay it by hand.

    picture: which numbers of the answer are wrong, one mark for each or for a few of them; "" where it tells nothing.
    """

    property: str
    case: str
    inputs: dict[str, str]
    expected: str
    got: str
    where: str
    error: str
    seed: int
    picture: str = ""


class Verdict(Record):
    """The verdict on one exercise.

    points: what was earned of max_points.   headline: one sentence that says what happened.
    mistake, diagnosis: name and text of the known-wrong solution that behaves alike, if one does, or of two that do so
    together ("tail_dropped+squared").
    error: the student's own traceback.   printed: what the student's code printed, capped.   rung: the isolation held.
    """

    exercise: str
    kind: Kind
    points: float
    max_points: float
    properties: tuple[PropertyResult, ...]
    headline: Text
    mistake: str | None = None
    diagnosis: Text | None = None
    counterexample: Counterexample | None = None
    error: str = ""
    printed: str = ""
    rung: str = ""
    seconds: float = 0.0

    @property
    def passed(self) -> bool:
        return self.kind is Kind.PASSED

    def redacted(self) -> Verdict:
        """Drop everything through which a secret case could reach a student: inputs, prints and error texts."""
        return self.model_copy(update={"counterexample": None, "error": "", "printed": ""})
