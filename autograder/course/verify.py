"""Prove the course: every starter fails, every solution passes, every known-wrong one fails with its own diagnosis.

The judge is handed in: several judges give several answers at a time.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from queue import SimpleQueue
from typing import Protocol

from autograder.course.demos import check_demos
from autograder.course.finding import Finding
from autograder.course.model import Chapter, Course, Exercise, slug_of
from autograder.course.soundness import check_chapter, check_course, check_exercise
from autograder.course.starter import solution_cell_source, starter_cell_source
from autograder.course.unfinished import unfinished
from autograder.judge.verdict import Kind, Verdict


class Judging(Protocol):
    """What verify needs of `autograder.judge.client.Judge`."""

    def verdict(self, exercise_id: str, source: str, *, seed: int | None = None, grading: bool = False) -> Verdict: ...


@dataclass(frozen=True)
class Trial:
    """One text to be judged, and what its verdict must be."""

    exercise: Exercise
    kind: str
    file: Path
    source: str
    check: Callable[[Trial, Verdict], Iterator[Finding]]

    @property
    def name(self) -> str:
        return self.file.stem

    @property
    def title(self) -> str:
        return f"the {self.kind}" if self.kind in ("starter", "solution") else f"the {self.kind} solution {self.name}"


@dataclass
class Row:
    """One line of the report: an item of the course, what was checked of it, and what is to mend."""

    item: str
    checked: str
    findings: list[Finding] = field(default_factory=list)


def verify(
    course: Course,
    chapters: Sequence[Chapter],
    judges: Sequence[Judging],
    *,
    seed: int,
    drafts: Sequence[Path] = (),
    on_judged: Callable[[int, int], None] = lambda done, total: None,
) -> list[Row]:
    """Check the course as a whole and the given chapters, on as many judges at a time as there are.

    drafts: folders of drafts, which are refused with all that they lack.   on_judged: told after each verdict how many
    are done, of how many. Raises CourseError where no starter can be made, and whatever a judge raises that cannot run.
    """
    rows = [Row("course", f"glossary, home, files, {len(course.chapters)} chapters", list(check_course(course)))]
    trials = [trial for chapter in chapters for exercise in chapter.exercises for trial in trials_of(exercise)]
    found = []
    for done, judged in enumerate(_judged(trials, judges, seed), start=1):
        found.append(judged)
        on_judged(done, len(trials))
    for chapter in chapters:
        checked = f"slides, demos, {len(chapter.questions)} questions, texts"
        rows.append(Row(chapter.slug, checked, [*check_chapter(course, chapter), *check_demos(course, chapter)]))
        for exercise in chapter.exercises:
            rows.append(_exercise_row(exercise, [(t, f) for t, f in found if t.exercise is exercise]))
    return rows + [Row(slug_of(folder.name), "a draft", list(unfinished(folder))) for folder in drafts]


def trials_of(exercise: Exercise) -> list[Trial]:
    """List all texts of an exercise that are judged: starter, solution, wrong ones, right ones."""
    solution = exercise.solution_path
    trials = [
        Trial(exercise, "starter", solution, starter_cell_source(exercise), _starter_fails),
        Trial(exercise, "solution", solution, solution_cell_source(exercise), _passes),
    ]
    for name, check in (("wrong", _fails_as_itself), ("right", _passes)):
        for path in exercise.variants(name).values():  # type: ignore[arg-type]
            trials.append(Trial(exercise, name, path, path.read_text(encoding="utf-8"), check))
    return trials


def _judged(trials: list[Trial], judges: Sequence[Judging], seed: int) -> Iterator[tuple[Trial, list[Finding]]]:
    free: SimpleQueue[Judging] = SimpleQueue()
    for judge in judges:
        free.put(judge)

    def judged(trial: Trial) -> tuple[Trial, list[Finding]]:
        judge = free.get()
        try:
            verdict = judge.verdict(trial.exercise.id, trial.source, seed=seed)
        finally:
            free.put(judge)
        return trial, list(trial.check(trial, verdict))

    with ThreadPoolExecutor(max_workers=len(judges)) as pool:
        yield from pool.map(judged, trials)


def _exercise_row(exercise: Exercise, judged: list[tuple[Trial, list[Finding]]]) -> Row:
    counts = Counter(trial.kind for trial, _ in judged)
    checked = f"texts, starter, solution, {counts['wrong']} wrong, {counts['right']} right"
    findings = [*check_exercise(exercise), *(finding for _, found in judged for finding in found)]
    return Row(exercise.id, checked, findings)


def _starter_fails(trial: Trial, verdict: Verdict) -> Iterator[Finding]:
    remedy = "Leave to the student what every asked function returns, between the marks of the solution"
    if verdict.kind is not Kind.NOT_STARTED:
        yield Finding(trial.file, f"the starter is not reported as not started but {_told(verdict)}", remedy)
    elif not all(
        any(name in text for name in trial.exercise.functions) for text in (verdict.headline.en, verdict.headline.zh)
    ):
        yield Finding(trial.file, f"the starter's message names no function to write: {verdict.headline.en}", remedy)


def _passes(trial: Trial, verdict: Verdict) -> Iterator[Finding]:
    if not verdict.passed or verdict.points != verdict.max_points:
        what = f"{trial.title} must pass with full points, but {_told(verdict)}"
        yield Finding(
            trial.file, what, _remedy(verdict, "Mend it, or checks.py where it asks for what no statement says")
        )
    expected = {name: p.points for name, p in trial.exercise.properties.items()}
    if (found := {p.name: p.max_points for p in verdict.properties}) != expected:
        what = f"the judge grades {found} where exercise.toml has {expected}"
        yield Finding(trial.exercise.checks_path, what, "Give each [property.NAME] its @prop function, and the reverse")


def _fails_as_itself(trial: Trial, verdict: Verdict) -> Iterator[Finding]:
    if verdict.passed:
        yield Finding(trial.file, f"{trial.title} passes", "Draw a case in checks.py on which it differs")
    elif verdict.mistake != trial.name:
        other = f"is taken for {verdict.mistake!r}" if verdict.mistake else "is not recognised"
        what = f"{trial.title} {other}: {_told(verdict)}"
        remedy = "Draw a case in checks.py that tells it from the others, or join the two"
        yield Finding(trial.file, what, _remedy(verdict, remedy))


def _remedy(verdict: Verdict, remedy: str) -> str:
    """Give the remedy, after the one to try first where time ran out."""
    hurried = verdict.kind is Kind.TIME_LIMIT or any(p.kind is Kind.TIME_LIMIT for p in verdict.properties)
    return f"Try again with --jobs 1 on a quiet machine. {remedy}" if hurried else remedy


def _told(verdict: Verdict) -> str:
    """Say what a verdict says, for an author: kind, headline, and the first line that explains it."""
    told = f"{verdict.kind.name} ({verdict.points:g} of {verdict.max_points:g}): {verdict.headline.en}"
    if verdict.counterexample is not None:
        told += f" [{verdict.counterexample.property}: {verdict.counterexample.case}]"
    last_line = verdict.error.strip().rpartition("\n")[2]
    return f"{told} [{last_line}]" if last_line else told
