"""Compare what came back with what is right, by `tilewise.testing`. Only the judge does this."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from autograder.course.model import Text
from autograder.judge import messages
from autograder.judge.contracts import Play
from autograder.judge.drawing import Drawn, Expected, Values
from autograder.judge.forbidden import seen_operators
from autograder.judge.picture import picture_of
from autograder.judge.printable import one_line, printable
from autograder.judge.verdict import Kind
from tilewise import testing

LONGEST_ARRAY = 24


@dataclass(frozen=True)
class Finding:
    """How one case went. headline: None where the property's own text says it best."""

    kind: Kind
    headline: Text | None = None
    where: str = ""
    error: str = ""
    expected: str = ""
    got: str = ""
    picture: str = ""


PASSED = Finding(Kind.PASSED)


@dataclass(frozen=True)
class Rules:
    """What holds for all cases of an exercise. secret: the inputs must not show through a headline."""

    source: str
    seconds: float
    forbidden: tuple[str, ...]
    secret: bool


def judge_play(drawn: Drawn, play: Play, allowed_at_once: int | None, rules: Rules) -> Finding:
    """Judge one case; the first thing that is wrong counts."""
    outcome = play.outcome
    if used := seen_operators(play.operators, rules.forbidden):
        return Finding(Kind.FORBIDDEN, messages.forbidden_operators(used))
    if not outcome.returned:
        said = messages.ended(outcome, rules.source, rules.seconds, drawn.memory_mib)
        return Finding(outcome.kind, said, where=play.where, error=one_line(outcome.detail))
    for number, (state, expected) in enumerate(zip(play.states, drawn.states, strict=False)):
        finding = _compare(play.state_function, f"{play.state_function}(state, tile {number})", state, expected, rules)
        if finding.kind is not Kind.PASSED:
            return finding
    final = _judge_result(drawn, play, rules)
    if final.kind is not Kind.PASSED:
        return final
    if allowed_at_once is not None and play.largest > allowed_at_once:
        told = (None, None) if rules.secret else (play.largest, allowed_at_once)
        return Finding(
            Kind.MEMORY_LIMIT, messages.too_much_at_once(*told), play.where, f"{play.largest} > {allowed_at_once}"
        )
    return PASSED


def _judge_result(drawn: Drawn, play: Play, rules: Rules) -> Finding:
    outcome = play.outcome
    if drawn.expected is not None:
        return _compare(outcome.function, play.where, (outcome.values, outcome.single), drawn.expected, rules)
    objection = drawn.objection(outcome.values)
    if objection is None:
        return PASSED
    got = printable("\n".join(printed(value) for value in outcome.values), lines=LONGEST_ARRAY)
    return Finding(Kind.WRONG, objection, play.where, got=got)


def _compare(function: str, where: str, got: tuple[Values, bool], expected: Expected, rules: Rules) -> Finding:
    values, single = got
    if single != expected.single or len(values) != len(expected.oracle):
        told = _count(expected.oracle, expected.single), _count(values, single)
        said = messages.wrong_count(function, told[0], "something else" if rules.secret else told[1])
        return Finding(Kind.WRONG, said, where, expected=told[0], got=told[1])
    for number, (value, oracle, plain) in enumerate(zip(values, expected.oracle, expected.plain, strict=True)):
        finding = _compare_one(function, where if single else f"{where}[{number}]", value, oracle, plain, rules)
        if finding.kind is not Kind.PASSED:
            return finding
    return PASSED


def _compare_one(function: str, where: str, value: Tensor, oracle: Tensor, plain: Tensor, rules: Rules) -> Finding:
    if value.shape != oracle.shape:
        shapes = str(tuple(oracle.shape)), str(tuple(value.shape))
        said = messages.wrong_shape(function, None if rules.secret else shapes)
        return Finding(Kind.WRONG, said, where, expected=f"shape {shapes[0]}", got=f"shape {shapes[1]}")
    if value.dtype != plain.dtype:
        names = _dtype(plain), _dtype(value)
        return Finding(Kind.PROTOCOL, messages.wrong_dtype(function, *names), where, expected=names[0], got=names[1])
    allowed = allowance(oracle, plain)
    wrong_by = testing.errors(value, oracle)
    too_far = ~(wrong_by <= allowed)
    if not bool(too_far.any()):
        return PASSED
    first = tuple(int(i) for i in too_far.nonzero()[0])
    place = f"[{', '.join(map(str, first))}]" if first else ""
    return Finding(
        Kind.WRONG,
        None,
        where=f"{where}{place}",
        error=f"max |error| = {float(wrong_by.max()):.2g} > {allowed:.2g} · ✗ {int(too_far.sum())} / {too_far.numel()}",
        expected=printed(oracle.to(plain.dtype)),
        got=printed(value),
        picture=picture_of(too_far),
    )


def allowance(oracle: Tensor, plain: Tensor) -> float:
    """Give the error budget; whole numbers and truth values have none."""
    return testing.allowed_error(oracle, plain) if plain.is_floating_point() else 0.0


def printed(value: object) -> str:
    """Write an argument or an answer for a person, shortened."""
    if not isinstance(value, Tensor):
        return one_line(repr(value))
    torch.set_printoptions(precision=4, threshold=64, edgeitems=3, linewidth=100, sci_mode=None)
    text = str(value).removeprefix("tensor(").removesuffix(")").replace("\n       ", "\n")
    return printable(f"{text}  # shape {tuple(value.shape)}" if value.ndim else text, lines=LONGEST_ARRAY)


def _count(values: Values, single: bool) -> str:
    return "one tensor" if single else f"a tuple of {len(values)}"


def _dtype(value: Tensor) -> str:
    return str(value.dtype).removeprefix("torch.")
