"""What a `checks.py` is written with: cases, named properties, and the reference that decides.

A `checks.py` holds
    reference(**arguments)      the right answer, for any float dtype: called in float64 as the oracle and in the case's
                                own dtype to learn how large an error plain arithmetic makes (`tilewise.testing`)
    @prop functions             one for each [property.NAME] of exercise.toml: given a Draw, yield cases, smallest first
Cases call the first of the exercise's functions. Where an exercise has several, @prop(calls="NAME") has its cases call
another, and
    reference_NAME(**arguments) is its right answer; without it, `reference` is
and for contract = "state", where the judge calls init, update (once a tile) and finish in processes that share nothing,
    start(**arguments)          the arguments of init
    tiles(**arguments)          a list: the arguments of each update, after the state
    state_bytes(**arguments)    how large the state may be, in bytes
    reference_states(**arguments)   the state after each tile: a list of tuples; read by @prop(states=True) only
    reference then gives what finish returns.
Where exercise.toml names one function alone for that contract, it is the update, and the judge does the rest with
    first_state(**arguments)    the state before the first tile: a tuple of tensors, whose form every update must keep
    finish(state, **arguments)  what the last state comes to; start and state_bytes are not needed

@prop(meter=True) asks for more than right outputs: how much is touched at once. For these cases the worker reports
`largest_temporary`, the largest number of elements that any one torch operator read or produced while the student's
function ran. Operators that only move numbers count for nothing: allocation and filling, views, copies and casts,
cat, stack, pad. The case passes when its outputs are right and the report is at most
    largest_temporary(**arguments)  the allowed number of elements
and a known-wrong solution behaves alike on it when its outputs agree and it, too, reports more than is allowed.

@prop(objection=f) judges by a rule where there is no one right answer: f(values) is given what came back, a tuple of
tensors of any shape and dtype, and returns None, or the Text of what is wrong with it. Known-wrong solutions behave
alike on it when they meet the same objection; the reference is not asked.

A property with a budget of its own ([property.NAME] memory_mib = 64) is played in a process that may take so much more
memory than torch itself has, enforced by the kernel: what does not fit there has not been in memory at once.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any, TypeAlias

import torch

from autograder.course.model import Text

# Tensors may stand in tuples, and these in tuples again: a state (m, l), a list of such parts.
Argument: TypeAlias = "torch.Tensor | int | float | bool | str | tuple[Argument, ...] | None"
Objection = Callable[[tuple[torch.Tensor, ...]], Text | None]


class Case:
    """One input. Arguments are passed by position, in the order written; the names are for the reader of a verdict."""

    def __init__(self, **arguments: Argument) -> None:
        self.arguments = arguments

    @property
    def size(self) -> int:
        """How many numbers the case holds; the smallest failing case is the one that a student is shown."""
        return sum(leaf.numel() if isinstance(leaf, torch.Tensor) else 1 for leaf in self.leaves.values())

    @property
    def is_empty(self) -> bool:
        """Whether it holds no number at all. Such a case is small, but shows the least of a mistake."""
        return self.size == 0

    @property
    def leaves(self) -> dict[str, Any]:
        """The tensors and plain values, tuples opened: `a` gives `a[0]`, `a[1]`, ..."""
        return dict(leaf for name, value in self.arguments.items() for leaf in _leaves(name, value))

    def __str__(self) -> str:
        def describe(value: Argument) -> str:
            if isinstance(value, torch.Tensor):
                return f"{tuple(value.shape)} {str(value.dtype).removeprefix('torch.')}"
            if isinstance(value, tuple):
                return f"({', '.join(map(describe, value))})"
            return repr(value)

        return ", ".join(f"{name}={describe(value)}" for name, value in self.arguments.items())


class Draw:
    """The judge's own source of inputs; the same seed draws the same cases on every machine."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self._generator = torch.Generator().manual_seed(seed)

    def normal(self, *shape: int, scale: float = 1.0, shift: float = 0.0) -> torch.Tensor:
        """Draw float32 numbers of the given shape from N(shift, scale^2)."""
        return torch.randn(*shape, generator=self._generator) * scale + shift

    def integer(self, low: int, high: int) -> int:
        """Draw one integer with low <= n <= high."""
        return int(torch.randint(low, high + 1, (), generator=self._generator))


@dataclass(frozen=True)
class Property:
    """One named property: draws its own cases.

    states: compare the state after every tile as well.   meter: bound the largest temporary as well.
    calls: the function that its cases call; None for the exercise's first.
    objection: what judges in place of the reference, where there is no one right answer.
    """

    name: str
    cases: Callable[[Draw], Iterable[Case]]
    states: bool = False
    meter: bool = False
    calls: str | None = None
    objection: Objection | None = None


@dataclass(frozen=True)
class Checks:
    """A loaded `checks.py`. references: of the functions that have one of their own."""

    properties: dict[str, Property]
    reference: Callable[..., Any]
    references: dict[str, Callable[..., Any]] = field(default_factory=dict)
    start: Callable[..., tuple] | None = None
    tiles: Callable[..., list[tuple]] | None = None
    state_bytes: Callable[..., int] | None = None
    reference_states: Callable[..., list[tuple]] | None = None
    largest_temporary: Callable[..., int] | None = None
    first_state: Callable[..., tuple] | None = None
    finish: Callable[..., torch.Tensor] | None = None

    def reference_of(self, found: Property) -> Callable[..., Any]:
        """Give the reference that decides the cases of a property."""
        return self.references.get(found.calls or "", self.reference)


def prop(
    function: Callable[[Draw], Iterator[Case]] | None = None,
    *,
    states: bool = False,
    meter: bool = False,
    calls: str | None = None,
    objection: Objection | None = None,
) -> Any:
    """Mark a generator of cases as the property of that name."""

    def mark(f: Callable[[Draw], Iterator[Case]]) -> Callable[[Draw], Iterator[Case]]:
        f._property = Property(f.__name__, f, states, meter, calls, objection)  # type: ignore[attr-defined]
        return f

    return mark if function is None else mark(function)


def load_checks(path: Path) -> Checks:
    """Import a `checks.py`; raise ValueError that names what it lacks."""
    spec = importlib.util.spec_from_file_location(f"_checks_{path.parent.parent.name}_{path.parent.name}", path)
    if spec is None or spec.loader is None:
        raise ValueError(f"{path}: is not a Python file")
    module: ModuleType = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    found = [value._property for value in vars(module).values() if hasattr(value, "_property")]
    if not found or not hasattr(module, "reference"):
        raise ValueError(f"{path}: needs a function `reference` and at least one @prop; see autograder/judge/checks.py")
    optional = ("start", "tiles", "state_bytes", "reference_states", "largest_temporary", "first_state", "finish")
    parts = {name: getattr(module, name, None) for name in optional}
    for p in found:
        for flag, needed in ((p.states, "reference_states"), (p.meter, "largest_temporary")):
            if flag and parts[needed] is None:
                raise ValueError(
                    f"{path}: property {p.name!r} needs a function `{needed}`; see autograder/judge/checks.py"
                )
    called = {p.calls for p in found if p.calls}
    references = {name: vars(module)[f"reference_{name}"] for name in called if f"reference_{name}" in vars(module)}
    return Checks({p.name: p for p in found}, module.reference, references, **parts)


def _leaves(name: str, value: Argument) -> Iterator[tuple[str, Any]]:
    if not isinstance(value, tuple):
        yield name, value
    else:
        for place, entry in enumerate(value):
            yield from _leaves(f"{name}[{place}]", entry)
