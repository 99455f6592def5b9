"""What can be said of a course by reading it: short checks, each yields a Finding for what is not as it should be."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Set
from dataclasses import dataclass
from pathlib import Path

from autograder.course.model import LANGUAGES, Chapter, Course, CourseError, Exercise, Model, Text
from autograder.course.notebook import chapter_notebook, check_parity, figures_of, home_notebook
from autograder.course.reading import load_glossary
from autograder.course.slides import BLOCKS, figures, outside_fences, read_slides
from autograder.course.starter import solution_lines

SLIDES = range(6, 13)
QUESTIONS = 5
WRONG, RIGHT = 4, 2
SOLUTION_LINES = 40
_HAN = re.compile(r"[\u3400-\u9fff]")
# Code, mathematics, numbers and single letters are the same in every language.
_NOT_WORDS = re.compile(r"```.*?```|`[^`]*`|\$\$.*?\$\$|\$[^$]*\$", re.DOTALL)
_WORD = re.compile(r"[A-Za-z]{3,}")
_LINK = re.compile(r"(?<!!)\[[^\]]*\]\(\s*<?([^)\s>]+)")


@dataclass(frozen=True)
class Finding:
    """Something to mend: the file, what is wrong there, and the remedy."""

    file: Path
    what: str
    remedy: str


def check_course(course: Course) -> Iterator[Finding]:
    """Check what belongs to no chapter: glossary, home notebook, titles, files that nothing uses."""
    yield from _collected(lambda: load_glossary(course.root))
    yield from _collected(lambda: [home_notebook(course, language) for language in LANGUAGES])
    yield from _check_texts(course.root / "course.toml", course, skip={"chapters"})
    yield from check_files(course)


def check_chapter(course: Course, chapter: Chapter) -> Iterator[Finding]:
    """Check slides, quiz, prerequisites and texts of one chapter, and that its notebooks can be made."""
    yield from _collected(lambda: _check_notebooks(chapter))
    yield from check_slides(chapter)
    yield from check_prerequisites(course, chapter)
    yield from _check_texts(chapter.folder / "chapter.toml", chapter, skip={"exercises", "questions", "slides"})
    for number, question in enumerate(chapter.questions):
        yield from _check_texts(chapter.folder / "quiz.toml", question, prefix=f"question[{number}].")
    if len(chapter.questions) < QUESTIONS:
        what = f"holds {len(chapter.questions)} questions, a chapter needs {QUESTIONS}"
        yield Finding(chapter.folder / "quiz.toml", what, "Add questions, each option with its why")


def check_exercise(exercise: Exercise) -> Iterator[Finding]:
    """Check the texts of one exercise, the length of its solution, and how many other solutions it keeps."""
    yield from _check_texts(exercise.folder / "exercise.toml", exercise, skip={"statement"})
    for language in LANGUAGES:
        file = exercise.folder / f"statement.{language}.md"
        yield from _check_prose(file, language, exercise.statement[language])
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
        yield from _check_prose(file, language, chapter.slides[language])


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


def _collected(reading: Callable[[], object]) -> Iterator[Finding]:
    """Turn the CourseError of a reader into a Finding."""
    try:
        reading()
    except CourseError as error:
        where = f"{error.key}: " if error.key else ""
        yield Finding(error.file, f"{where}{error.problem}", error.remedy)


def _check_texts(file: Path, model: Model, *, skip: Set[str] = frozenset(), prefix: str = "") -> Iterator[Finding]:
    for key, text in _texts(model, skip):
        yield from _check_text(file, prefix + key, text)


def _texts(model: Model, skip: Set[str]) -> Iterator[tuple[str, Text]]:
    """Walk a model: (key as an author writes it, the text)."""
    for name in type(model).model_fields:
        if name not in skip:
            yield from _texts_of(name, getattr(model, name))


def _texts_of(key: str, value: object) -> Iterator[tuple[str, Text]]:
    if isinstance(value, Text):
        yield key, value
    elif isinstance(value, Model):
        yield from ((f"{key}.{inner}", text) for inner, text in _texts(value, set()))
    elif isinstance(value, dict):
        for name, item in value.items():
            yield from _texts_of(f"{key}.{name}", item)
    elif isinstance(value, tuple):
        for place, item in enumerate(value):
            yield from _texts_of(f"{key}[{place}]", item)


def _check_text(file: Path, key: str, text: Text) -> Iterator[Finding]:
    if _HAN.search(text.en):
        yield Finding(file, f"{key}.en holds Chinese characters", "Write it in English")
    # A title may be a proper name, and code or a formula has no language.
    if key.endswith("title") or not _WORD.search(_NOT_WORDS.sub("", text.zh)):
        return
    if text.en == text.zh:
        yield Finding(file, f"{key} is the same in English and Chinese", "Translate it")
    elif not _HAN.search(text.zh):
        yield Finding(file, f"{key}.zh holds no Chinese", "Write it in Chinese")


def _check_prose(file: Path, language: str, text: str) -> Iterator[Finding]:
    if (_HAN.search(text) is not None) != (language == "zh"):
        what = "holds Chinese characters" if language == "en" else "holds no Chinese"
        yield Finding(file, what, f"Write it in {'English' if language == 'en' else 'Chinese'}")
    for link in _LINK.findall(_NOT_WORDS.sub("", outside_fences(text, file))):
        if not re.match(r"https?://|#|\.\./", link):
            yield Finding(file, f"links to {link}", "Link to an address with https://, or to a chapter as ../FOLDER/")
