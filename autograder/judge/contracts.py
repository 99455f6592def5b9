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

MOST_DEATHS = 2  # a loop that never ends costs the learner two time limits, not one for each property
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
            # Who waits for what never comes has made no mistake that another case could tell more of; and a swarm
            # takes many times its limit to count and to end.
            more = self._most_deaths if outcome.end is End.IDLE or outcome.swarm else 1
            self._deaths[answer] = self._deaths.get(answer, 0) + more
            self._dead_properties.add((answer, drawn.property.name))
        return outcome


@dataclass(frozen=True)
class Turn:
    """One call to make: of which answer, on which case, and how to write it down."""

    name: str
    drawn: Drawn
    call: Call
    where: str


def take_turns(
    contract: Contract, answers: Mapping[str, str], turns: Sequence[Turn], patience: Patience
) -> Iterator[tuple[int, Outcome]]:
    """Make the calls in one process, and give the turns' numbers and outcomes; after a death the rest gets a new one.

    Each cell is run before its first call.
    """
    left = list(range(len(turns)))
    while left:
        undecided = []
        for number in left:
            turn = turns[number]
            known = patience.verdict_without_calling(turn.name, turn.drawn, turn.call.function)
            if known is None:
                undecided.append(number)
            else:
                yield number, known
        left = undecided
        if not left:
            return
        # All turns of one call have one budget: it holds for a whole process.
        limits = contract.limits(len(turns), turns[0].drawn.memory_mib)
        with contract.sandbox.worker(list(answers.values()), limits, contract.given) as worker:
            for number, outcome in _until_death(worker, turns, tuple(left)):
                left.remove(number)
                yield number, patience.note(turns[number].name, turns[number].drawn, outcome)


def _until_death(worker: Worker, turns: Sequence[Turn], numbers: Sequence[int]) -> Iterator[tuple[int, Outcome]]:
    loads = list(dict.fromkeys(turns[number].call.source for number in numbers))
    outcomes = worker.calls([*(Call(source, "") for source in loads), *(turns[number].call for number in numbers)])
    loaded = {}
    for source in loads:
        loaded[source] = next(outcomes)
        if loaded[source].end in DEADLY:  # blame the first answer that needed this cell; the others are asked again
            first = next(number for number in numbers if turns[number].call.source == source)
            yield first, _not_loaded(loaded[source], turns[first])
            return
    for number, outcome in zip(numbers, outcomes, strict=False):
        cell = loaded[turns[number].call.source]
        outcome = replace(outcome, printed_loading=cell.printed) if cell.returned else _not_loaded(cell, turns[number])
        yield number, outcome
        if outcome.end in DEADLY:
            return


def _not_loaded(cell: Outcome, turn: Turn) -> Outcome:
    return replace(cell, function=turn.call.function, loading=True, printed="", printed_loading=cell.printed)


@dataclass(frozen=True)
class Contract:
    """What both contracts share.

    order: shuffles the calls, so that an answer cannot tell cases by their place.   given: the solutions of earlier
    exercises that this one builds on.   switched_off: operators of torch's that raise where the answers run.
    """

    sandbox: Sandbox
    exercise: Exercise
    checks: Checks
    order: random.Random
    given: tuple[str, ...] = ()
    switched_off: tuple[tuple[str, tuple[str, ...]], ...] = ()

    def play(self, answers: Mapping[str, str], cases: Sequence[Drawn], most_deaths: int = MOST_DEATHS) -> Plays:
        """Play every answer (name -> source) on every case."""
        patience = Patience(most_deaths)
        plays: Plays = {}
        for memory_mib in dict.fromkeys(drawn.memory_mib for drawn in cases):
            plays |= self._play(answers, [d for d in cases if d.memory_mib == memory_mib], patience)
        return plays

    def _play(self, answers: Mapping[str, str], cases: Sequence[Drawn], patience: Patience) -> Plays:
        """Play cases of one memory budget."""
        raise NotImplementedError

    def limits(self, calls: int, memory_mib: int) -> Limits:
        return Limits(self.exercise.limits.seconds, memory_mib, calls, self.switched_off)

    def shuffled(self, answers: Mapping[str, str], cases: Sequence[Drawn]) -> list[tuple[int, str, Drawn]]:
        pairs = [(number, name, drawn) for number, name in enumerate(answers) for drawn in cases]
        self.order.shuffle(pairs)
        return pairs


class CallContract(Contract):
    """One call of one function for each case.

    Cases are independent and every output is compared, so sharing a process helps no cheat: what one call leaves
    behind can only make a later one differ, and then it is wrong.
    """

    def _play(self, answers: Mapping[str, str], cases: Sequence[Drawn], patience: Patience) -> Plays:
        turns = []
        for source, name, drawn in self.shuffled(answers, cases):
            function = drawn.property.calls or self.exercise.functions[0]
            call = Call(source, function, tuple(drawn.case.arguments.values()), meter=True)
            turns.append(Turn(name, drawn, call, f"{function}({', '.join(drawn.case.arguments)})"))
        plays: Plays = {}
        for number, outcome in take_turns(self, answers, turns, patience):
            turn = turns[number]
            play = plays[turn.name, turn.drawn.number] = Play(outcome)
            play.take(outcome, turn.where)
        return plays


class StateContract(Contract):
    """init, update for each tile, finish: every step in a process that has seen no other tile of the case.

    An exercise may ask for the update alone; then the judge makes the first state and finishes, and in between it only
    takes states of the first one's form.

    Step k of all cases is played in one process, and step k + 1 in the next, once that one is dead. So no process
    ever holds two tiles of one case, and one pass over the data is a fact. Cases that share their numbers (one row cut
    into tiles of different widths) go into different lanes, or a process could see one case's second tile inside
    another's first.
    """

    def _play(self, answers: Mapping[str, str], cases: Sequence[Drawn], patience: Patience) -> Plays:
        plays: Plays = {}
        for lane in lanes(cases):
            passages = [Passage(self, source, name, drawn) for source, name, drawn in self.shuffled(answers, lane)]
            under_way = passages
            while under_way:
                turns = [passage.next_turn() for passage in under_way]
                for number, outcome in take_turns(self, answers, turns, patience):
                    under_way[number].take(outcome, turns[number])
                under_way = [passage for passage in under_way if not passage.is_over]
                self.order.shuffle(under_way)
            plays |= {(passage.name, passage.drawn.number): passage.play for passage in passages}
        return plays


@dataclass(frozen=True)
class Step:
    """One call on the way. arguments: those after the state, where it takes one."""

    function: str
    where: str
    arguments: tuple[Any, ...] = ()
    takes_state: bool = True
    gives_state: bool = True


class Passage:
    """One answer on its way through the tiles of one case."""

    def __init__(self, contract: StateContract, source: int, name: str, drawn: Drawn) -> None:
        self._checks, self._source, self.name, self.drawn = contract.checks, source, name, drawn
        functions, arguments = contract.exercise.functions, drawn.case.arguments
        self._judge_ends = len(functions) == 1
        self._update = functions[0] if self._judge_ends else functions[1]
        # The engine refuses a state contract without the parts that are called here.
        tiles = enumerate(self._checks.tiles(**arguments))  # type: ignore[misc]
        steps = [Step(self._update, f"{self._update}(state, tile {number})", tuple(tile)) for number, tile in tiles]
        self._state: Any = ()
        if self._judge_ends:
            self._state = self._first = tuple(self._checks.first_state(**arguments))  # type: ignore[misc]
            self._most_bytes = _bytes(self._first)
        else:
            init, _, finish = functions
            begin = tuple(self._checks.start(**arguments))  # type: ignore[misc]
            steps.insert(0, Step(init, f"{init}(...)", begin, takes_state=False))
            steps.append(Step(finish, f"{finish}(state)", gives_state=False))
            self._most_bytes = self._checks.state_bytes(**arguments)  # type: ignore[misc]
        self._steps = iter(steps)
        self._step = next(self._steps)
        self.is_over = False
        self.play = Play(Outcome(End.SKIPPED, self._step.function), state_function=self._update)

    def next_turn(self) -> Turn:
        """The call that comes next: init, update with each tile, finish."""
        step = self._step
        arguments = (self._state, *step.arguments) if step.takes_state else step.arguments
        return Turn(self.name, self.drawn, Call(self._source, step.function, arguments, meter=True), step.where)

    def take(self, outcome: Outcome, turn: Turn) -> None:
        """Carry on with what that call gave."""
        if outcome.returned and self._step.gives_state:
            outcome = self._weighed(outcome)
        self.play.take(outcome, turn.where)
        if outcome.returned and turn.call.function == self._update:
            self.play.states.append((outcome.values, outcome.single))
        self._state = outcome.values[0] if outcome.single and outcome.values else outcome.values
        following = next(self._steps, None) if outcome.returned else None
        if following is not None:
            self._step = following
            return
        self.is_over = True
        if outcome.returned and self._judge_ends:
            result = self._checks.finish(self._state, **self.drawn.case.arguments)  # type: ignore[misc]
            self.play.outcome, self.play.where = replace(outcome, values=(result,), single=True), "result"

    def _weighed(self, outcome: Outcome) -> Outcome:
        got = _bytes(outcome.values)
        if got > self._most_bytes:
            return outcome.but(End.STATE_TOO_LARGE, f"{got} bytes > {self._most_bytes} bytes")
        # Where the judge itself computes with the state, it must know its form.
        if self._judge_ends and (outcome.single or _form(outcome.values) != _form(self._first)):
            return outcome.but(End.STATE_MISSHAPEN, f"{_form(outcome.values)} != {_form(self._first)}")
        return outcome


def _bytes(values: Values) -> int:
    return sum(value.numel() * value.element_size() for value in values)


def _form(values: Values) -> str:
    forms = (f"{tuple(value.shape)} {str(value.dtype).removeprefix('torch.')}" for value in values)
    return f"({', '.join(forms)})"


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
