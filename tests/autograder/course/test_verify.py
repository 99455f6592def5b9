from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from autograder.course.model import Course, Exercise, Text
from autograder.course.reading import load_course
from autograder.course.starter import starter_cell_source
from autograder.course.verify import Row, trials_of, verify
from autograder.judge.verdict import Kind, PropertyResult, Verdict
from tests.autograder.course.sample import CHAPTER, WRONG, edit, write_course


class FakeJudge:
    """Knows which text is which by reading the course; `changes` alters single verdicts, by the name of the file."""

    def __init__(self, course: Course, changes: dict[str, dict[str, Any]] | None = None) -> None:
        self.course, self.changes, self.seeds = course, changes or {}, set[int | None]()

    def verdict(self, exercise_id: str, source: str, *, seed: int | None = None, grading: bool = False) -> Verdict:
        assert not grading, "verify asks for explanations, which grading withholds"
        self.seeds.add(seed)
        exercise = self.course.exercises[exercise_id]
        name, mistake, kind = self._recognise(exercise, source)
        verdict = verdict_on(exercise, kind, mistake)
        return verdict.model_copy(update=self.changes.get(name, {}))

    def _recognise(self, exercise: Exercise, source: str) -> tuple[str, str | None, Kind]:
        if source == starter_cell_source(exercise):
            return "starter", None, Kind.NOT_STARTED
        for name in WRONG:
            if f"made_by_{name}" in source:
                return name, name, Kind.WRONG
        return ("solution" if "twice_the_number" in source else "right"), None, Kind.PASSED


def verdict_on(exercise: Exercise, kind: Kind, mistake: str | None) -> Verdict:
    share = 1 if kind is Kind.PASSED else 0
    results = tuple(
        PropertyResult(name=name, text=Text(en=p.en, zh=p.zh), kind=kind, points=share * p.points, max_points=p.points)
        for name, p in exercise.properties.items()
    )
    return Verdict(
        exercise=exercise.id,
        kind=kind,
        points=share * exercise.points,
        max_points=exercise.points,
        properties=results,
        headline=Text(en="`double` says so", zh="`double` 如是说"),
        mistake=mistake,
    )


def rows_of(folder: Path, changes: dict[str, dict[str, Any]] | None = None, judges: int = 1) -> list[Row]:
    course = load_course(folder)
    return verify(course, course.chapters, [FakeJudge(course, changes) for _ in range(judges)], seed=1)


def told(rows: list[Row]) -> list[str]:
    assert all(finding.remedy for row in rows for finding in row.findings)
    return [f"{finding.file.name}: {finding.what}" for row in rows for finding in row.findings]


def test_a_sound_course_has_nothing_to_mend(course_folder: Path) -> None:
    rows = rows_of(course_folder)
    assert told(rows) == []
    assert [row.item for row in rows] == ["course", "doubling", "doubling.double"]
    assert rows[2].checked == "texts, starter, solution, 4 wrong, 2 right"


def test_every_text_of_an_exercise_is_judged_with_the_seed(course_folder: Path) -> None:
    course = load_course(course_folder)
    judge = FakeJudge(course)
    verify(course, course.chapters, [judge], seed=7)
    assert judge.seeds == {7}
    kinds = [trial.kind for trial in trials_of(course.exercises["doubling.double"])]
    assert kinds == ["starter", "solution", *["wrong"] * 4, *["right"] * 2]


def test_each_verdict_is_counted(course_folder: Path) -> None:
    course = load_course(course_folder)
    counts: list[tuple[int, int]] = []
    verify(course, course.chapters, [FakeJudge(course)], seed=1, on_judged=lambda *count: counts.append(count))
    assert counts == [(done, 8) for done in range(1, 9)]


def test_time_that_ran_out_is_tried_again_first(course_folder: Path) -> None:
    rows = rows_of(course_folder, {"squares": {"kind": Kind.TIME_LIMIT, "mistake": None}})
    assert [f.remedy.partition(".")[0] for row in rows for f in row.findings] == [
        "Try again with --jobs 1 on a quiet machine"
    ]


def test_several_judges_work_at_the_same_time(course_folder: Path) -> None:
    course = load_course(course_folder)
    meeting = threading.Barrier(2, timeout=20)

    class Waiting(FakeJudge):
        def verdict(self, *args: Any, **kwargs: Any) -> Verdict:
            meeting.wait()
            return super().verdict(*args, **kwargs)

    assert told(verify(course, course.chapters, [Waiting(course), Waiting(course)], seed=1)) == []


def test_a_judge_that_cannot_run_is_not_a_finding_but_an_error(course_folder: Path) -> None:
    course = load_course(course_folder)

    class Broken(FakeJudge):
        def verdict(self, *args: Any, **kwargs: Any) -> Verdict:
            raise RuntimeError("no worker")

    with pytest.raises(RuntimeError, match="no worker"):
        verify(course, course.chapters, [Broken(course)], seed=1)


@pytest.mark.parametrize(
    ("name", "change", "finding"),
    [
        ("starter", {"kind": Kind.PASSED}, "solution.py: the starter is not reported as not started but PASSED"),
        (
            "starter",
            {"headline": Text(en="nothing yet", zh="double 还没写")},
            "solution.py: the starter's message names",
        ),
        (
            "starter",
            {"headline": Text(en="double is not there", zh="还没写")},
            "solution.py: the starter's message names",
        ),
        ("solution", {"kind": Kind.WRONG}, "solution.py: the solution must pass"),
        ("solution", {"points": 2.0}, "solution.py: the solution must pass with full points"),
        ("solution", {"properties": ()}, "checks.py: the judge grades {} where exercise.toml has"),
        (
            "right",
            {"kind": Kind.RAISED, "error": "Traceback\nValueError: no"},
            "by_sum.py: the right solution by_sum must",
        ),
        ("squares", {"kind": Kind.PASSED}, "squares.py: the wrong solution squares passes"),
        ("squares", {"mistake": "adds_one"}, "squares.py: the wrong solution squares is taken for 'adds_one'"),
        ("squares", {"mistake": None}, "squares.py: the wrong solution squares is not recognised"),
    ],
)
def test_a_verdict_that_is_not_as_it_must_be_is_told(
    course_folder: Path, name: str, change: dict[str, Any], finding: str
) -> None:
    assert any(line.startswith(finding) for line in told(rows_of(course_folder, {name: change})))


def in_file(name: str, old: str, new: str) -> Callable[[Path], None]:
    return lambda folder: edit(folder / name, old, new)


def without(*names: str) -> Callable[[Path], None]:
    def remove(folder: Path) -> None:
        for name in names:
            (folder / name).unlink()

    return remove


def without_wrong(folder: Path) -> None:
    without(f"{CHAPTER}/double/wrong/squares.py")(folder)
    text = '[wrong.squares]\nen = "This is the mistake squares."\nzh = "这是错误 squares。"\n'
    edit(folder / CHAPTER / "double/exercise.toml", text, "")


def with_file(name: str) -> Callable[[Path], None]:
    def write(folder: Path) -> None:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("x = 1\n")

    return write


def fewer_questions(folder: Path) -> None:
    quiz = folder / CHAPTER / "quiz.toml"
    text = quiz.read_text(encoding="utf-8")
    quiz.write_text("[[question]]" + text.split("[[question]]", 2)[2], encoding="utf-8")
    for language in ("en", "zh"):
        edit(folder / CHAPTER / f"slides.{language}.md", "{{quiz q1}}\n---\n", "")


def fewer_slides(folder: Path) -> None:
    for language in ("en", "zh"):
        slides = folder / CHAPTER / f"slides.{language}.md"
        slides.write_text("---".join(slides.read_text(encoding="utf-8").split("---")[1:]), encoding="utf-8")


SLIDES, EXERCISE, QUIZ = f"{CHAPTER}/slides.{{}}.md", f"{CHAPTER}/double/exercise.toml", f"{CHAPTER}/quiz.toml"


@pytest.mark.parametrize(
    ("plant", "finding"),
    [
        (without_wrong, "wrong: holds 3 wrong solutions, an exercise needs 4"),
        (without(f"{CHAPTER}/double/right/by_sum.py"), "right: holds 1 right solutions, an exercise needs 2"),
        (fewer_questions, "quiz.toml: holds 4 questions, a chapter needs 5"),
        (fewer_slides, "slides.zh.md: holds 5 slides of text, a chapter has 6 to 12"),
        (in_file(EXERCISE, "与自己相加。", "Add it to itself."), "hint[0] is the same in English and Chinese"),
        (in_file(EXERCISE, "与自己相加。", "Add it up."), "exercise.toml: hint[0].zh holds no Chinese"),
        (in_file(EXERCISE, "Add it to itself.", "Add 它 to itself."), "hint[0].en holds Chinese characters"),
        (in_file(EXERCISE, "这是错误 squares。", "Wrong."), "exercise.toml: wrong.squares.zh holds no Chinese"),
        (in_file(EXERCISE, "得到两倍", "doubles it"), "exercise.toml: property.doubles.zh holds no Chinese"),
        (in_file(QUIZ, 'zh = "两倍"', 'zh = "Twice as much"'), "quiz.toml: question[0].option[1].text is the same"),
        (in_file(QUIZ, "这是在 1 上加一，而不是加倍。", "Adds."), "quiz.toml: question[0].option[0].why.zh holds no"),
        (
            in_file(f"{CHAPTER}/chapter.toml", "篇幅很短。", "Short."),
            "chapter.toml: reading[0].why.zh holds no Chinese",
        ),
        (in_file("course.toml", "只讲加倍。", "Doubling."), "course.toml: summary.zh holds no Chinese"),
        (in_file(SLIDES.format("en"), "## Idea 1", "## Idea 一"), "slides.en.md: holds Chinese characters"),
        (in_file(SLIDES.format("zh"), "print(1 + 1)", "print(3)"), "slides.zh.md: slide 6: is out of step"),
        (in_file(SLIDES.format("en"), "Two.", "[Two](two.html)"), "slides.en.md: links to two.html"),
        (
            in_file(f"{CHAPTER}/double/statement.zh.md", "轮到你\n\n把这个数加倍。", "Do"),
            "statement.zh.md: holds no Chinese",
        ),
        (with_file(f"{CHAPTER}/notes.txt"), "notes.txt: is used by nothing"),
        (with_file(f"{CHAPTER}/figures/old.svg"), "old.svg: is used by nothing"),
        (with_file("02_forgotten/chapter.toml"), "02_forgotten: is named by no part of course.toml"),
        (with_file(f"{CHAPTER}/double/wrong/notes.md"), "notes.md: is used by nothing"),
        (without(f"{CHAPTER}/figures/bars.svg"), "bars.svg: is shown and is no file"),
        (without("home.zh.md"), "home.zh.md: is missing"),
        (without("glossary.toml"), "glossary.toml: is missing"),
        (in_file("glossary.toml", 'zh = "行"', ""), "glossary.toml: term[0].zh: is missing"),
        (
            in_file(f"{CHAPTER}/chapter.toml", "minutes = 10", 'minutes = 10\nprerequisites = ["gone"]'),
            "chapter.toml: prerequisites: 'gone' is no chapter before this one",
        ),
        (
            in_file(f"{CHAPTER}/chapter.toml", "minutes = 10", 'minutes = 10\nprerequisites = ["doubling"]'),
            "chapter.toml: prerequisites: 'doubling' is no chapter before this one",
        ),
        (
            in_file(f"{CHAPTER}/double/solution.py", "    return twice_the_number\n", "    x = 1\n" * 41),
            "solution.py: asks for 42 lines, an exercise holds at most 40",
        ),
    ],
)
def test_a_planted_fault_is_found(tmp_path: Path, plant: Callable[[Path], None], finding: str) -> None:
    folder = write_course(tmp_path)
    plant(folder)
    assert any(finding in line for line in told(rows_of(folder))), told(rows_of(folder))


@pytest.mark.parametrize("text", ["`x + x`", "$2x$", "12.5", "O(N)", "`twice(x)` = $2x$"])
def test_code_and_formulas_need_no_translation(course_folder: Path, text: str) -> None:
    edit(course_folder / QUIZ, 'en = "Twice as much", zh = "两倍"', f"en = '{text}', zh = '{text}'")
    assert told(rows_of(course_folder)) == []
