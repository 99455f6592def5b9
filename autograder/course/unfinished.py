"""What a draft lacks until it can be a chapter, by the measure of the strict types: the other language first."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from autograder.course.draft import CARD, STARTER, Draft, DraftExercise, load_draft, read_table
from autograder.course.finding import Finding
from autograder.course.model import LANGUAGES, Chapter, CourseError, Exercise, Language, Model, Question
from autograder.course.soundness import QUESTIONS, RIGHT, SLIDES, WRONG
from autograder.course.starter import BEGIN, END

_NAMES: dict[Language, str] = {"en": "English", "zh": "Chinese"}
# What the reader fills in, and `draft` itself.
_FILLED_IN = {"exercises", "questions", "slides", "folder", "draft", "chapter", "name", "statement"}


def unfinished(folder: Path) -> Iterator[Finding]:
    """List what a draft lacks; the last finding is always that it is one, for only its author can say it is none."""
    try:
        draft = load_draft(folder)
    except CourseError as error:
        yield Finding(error.file, f"{error.key}: {error.problem}".removeprefix(": "), error.remedy)
        return
    yield from _missing_texts(draft)
    yield from _missing_keys(draft)
    yield from _missing_files(draft)
    yield from _too_few(draft)
    leftovers = [CARD, *(f"{e.name}/{STARTER}" for e in draft.exercises)]
    there = [name for name in leftovers if (folder / name).is_file()]
    remedy = f"Once nothing else is missing, remove that line{_and(there)}, and name the chapter in course.toml"
    yield Finding(folder / "chapter.toml", "holds draft = true: a draft is not released", remedy)


def _missing_texts(draft: Draft) -> Iterator[Finding]:
    """List texts that exist in one language only: whole files first, then those in tables, a line for each file."""
    for language in LANGUAGES:
        texts = [(draft.folder / f"slides.{language}.md", draft.slides)]
        texts += [(e.folder / f"statement.{language}.md", e.statement) for e in draft.exercises]
        for file, text in texts:
            if text[language] is None:
                yield Finding(file, f"the {_NAMES[language]} is missing", "Write it as a teacher would, do not copy")
        for file, table in _tables(draft):
            if keys := list(_one_language_only(table, language)):
                what = f"the {_NAMES[language]} is missing ({len(keys)}): {', '.join(keys)}"
                yield Finding(file, what, f"Write {language} = ... for each, as a teacher would")


def _one_language_only(value: Any, language: Language, path: str = "") -> Iterator[str]:
    """Name the texts of a table that lack the language and have the other."""
    match value:
        case dict() if language not in value and value.keys() & set(LANGUAGES):
            yield path
        case dict():
            for key, inner in value.items():
                yield from _one_language_only(inner, language, f"{path}.{key}".removeprefix("."))
        case list():
            for place, inner in enumerate(value):
                yield from _one_language_only(inner, language, f"{path}[{place}]")


def _missing_keys(draft: Draft) -> Iterator[Finding]:
    """List all that the strict types find wrong besides, a line for each file."""
    for file, table in _tables(draft):
        wrong: list[str] = []
        if file.name == "quiz.toml":
            for place, question in enumerate(table.get("question", [])):
                wrong += _objections(Question, question | {"chapter": draft.slug}, f"question[{place}].")
        elif file.name == "chapter.toml":
            wrong += _objections(Chapter, table)
        else:
            wrong += _objections(Exercise, table | {"name": file.parent.name})
        if wrong:
            yield Finding(file, "; ".join(wrong), "CONTRIBUTING.md lists what a chapter folder holds")


def _objections(model: type[Model], raw: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    """Say what the strict type finds wrong, but for what `_missing_texts` tells of and what its reader fills in."""
    try:
        model.model_validate(raw)
    except ValidationError as error:
        for found in error.errors():
            *path, last = found["loc"] or ("",)
            if (path or [last])[0] in _FILLED_IN or (found["type"] == "missing" and path and last in LANGUAGES):
                continue
            key = "".join(f"[{p}]" if isinstance(p, int) else f".{p}" for p in found["loc"]).removeprefix(".")
            message = found["msg"].removeprefix("Value error, ")
            yield f"{prefix}{key} is missing" if found["type"] == "missing" else f"{prefix}{key}: {message}"


def _missing_files(draft: Draft) -> Iterator[Finding]:
    for exercise in draft.exercises:
        solution = exercise.folder / "solution.py"
        if BEGIN not in exercise.solution or END not in exercise.solution:
            remedy = f"Put what students write between `### {BEGIN}` and `### {END}`, in a function"
            yield Finding(solution, "marks no solution, so no starter can be made of it", remedy)
        if not (exercise.folder / "checks.py").is_file():
            remedy = "Write how inputs are drawn and what is right; autograder/judge/checks.py says how"
            yield Finding(exercise.folder / "checks.py", "is missing", remedy)
        for kind, least in (("wrong", WRONG), ("right", RIGHT)):
            if (count := _count(exercise, kind)) < least:
                what = f"holds {count} {kind} solutions, an exercise needs {least}"
                yield Finding(exercise.folder / kind, what, f"Add a whole solution NAME.py that is {kind}")


def _too_few(draft: Draft) -> Iterator[Finding]:
    if len(draft.questions) < QUESTIONS:
        what = f"holds {len(draft.questions)} questions, a chapter needs {QUESTIONS}"
        yield Finding(draft.folder / "quiz.toml", what, "Add questions, each option with its why")
    for language in draft.languages:
        text = draft.slides[language] or ""
        count = sum(1 for piece in text.split("\n---\n") if not piece.strip().startswith("{{"))
        if count not in SLIDES:
            what = f"holds {count} slides of text, a chapter has {SLIDES.start} to {SLIDES.stop - 1}"
            yield Finding(draft.folder / f"slides.{language}.md", what, "Add slides, or join or drop some")


def _tables(draft: Draft) -> Iterator[tuple[Path, dict[str, Any]]]:
    files = [draft.folder / "chapter.toml", draft.folder / "quiz.toml"]
    for file in [*files, *(e.folder / "exercise.toml" for e in draft.exercises)]:
        yield file, read_table(file)


def _count(exercise: DraftExercise, kind: str) -> int:
    return sum(1 for _ in (exercise.folder / kind).glob("*.py"))


def _and(names: list[str]) -> str:
    return f" and {', '.join(names)}" if names else ""
