"""What can be said of a course by reading it: short checks, each yields a Finding for what is not as it should be."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence, Set
from pathlib import Path

from autograder.course.finding import Finding
from autograder.course.model import LANGUAGES, Chapter, Course, CourseError, Exercise, Term
from autograder.course.notebook import chapter_notebook, check_parity, figures_of, home_notebook
from autograder.course.questions import check_order, check_places
from autograder.course.reading import load_glossary
from autograder.course.slides import BLOCKS, figures, read_slides
from autograder.course.starter import solution_lines
from autograder.course.wording import (
    check_addresses,
    check_mathematics,
    check_prose,
    check_terms,
    check_texts,
    check_words,
)

SLIDES = range(6, 13)
QUESTIONS = 5
WRONG, RIGHT = 4, 2
SOLUTION_LINES = 40


def check_course(course: Course) -> Iterator[Finding]:
    """Check what belongs to no chapter: glossary, home notebook, titles, places of right options, unused files."""
    yield from _collected(lambda: load_glossary(course.root))
    yield from _collected(lambda: [home_notebook(course, language) for language in LANGUAGES])
    for language in LANGUAGES:
        home = course.root / f"home.{language}.md"
        if home.is_file():  # else it is told of already
            text = home.read_text(encoding="utf-8")
            yield from check_prose(home, language, text)
            yield from check_words(home, "", text, _terms(course) if language == "zh" else ())
    yield from check_places(course)
    yield from check_texts(course.root / "course.toml", course, skip={"chapters"})
    yield from check_files(course)


def check_chapter(course: Course, chapter: Chapter) -> Iterator[Finding]:
    """Check slides, quiz, prerequisites and texts of one chapter, and that its notebooks can be made."""
    yield from _collected(lambda: _check_notebooks(chapter))
    yield from check_slides(chapter)
    yield from check_order(chapter)
    yield from check_addresses(chapter)
    yield from check_terms(chapter, _terms(course))
    yield from check_prerequisites(course, chapter)
    yield from check_texts(chapter.folder / "chapter.toml", chapter, skip={"exercises", "questions", "slides"})
    for number, question in enumerate(chapter.questions):
        for check in (check_texts, check_mathematics):
            yield from check(chapter.folder / "quiz.toml", question, prefix=f"question[{number}].")
    if len(chapter.questions) < QUESTIONS:
        what = f"holds {len(chapter.questions)} questions, a chapter needs {QUESTIONS}"
        yield Finding(chapter.folder / "quiz.toml", what, "Add questions, each option with its why")


def check_exercise(exercise: Exercise) -> Iterator[Finding]:
    """Check the texts of one exercise, the length of its solution, and how many other solutions it keeps."""
    for check in (check_texts, check_mathematics):
        yield from check(exercise.folder / "exercise.toml", exercise, skip={"statement"})
    for language in LANGUAGES:
        file = exercise.folder / f"statement.{language}.md"
        yield from check_prose(file, language, exercise.statement[language])
    for kind, least in (("wrong", WRONG), ("right", RIGHT)):
        count = len(exercise.variants(kind))  # type: ignore[arg-type]
        if count < least:
            what = f"holds {count} {kind} solutions, an exercise needs {least}"
            yield Finding(exercise.folder / kind, what, f"Add a whole solution NAME.py that is {kind}")
    lines = sum(1 for line in solution_lines(exercise) if line.strip())
    if lines > SOLUTION_LINES:
        what = f"asks for {lines} lines, an exercise holds at most {SOLUTION_LINES}"
        yield Finding(exercise.solution_path, what, "Split the exercise: one new idea each")


def check_slides(chapter: Chapter) -> Iterator[Finding]:
    """Check how many slides there are, what language they are in, and where their links lead."""
    for language in LANGUAGES:
        file = chapter.folder / f"slides.{language}.md"
        try:
            slides = read_slides(chapter.slides[language], file)
        except CourseError:
            continue  # reported with the notebook that cannot be made of it
        count = sum(slide[0].kind not in BLOCKS for slide in slides)
        if count not in SLIDES:
            what = f"holds {count} slides of text, a chapter has {SLIDES.start} to {SLIDES.stop - 1}"
            yield Finding(file, what, "Add slides, or join or drop some")
        yield from check_prose(file, language, chapter.slides[language])


def check_prerequisites(course: Course, chapter: Chapter) -> Iterator[Finding]:
    """Check that what a chapter builds on stands before it in the course."""
    slugs = [each.slug for each in course.chapters]
    before = slugs[: slugs.index(chapter.slug)]
    for slug in chapter.prerequisites:
        if slug not in before:
            what = f"prerequisites: {slug!r} is no chapter before this one"
            there = ", ".join(before) or "none"
            yield Finding(chapter.folder / "chapter.toml", what, f"Name earlier chapters only; there are: {there}")


def check_files(course: Course) -> Iterator[Finding]:
    """Check that every file in the course tree is used by something; a folder that is no chapter is told of once."""
    used = set(_used_files(course))
    chapters = {chapter.folder for chapter in course.chapters}
    drafts = set(course.drafts)
    for entry in sorted(course.root.iterdir()):
        if entry in drafts:
            continue  # what it holds and lacks is told by `autograder.course.unfinished`
        if entry.is_dir() and entry not in chapters and entry.name != "__pycache__":
            yield Finding(entry, "is named by no part of course.toml", "Add it to the chapters of a part, or remove it")
        elif entry.is_dir():
            yield from _unused(sorted(path for path in entry.rglob("*") if path.is_file()), used)
        else:
            yield from _unused([entry], used)


def _unused(files: list[Path], used: Set[Path]) -> Iterator[Finding]:
    for path in files:
        if path not in used and "__pycache__" not in path.parts:
            yield Finding(path, "is used by nothing", "Remove it, or name it where it belongs")


def _used_files(course: Course) -> Iterator[Path]:
    yield from (course.root / name for name in ("course.toml", "glossary.toml", "home.en.md", "home.zh.md"))
    for chapter in course.chapters:
        yield from (chapter.folder / name for name in ("chapter.toml", "quiz.toml", "slides.en.md", "slides.zh.md"))
        shown = [chapter.slides, *(e.statement for e in chapter.exercises), *(w.prompt for w in chapter.written)]
        yield from (
            chapter.folder / name for text in shown for language in LANGUAGES for name in figures(text[language])
        )
        for exercise in chapter.exercises:
            names = ("exercise.toml", "statement.en.md", "statement.zh.md", "solution.py", "checks.py", "driver.py")
            yield from (exercise.folder / name for name in names)
            yield from exercise.variants("wrong").values()
            yield from exercise.variants("right").values()


def _check_notebooks(chapter: Chapter) -> None:
    notebooks = {language: chapter_notebook(chapter, language) for language in LANGUAGES}
    check_parity(chapter, notebooks)
    figures_of(chapter, notebooks["en"])


def _terms(course: Course) -> Sequence[Term]:
    try:
        return load_glossary(course.root)
    except CourseError:
        return ()  # the glossary is told of already


def _collected(reading: Callable[[], object]) -> Iterator[Finding]:
    """Turn the CourseError of a reader into a Finding."""
    try:
        reading()
    except CourseError as error:
        where = f"{error.key}: " if error.key else ""
        yield Finding(error.file, f"{where}{error.problem}", error.remedy)
