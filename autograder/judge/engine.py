"""The judge proper: draws inputs, has the answer run in workers, compares, and says what it found."""

from __future__ import annotations

import random
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from autograder.course.model import Exercise, slug_of
from autograder.course.reading import load_exercise
from autograder.judge import messages
from autograder.judge.checks import Checks, load_checks
from autograder.judge.contracts import CallContract, Contract, Play, StateContract
from autograder.judge.diagnosis import Memory, Suspects, key_of
from autograder.judge.drawing import CheckError, Drawn, draw
from autograder.judge.forbidden import operators_of, used_names
from autograder.judge.outcome import End
from autograder.judge.printable import printable
from autograder.judge.sandbox import Sandbox
from autograder.judge.scoring import PASSED, Finding, Rules, judge_play, printed
from autograder.judge.verdict import TOGETHER, Counterexample, Kind, PropertyResult, Verdict

MAX_SOURCE = 200_000
LONGEST_ERROR = 40
# By how many functions the student writes: init, update and finish, or the update alone.
STATE_PARTS = {3: ("start", "tiles", "state_bytes"), 1: ("first_state", "tiles", "finish")}


def find_exercise(course: Path, exercise_id: str) -> Exercise:
    """Read the one exercise; the rest of the course may be broken meanwhile. Raises CheckError or CourseError."""
    chapter, _, name = exercise_id.partition(".")
    folders = [f for f in course.iterdir() if f.is_dir() and slug_of(f.name) == chapter] if course.is_dir() else []
    for folder in folders:
        if (folder / name / "exercise.toml").is_file():
            return load_exercise(folder / name)
    known = sorted(f"{slug_of(f.parent.parent.name)}.{f.parent.name}" for f in course.glob("*/*/exercise.toml"))
    raise CheckError(f"there is no exercise {exercise_id!r} in {course}; there are: {', '.join(known) or 'none'}")


class Engine:
    """Judges answers to the exercises of one course, in one sandbox."""

    def __init__(self, course: Path, sandbox: Sandbox) -> None:
        self._course, self._sandbox, self._memory = course, sandbox, Memory()

    def verdict(self, exercise_id: str, source: str, seed: int, *, secret: bool) -> Verdict:
        """Judge the text of one cell. Raises CheckError, CourseError or SandboxError when the judge cannot."""
        started = time.monotonic()
        exercise = find_exercise(self._course, exercise_id)
        rules = Rules(source, exercise.limits.seconds, exercise.forbidden, secret=secret)
        found = self._judge(exercise, source, seed, rules)
        return found.model_copy(
            update={"rung": str(self._sandbox.rung), "seconds": round(time.monotonic() - started, 4)}
        )

    def _judge(self, exercise: Exercise, source: str, seed: int, rules: Rules) -> Verdict:
        if not source.strip():
            return whole(exercise, Finding(Kind.NOT_STARTED, messages.empty()))
        source = source.encode(errors="replace").decode()
        if len(source) > MAX_SOURCE:
            return whole(exercise, Finding(Kind.RAISED, messages.too_long(MAX_SOURCE)))
        if used := used_names(source, exercise.forbidden):
            return whole(exercise, Finding(Kind.FORBIDDEN, messages.forbidden(used)))
        given = tuple(
            find_exercise(self._course, earlier).solution_path.read_text(encoding="utf-8") for earlier in exercise.given
        )
        return Judgement(self._sandbox, exercise, given, seed, rules, self._memory).of(source)


class Judgement:
    """One exercise under one seed. given: the texts of the solutions that it builds on."""

    def __init__(
        self, sandbox: Sandbox, exercise: Exercise, given: tuple[str, ...], seed: int, rules: Rules, memory: Memory
    ) -> None:
        self._exercise, self._seed, self._rules, self._memory = exercise, seed, rules, memory
        self._rung = sandbox.rung
        try:
            checks = load_checks(exercise.checks_path)
            self._drawn = draw(exercise, checks, seed)
            self._at_once = at_once(checks, self._drawn)
        except CheckError:
            raise
        except Exception as error:
            raise CheckError(f"{exercise.checks_path}: {type(error).__name__}: {error}") from error
        self._contract = _contract(sandbox, exercise, checks, seed, given)
        # Known-wrong answers are the course's own, and may use what a learner has to build.
        self._strict = replace(self._contract, switched_off=operators_of(exercise.forbidden))

    def of(self, source: str) -> Verdict:
        plays = self._plays(source)
        findings = {
            d.number: judge_play(d, plays[d.number], self._at_once.get(d.number), self._rules) for d in self._drawn
        }
        failing = [d for d in self._drawn if findings[d.number].kind not in (Kind.PASSED, Kind.NOT_RUN)]
        if not failing:
            return self._passed(plays)
        if (number := speaks_for_all(findings)) is not None:
            return whole(self._exercise, findings[number], plays[number])
        # Of several functions one may be written and another not yet: what is written is told of first.
        written = [d for d in failing if findings[d.number].kind is not Kind.NOT_STARTED]
        shown = min(written or failing, key=lambda d: (d.case.is_empty, d.case.size, d.number))
        kinds = {number: finding.kind for number, finding in findings.items()}
        mistakes = self._suspects().who(plays, kinds)
        finding = findings[shown.number]
        headline = finding.headline or messages.wrong(self._exercise.properties[shown.property.name])
        if finding.kind is Kind.WRONG and self._is_right_alone(source, shown):
            mistakes, headline = (), messages.wrong_only_when_repeated(plays[shown.number].outcome.function)
        results = self._results(findings)
        play = plays[shown.number]
        return Verdict(
            exercise=self._exercise.id,
            kind=finding.kind,
            points=sum(result.points for result in results),
            max_points=self._exercise.points,
            properties=results,
            headline=headline,
            mistake=TOGETHER.join(mistakes) or None,
            diagnosis=messages.mistakes([self._exercise.wrong[name] for name in mistakes]),
            counterexample=self._counterexample(shown, finding) if written else None,
            error=_error(play),
            printed=play.printed_loading + play.printed,
        )

    @property
    def _proves_nothing(self) -> bool:
        """Whether the calls of a state contract could have shared more than the state."""
        return isinstance(self._contract, StateContract) and not self._rung.separates_calls

    def _plays(self, source: str) -> dict[int, Play]:
        plays = self._strict.play({"answer": source}, self._drawn)
        return {number: play for (_, number), play in plays.items()}

    def _is_right_alone(self, source: str, drawn: Drawn) -> bool:
        """Call it once more on this case alone, in a fresh process. The state contract has no other calls anyway."""
        if isinstance(self._contract, StateContract):
            return False
        alone = self._strict.play({"answer": source}, [drawn])["answer", drawn.number]
        return judge_play(drawn, alone, self._at_once.get(drawn.number), self._rules).kind is Kind.PASSED

    def _suspects(self) -> Suspects:
        exercise = self._exercise
        files = exercise.variants("wrong")
        sources = {name: files[name].read_text(encoding="utf-8") for name in exercise.wrong if name in files}
        texts = [exercise.checks_path.read_text(encoding="utf-8"), *self._contract.given]
        key = key_of(exercise.id, self._seed, sources, texts)
        return Suspects(self._contract, sources, self._drawn, self._at_once, self._rules, self._memory.of(key))

    def _passed(self, plays: Mapping[int, Play]) -> Verdict:
        smallest = min(self._drawn, key=lambda d: (d.case.size, d.number))
        play = plays[smallest.number]
        if self._proves_nothing:
            return whole(self._exercise, Finding(Kind.NOT_PROVEN, messages.not_proven()), play)
        results = self._results({d.number: PASSED for d in self._drawn})
        return Verdict(
            exercise=self._exercise.id,
            kind=Kind.PASSED,
            points=self._exercise.points,
            max_points=self._exercise.points,
            properties=results,
            headline=messages.passed(len(results)),
            printed=play.printed_loading + play.printed,
        )

    def _results(self, findings: Mapping[int, Finding]) -> tuple[PropertyResult, ...]:
        results = []
        for name, text in self._exercise.properties.items():
            kinds = [findings[d.number].kind for d in self._drawn if d.property.name == name]
            failed = [kind for kind in kinds if kind is not Kind.PASSED]
            # How it failed says more than that the rest was left out.
            kind = next((k for k in failed if k is not Kind.NOT_RUN), failed[0] if failed else Kind.PASSED)
            if kind is Kind.PASSED and self._proves_nothing:
                kind = Kind.NOT_PROVEN
            points = text.points if kind is Kind.PASSED else 0.0
            results.append(PropertyResult(name=name, text=text, kind=kind, points=points, max_points=text.points))
        return tuple(results)

    def _counterexample(self, drawn: Drawn, finding: Finding) -> Counterexample:
        return Counterexample(
            property=drawn.property.name,
            case=str(drawn.case),
            inputs={name: printed(value) for name, value in drawn.case.leaves.items()},
            expected=finding.expected,
            got=finding.got,
            where=finding.where,
            error=finding.error,
            seed=self._seed,
            picture=finding.picture,
        )


def whole(exercise: Exercise, finding: Finding, play: Play | None = None) -> Verdict:
    """Give the same end to every property, and no points."""
    assert finding.headline is not None
    results = tuple(
        PropertyResult(name=name, text=text, kind=finding.kind, points=0.0, max_points=text.points)
        for name, text in exercise.properties.items()
    )
    return Verdict(
        exercise=exercise.id,
        kind=finding.kind,
        points=0.0,
        max_points=exercise.points,
        properties=results,
        headline=finding.headline,
        error=_error(play) if play else "",
        printed=play.printed_loading + play.printed if play else "",
    )


def speaks_for_all(findings: Mapping[int, Finding]) -> int | None:
    """Give the case whose end is that of the whole answer: it uses what is forbidden, or nothing is written yet."""
    for number, finding in findings.items():
        if finding.kind is Kind.FORBIDDEN:
            return number
    nothing_written = all(finding.kind is Kind.NOT_STARTED for finding in findings.values())
    return min(findings) if nothing_written else None


def at_once(checks: Checks, drawn: list[Drawn]) -> dict[int, int]:
    """Give, for the cases of metered properties, how many elements one operator may touch."""
    return {
        d.number: checks.largest_temporary(**d.case.arguments)
        for d in drawn
        if d.property.meter and checks.largest_temporary is not None
    }


def _contract(sandbox: Sandbox, exercise: Exercise, checks: Checks, seed: int, given: tuple[str, ...]) -> Contract:
    order = random.Random(seed)
    if exercise.contract == "call":
        return CallContract(sandbox, exercise, checks, order, given)
    if (count := len(exercise.functions)) not in STATE_PARTS:
        raise CheckError(
            f"{exercise.id}: contract = 'state' needs functions = [init, update, finish], in this order, or [update]"
        )
    for part in STATE_PARTS[count]:
        if getattr(checks, part) is None:
            raise CheckError(f"{exercise.checks_path}: contract = 'state' needs a function `{part}`; see checks.py")
    return StateContract(sandbox, exercise, checks, order, given)


def _error(play: Play) -> str:
    outcome = play.outcome
    if outcome.end in (End.NOT_WRITTEN, End.SKIPPED):
        return ""
    return printable(outcome.traceback, lines=LONGEST_ERROR)
