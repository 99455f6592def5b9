"""How answers are called: once for each case, or tile by tile with the state carried by the judge.

Both contracts play many answers at once (the student's alone; or all known-wrong ones together), and both give the
same thing: for each answer and case, a `Play`.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from torch import Tensor

from autograder.course.model import Exercise
from autograder.judge.checks import Checks
from autograder.judge.drawing import Drawn, Values
from autograder.judge.outcome import DEADLY, End, Outcome
from autograder.judge.sandbox import Call, Limits, Sandbox, Worker

MOST_DEATHS = 3
EVERY_FUNCTION = ""


@dataclass
class Play:
    """What one answer did with one case.

    outcome: how its last call ended.   states: after each tile, with whether the state was a lone tensor.
    where: that call, written as code.
    """

    outcome: Outcome
    where: str = ""
    state_function: str = ""
    states: list[tuple[Values, bool]] = field(default_factory=list)
    operators: frozenset[str] = frozenset()
    largest: int = 0
    printed: str = ""
    printed_loading: str = ""

    def take(self, outcome: Outcome, where: str) -> None:
        self.outcome, self.where = outcome, where
        self.operators |= outcome.operators
        self.largest = max(self.largest, outcome.largest)
        self.printed += outcome.printed
        self.printed_loading = outcome.printed_loading or self.printed_loading


Plays = dict[tuple[str, int], Play]


class Patience:
    """Decides when a function is not worth another call: it is missing, or the answer has hung or died too often."""

    def __init__(self, most_deaths: int) -> None:
        self._most_deaths = most_deaths
        self._deaths: dict[str, int] = {}
        self._dead_properties: set[tuple[str, str]] = set()
        self._final: dict[tuple[str, str], Outcome] = {}
        self._returned: set[tuple[str, str]] = set()

    def verdict_without_calling(self, answer: str, drawn: Drawn, function: str) -> Outcome | None:
        if final := self._final.get((answer, function)) or self._final.get((answer, EVERY_FUNCTION)):
            return final
        hopeless = self._deaths.get(answer, 0) >= self._most_deaths
        if hopeless or (answer, drawn.property.name) in self._dead_properties:
            return Outcome(End.SKIPPED, function)
        return None

    def note(self, answer: str, drawn: Drawn, outcome: Outcome) -> Outcome:
        """Remember how a call ended; give it back, told more exactly where earlier calls help."""
        if outcome.returned:
            self._returned.add((answer, outcome.function))
        if outcome.end is End.NOT_WRITTEN and (answer, outcome.function) in self._returned:
            outcome = replace(outcome, end=End.RAISED)  # it is written, and gives up on this case on purpose
        if outcome.loading:
            self._final[answer, EVERY_FUNCTION] = outcome
        elif outcome.end in (End.NOT_WRITTEN, End.MISSING):
            self._final[answer, outcome.function] = outcome
        if outcome.end in DEADLY:
            self._deaths[answer] = self._deaths.get(answer, 0) + 1
            self._dead_properties.add((answer, drawn.property.name))
        return outcome


class Process:
    """One worker for calls that may share a process; when one of them kills it, the next call gets a fresh one."""

    def __init__(self, sandbox: Sandbox, sources: Sequence[str], limits: Limits) -> None:
        self._sandbox, self._sources, self._limits = sandbox, sources, limits
        self._worker: Worker | None = None
        self._loaded: dict[int, Outcome] = {}

    def __enter__(self) -> Process:
        return self

    def __exit__(self, *_: object) -> None:
        self._end()

    def call(self, call: Call) -> Outcome:
        if self._worker is None:
            self._worker = self._sandbox.worker(self._sources, self._limits)
            self._loaded = {}
        if call.source not in self._loaded:
            self._loaded[call.source] = self._worker.call(Call(call.source, ""))
        loaded = self._loaded[call.source]
        if loaded.returned:
            outcome = replace(self._worker.call(call), printed_loading=loaded.printed)
        else:
            outcome = replace(loaded, function=call.function, loading=True, printed="", printed_loading=loaded.printed)
        if outcome.end in DEADLY:
            self._end()
        return outcome

    def _end(self) -> None:
        if self._worker is not None:
            self._worker.end()
            self._worker = None


@dataclass(frozen=True)
class Contract:
    """What both contracts share. order: shuffles the calls, so that an answer cannot tell cases by their place."""

    sandbox: Sandbox
    exercise: Exercise
    checks: Checks
    order: random.Random

    def play(self, answers: Mapping[str, str], cases: Sequence[Drawn], most_deaths: int = MOST_DEATHS) -> Plays:
        """Play every answer (name -> source) on every case."""
        raise NotImplementedError

    def limits(self, calls: int) -> Limits:
        given = self.exercise.limits
        return Limits(given.seconds, given.memory_mib, calls)

    def shuffled(self, answers: Mapping[str, str], cases: Sequence[Drawn]) -> list[tuple[int, str, Drawn]]:
        pairs = [(number, name, drawn) for number, name in enumerate(answers) for drawn in cases]
        self.order.shuffle(pairs)
        return pairs


class CallContract(Contract):
    """One call of one function for each case.

    Cases are independent and every output is compared, so sharing a process helps no cheat: what one call leaves
    behind can only make a later one differ, and then it is wrong.
    """

    def play(self, answers: Mapping[str, str], cases: Sequence[Drawn], most_deaths: int = MOST_DEATHS) -> Plays:
        patience = Patience(most_deaths)
        plays: Plays = {}
        pairs = self.shuffled(answers, cases)
        with Process(self.sandbox, list(answers.values()), self.limits(len(pairs))) as process:
            for source, name, drawn in pairs:
                function = drawn.property.calls or self.exercise.functions[0]
                outcome = patience.verdict_without_calling(name, drawn, function)
                if outcome is None:
                    call = Call(source, function, tuple(drawn.case.arguments.values()), meter=True)
                    outcome = patience.note(name, drawn, process.call(call))
                play = plays[name, drawn.number] = Play(outcome)
                play.take(outcome, f"{function}({', '.join(drawn.case.arguments)})")
        return plays


class StateContract(Contract):
    """init, update for each tile, finish: every step in a process that has seen no other tile of the case.

    Step k of all cases is played in one process, and step k + 1 in the next, once that one is dead. So no process
    ever holds two tiles of one case, and one pass over the data is a fact. Cases that share their numbers (one row cut
    into tiles of different widths) go into different lanes, or a process could see one case's second tile inside
    another's first.
    """

    def play(self, answers: Mapping[str, str], cases: Sequence[Drawn], most_deaths: int = MOST_DEATHS) -> Plays:
        patience = Patience(most_deaths)
        plays: Plays = {}
        for lane in lanes(cases):
            passages = [Passage(self, source, name, drawn) for source, name, drawn in self.shuffled(answers, lane)]
            under_way = passages
            while under_way:
                with Process(self.sandbox, list(answers.values()), self.limits(len(under_way))) as process:
                    for passage in under_way:
                        passage.step(process, patience)
                under_way = [passage for passage in under_way if not passage.is_over]
                self.order.shuffle(under_way)
            plays |= {(passage.name, passage.drawn.number): passage.play for passage in passages}
        return plays


class Passage:
    """One answer on its way through the tiles of one case."""

    def __init__(self, contract: StateContract, source: int, name: str, drawn: Drawn) -> None:
        checks, arguments = contract.checks, drawn.case.arguments
        # The engine refuses a state contract without these three.
        assert checks.start is not None
        assert checks.tiles is not None
        assert checks.state_bytes is not None
        self._init, self._update, self._finish = contract.exercise.functions
        self._source, self.name, self.drawn = source, name, drawn
        self._tiles = [tuple(tile) for tile in checks.tiles(**arguments)]
        self._start = tuple(checks.start(**arguments))
        self._most_bytes = checks.state_bytes(**arguments)
        self._position = 0
        self._state: Any = None
        self.is_over = False
        self.play = Play(Outcome(End.SKIPPED, self._init), state_function=self._update)

    def step(self, process: Process, patience: Patience) -> None:
        """Make the next call."""
        function, arguments, where = self._next()
        outcome = patience.verdict_without_calling(self.name, self.drawn, function)
        if outcome is None:
            outcome = process.call(Call(self._source, function, arguments, meter=True))
            if outcome.returned and function != self._finish:
                outcome = self._weighed(outcome)
            outcome = patience.note(self.name, self.drawn, outcome)
        self.play.take(outcome, where)
        if outcome.returned and function == self._update:
            self.play.states.append((outcome.values, outcome.single))
        self._state = outcome.values[0] if outcome.single and outcome.values else outcome.values
        self._position += 1
        self.is_over = not outcome.returned or function == self._finish

    def _next(self) -> tuple[str, tuple[Any, ...], str]:
        if self._position == 0:
            return self._init, self._start, f"{self._init}(...)"
        if self._position <= len(self._tiles):
            number = self._position - 1
            return self._update, (self._state, *self._tiles[number]), f"{self._update}(state, tile {number})"
        return self._finish, (self._state,), f"{self._finish}(state)"

    def _weighed(self, outcome: Outcome) -> Outcome:
        got = sum(value.numel() * value.element_size() for value in outcome.values)
        if got <= self._most_bytes:
            return outcome
        return outcome.but(End.STATE_TOO_LARGE, f"{got} bytes > {self._most_bytes} bytes")


def lanes(cases: Sequence[Drawn]) -> Iterator[list[Drawn]]:
    """Split the cases so that within a lane no two share the memory of a tensor."""
    rows: list[tuple[list[Drawn], set[int]]] = []
    for drawn in cases:
        places = {
            value.untyped_storage().data_ptr()
            for value in drawn.case.leaves.values()
            if isinstance(value, Tensor) and value.numel()
        }
        for lane, taken in rows:
            if not places & taken:
                lane.append(drawn)
                taken |= places
                break
        else:
            rows.append(([drawn], set(places)))
    return (lane for lane, _ in rows)
