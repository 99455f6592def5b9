"""The mistake is named by what an answer does, and not by what chance decides."""

from __future__ import annotations

from unittest.mock import Mock

import pytest
import torch

from autograder.course.reading import load_course
from autograder.judge.checks import load_checks
from autograder.judge.contracts import Play
from autograder.judge.diagnosis import Suspects
from autograder.judge.drawing import Drawn, draw
from autograder.judge.outcome import End, Outcome
from autograder.judge.scoring import Rules
from autograder.judge.verdict import Kind

SUSPECT = "suspect"


@pytest.fixture(scope="module")
def cases() -> list[Drawn]:
    """A small case and another, standing for one that leaves little memory."""
    exercise = load_course().exercises["blockwise_attention.attend_block"]
    drawn = draw(exercise, load_checks(exercise.checks_path), seed=1)
    return sorted(drawn, key=lambda d: d.case.size)[:2]


def wrong(drawn: Drawn) -> Play:
    assert drawn.expected is not None
    values = tuple(plain + 1 for plain in drawn.expected.plain)
    return Play(Outcome(End.RETURNED, "f", values, drawn.expected.single))


def right(drawn: Drawn) -> Play:
    assert drawn.expected is not None
    return Play(Outcome(End.RETURNED, "f", tuple(map(torch.clone, drawn.expected.plain)), drawn.expected.single))


def out_of_memory(_: Drawn) -> Play:
    return Play(Outcome(End.OUT_OF_MEMORY, "f"))


def named(cases: list[Drawn], mine: list, theirs: list) -> tuple[str, ...]:
    known = {(SUSPECT, d.number): play(d) for d, play in zip(cases, theirs, strict=True)}
    suspects = Suspects(Mock(), {SUSPECT: ""}, cases, {}, Rules("", 1.0, (), False), known)
    kinds = {
        d.number: {wrong: Kind.WRONG, right: Kind.PASSED, out_of_memory: Kind.MEMORY_LIMIT}[play]
        for d, play in zip(cases, mine, strict=True)
    }
    return suspects.who({d.number: play(d) for d, play in zip(cases, mine, strict=True)}, kinds)


def test_an_answer_that_does_the_same_to_every_failing_case_is_named(cases) -> None:
    assert named(cases, [wrong, wrong], [wrong, wrong]) == (SUSPECT,)
    assert named(cases, [wrong, wrong], [wrong, right]) == ()


@pytest.mark.parametrize(("mine", "theirs"), [(wrong, out_of_memory), (out_of_memory, wrong)])
def test_running_out_of_memory_where_the_other_is_wrong_hides_no_mistake(cases, mine, theirs) -> None:
    assert named(cases, [wrong, mine], [wrong, theirs]) == (SUSPECT,)


def test_running_out_of_memory_is_no_sign_of_a_mistake_by_itself(cases) -> None:
    """An answer that is right but for its memory is not named after one that is wrong there."""
    assert named(cases, [right, out_of_memory], [right, wrong]) == ()
    assert named(cases, [wrong, out_of_memory], [wrong, right]) == ()
