"""Draw the cases of an exercise and work out what is right for each. Only the judge does this."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from autograder.course.model import Exercise, Limits, Text
from autograder.judge.checks import Case, Checks, Draw, Property

Values = tuple[Tensor, ...]


class CheckError(Exception):
    """A `checks.py` is wrong: the author's mistake, not the student's."""


@dataclass(frozen=True)
class Expected:
    """What is right: float64 by the oracle, and by plain arithmetic in the case's own dtype."""

    oracle: Values
    plain: Values
    single: bool


@dataclass(frozen=True)
class Drawn:
    """One case of one property. `states` holds what is right after each tile, where the property asks for it.

    expected: None where an objection judges.   memory_mib: what a call may use.
    """

    number: int
    property: Property
    case: Case
    expected: Expected | None
    states: tuple[Expected, ...] = ()
    memory_mib: int = Limits().memory_mib

    def objection(self, values: Values) -> Text | None:
        """Ask the property's own rule, where it has one, what is wrong with an answer."""
        return None if self.property.objection is None else self.property.objection(values)


def draw(exercise: Exercise, checks: Checks, seed: int) -> list[Drawn]:
    """Draw every property's cases, in the order of exercise.toml; raise CheckError where checks.py does not fit it."""
    if odd := sorted(exercise.properties.keys() ^ checks.properties.keys()):
        raise CheckError(
            f"{exercise.id}: property {odd[0]!r} stands in only one of exercise.toml and checks.py; add the other half"
        )
    drawn: list[Drawn] = []
    for name, text in exercise.properties.items():
        found, memory_mib = checks.properties[name], text.memory_mib or exercise.limits.memory_mib
        if found.calls is not None and found.calls not in exercise.functions:
            raise CheckError(
                f"{exercise.id}: property {name!r} calls {found.calls!r}, which is none of the exercise's functions: "
                f"{', '.join(exercise.functions)}"
            )
        for case in found.cases(Draw(_seed_of(seed, name))):
            expected, states = _work_out(found, case, checks)
            drawn.append(Drawn(len(drawn), found, case, expected, states, memory_mib))
        if not drawn or drawn[-1].property is not found:
            raise CheckError(f"{exercise.id}: property {name!r} draws no case, so nothing would be checked")
    return drawn


def _seed_of(seed: int, name: str) -> int:
    """Give each property numbers of its own, whichever others there are."""
    return int.from_bytes(hashlib.sha256(f"{seed}:{name}".encode()).digest()[:6])


def _work_out(found: Property, case: Case, checks: Checks) -> tuple[Expected | None, tuple[Expected, ...]]:
    if found.objection is not None:
        return None, ()
    doubled = {name: _double(value) for name, value in case.arguments.items()}
    reference = checks.reference_of(found)
    expected = _expected(reference(**doubled), reference(**case.arguments))
    states: tuple[Expected, ...] = ()
    if found.states:
        assert checks.reference_states is not None, "load_checks demands it"
        oracle, plain = checks.reference_states(**doubled), checks.reference_states(**case.arguments)
        states = tuple(_expected(o, p) for o, p in zip(oracle, plain, strict=True))
    return expected, states


def _double(value: Any) -> Any:
    if isinstance(value, tuple):
        return tuple(_double(entry) for entry in value)
    return value.double() if isinstance(value, Tensor) and value.is_floating_point() else value


def _expected(oracle: Any, plain: Any) -> Expected:
    single = isinstance(oracle, torch.Tensor)
    return Expected(
        (oracle,) if single else tuple(oracle), (plain,) if isinstance(plain, Tensor) else tuple(plain), single
    )
