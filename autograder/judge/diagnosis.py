"""Name the mistake: the known-wrong solution that does the same to every failing case, or two that do so together."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations

import torch
from torch import Tensor

from autograder.judge.contracts import Contract, Play, Plays
from autograder.judge.drawing import Drawn, Expected, Values
from autograder.judge.outcome import End
from autograder.judge.scoring import Rules, allowance, judge_play
from autograder.judge.verdict import Kind
from tilewise import testing

# Two programs with one mistake round differently. An answer is taken for a known-wrong one's when it is this many
# times nearer to it than to what is right.
NEARER = 1000
TELLING = {End.RETURNED, End.RAISED, End.REFUSED, End.OUT_OF_MEMORY, End.STATE_TOO_LARGE, End.TOO_SLOW}
MOST_KEPT = 64
# Cases of so many numbers may take known-wrong solutions a noticeable time.
LARGE = 4096


@dataclass
class Memory:
    """What known-wrong solutions did, so that a class of answers to one seed runs them once."""

    plays: dict[str, dict[tuple[str, int], Play]] = field(default_factory=dict)

    def of(self, key: str) -> dict[tuple[str, int], Play]:
        while len(self.plays) > MOST_KEPT:
            self.plays.pop(next(iter(self.plays)))
        return self.plays.setdefault(key, {})


@dataclass(frozen=True)
class Suspects:
    """The known-wrong solutions of one exercise, and the cases of one seed."""

    contract: Contract
    sources: Mapping[str, str]
    drawn: Sequence[Drawn]
    at_once: Mapping[int, int]
    rules: Rules
    known: Plays

    def who(self, plays: Mapping[int, Play], kinds: Mapping[int, Kind]) -> tuple[str, ...]:
        """Give the name of the one that behaves alike, or two names, or none.

        plays, kinds: the student's, by the case's number.
        """
        failing = [d for d in self.drawn if kinds[d.number] not in (Kind.PASSED, Kind.NOT_RUN, Kind.NOT_STARTED)]
        if not failing or not all(plays[d.number].outcome.end in TELLING for d in failing):
            return ()
        if any(plays[d.number].outcome.loading for d in failing):
            return ()
        failing.sort(key=lambda d: d.case.size)
        for names in self._waves(failing[0], kinds):
            alike = self._alike(names, failing, plays)
            if len(alike) > 1:
                alike = self._same_properties(alike, kinds) or alike
            if alike:
                return (alike[0],)
        return self._two(failing, plays, kinds)

    def _two(self, failing: Sequence[Drawn], plays: Mapping[int, Play], kinds: Mapping[int, Kind]) -> tuple[str, ...]:
        """Give two that together fail what the answer fails; wherever one of them fails, the answer does the same.

        The one that fails the smallest case comes first. Where two mistakes meet in one case, its numbers are those
        of neither, and this gives none.
        """
        consistent = list(self.sources)
        run = [d for d in self.drawn if kinds[d.number] not in (Kind.NOT_RUN, Kind.NOT_STARTED)]
        for cases in ([d for d in run if d.case.size < LARGE], [d for d in run if d.case.size >= LARGE]):
            self._play(consistent, cases)
            consistent = [
                name
                for name in consistent
                if all(
                    self._passes(name, d) or (d in failing and self._is_alike(name, d, plays[d.number])) for d in cases
                )
            ]
        fails = {name: {d.number for d in failing if not self._passes(name, d)} for name in consistent}
        for pair in combinations(fails, 2):
            if fails[pair[0]] | fails[pair[1]] == {d.number for d in failing}:
                return pair if failing[0].number in fails[pair[0]] else pair[::-1]
        return ()

    def _waves(self, smallest: Drawn, kinds: Mapping[int, Kind]) -> Iterator[list[str]]:
        """Give the names in the order in which they are worth a call.

        Where even the smallest failing case is large, those come first that are right where the student's answer is.
        """
        names = list(self.sources)
        passed = [d for d in self.drawn if kinds[d.number] is Kind.PASSED and d.case.size < LARGE]
        if smallest.case.size < LARGE or not passed:
            yield names
            return
        self._play(names, passed)
        plausible = [name for name in names if all(self._passes(name, d) for d in passed)]
        yield plausible
        yield [name for name in names if name not in plausible]

    def _alike(self, names: list[str], failing: list[Drawn], plays: Mapping[int, Play]) -> list[str]:
        """Keep those that do the same to every failing case. Most fall at the smallest, and never see the others."""
        self._play(names, failing[:1])
        names = [name for name in names if self._is_alike(name, failing[0], plays[failing[0].number])]
        self._play(names, failing[1:])
        return [
            name
            for name in names
            if all(
                self._is_alike(name, d, plays[d.number]) or self._ran_out(name, d, plays[d.number]) for d in failing[1:]
            )
        ]

    def _ran_out(self, name: str, drawn: Drawn, mine: Play) -> bool:
        """Whether one of the two ran out of memory where the other is wrong: at the edge chance decides, so no sign."""
        ends = {mine.outcome.end, self.known[name, drawn.number].outcome.end}
        return ends == {End.RETURNED, End.OUT_OF_MEMORY} and not self._passes(name, drawn)

    def _passes(self, name: str, drawn: Drawn) -> bool:
        play = self.known[name, drawn.number]
        return judge_play(drawn, play, self.at_once.get(drawn.number), self.rules).kind is Kind.PASSED

    def _play(self, names: Mapping[str, str] | Sequence[str], cases: Sequence[Drawn]) -> None:
        missing = {n: self.sources[n] for n in names if any((n, d.number) not in self.known for d in cases)}
        if missing:
            wanted = [d for d in cases if any((n, d.number) not in self.known for n in missing)]
            # One death is enough to know how a known-wrong solution ends.
            self.known.update(self.contract.play(missing, wanted, most_deaths=1))

    def _same_properties(self, names: Sequence[str], kinds: Mapping[int, Kind]) -> list[str]:
        """Keep those that fail the same properties as the student's answer."""
        self._play(names, self.drawn)
        mine = {d.property.name for d in self.drawn if kinds[d.number] is not Kind.PASSED}

        def failed(name: str) -> set[str]:
            return {d.property.name for d in self.drawn if not self._passes(name, d)}

        return [name for name in names if failed(name) == mine]

    def _is_alike(self, name: str, drawn: Drawn, mine: Play) -> bool:
        theirs = self.known[name, drawn.number]
        a, b = mine.outcome, theirs.outcome
        if not (a.returned and b.returned):
            return (a.end, a.function, a.error_type) == (b.end, b.function, b.error_type)
        if (allowed := self.at_once.get(drawn.number)) is not None and (mine.largest > allowed) != (
            theirs.largest > allowed
        ):
            return False
        for number, right in enumerate(drawn.states):
            if not _values_alike(mine.states[number], theirs.states[number], right):
                return False
        if drawn.expected is None:
            return (objection := drawn.objection(a.values)) is not None and objection == drawn.objection(b.values)
        return _values_alike((a.values, a.single), (b.values, b.single), drawn.expected)


def key_of(exercise: str, seed: int, sources: Mapping[str, str], texts: Sequence[str]) -> str:
    """Give the key under which the plays may be kept: everything that they depend on."""
    text = "\0".join([exercise, str(seed), *texts, *(f"{k}\0{v}" for k, v in sorted(sources.items()))])
    return hashlib.sha256(text.encode()).hexdigest()


def _values_alike(mine: tuple[Values, bool], theirs: tuple[Values, bool], right: Expected) -> bool:
    if mine[1] != theirs[1] or len(mine[0]) != len(theirs[0]):
        return False
    oracles: Sequence[Tensor | None] = right.oracle if len(right.oracle) == len(mine[0]) else [None] * len(mine[0])
    plains: Sequence[Tensor | None] = right.plain if len(right.plain) == len(mine[0]) else [None] * len(mine[0])
    return all(_is_near(*each) for each in zip(mine[0], theirs[0], oracles, plains, strict=True))


def _is_near(mine: Tensor, theirs: Tensor, oracle: Tensor | None, plain: Tensor | None) -> bool:
    if mine.shape != theirs.shape or mine.dtype != theirs.dtype:
        return False
    if mine.numel() == 0:
        return True
    allowed = allowance(theirs.double(), theirs)
    if oracle is not None and plain is not None and oracle.shape == mine.shape:
        off = testing.errors(mine, oracle)
        off = off[torch.isfinite(off)]
        allowed += allowance(oracle, plain) + (float(off.max()) / NEARER if off.numel() else 0.0)
    return bool((testing.errors(mine, theirs) <= allowed).all())
