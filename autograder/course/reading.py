"""Reading `course/`: a sound `Course`, or a `CourseError` for the first wrong file that says what to mend."""

from __future__ import annotations

import os
import tomllib
from pathlib import Path
from typing import Any, TypeVar

from pydantic import ValidationError

from autograder.course.model import (
    FORMAT,
    LANGUAGES,
    Chapter,
    Course,
    CourseError,
    Exercise,
    Model,
    Part,
    Question,
    Term,
    slug_of,
)

M = TypeVar("M", bound=Model)


def course_root() -> Path:
    """Find `course/`: $TILEWISE_COURSE, else the checkout that this package lives in, else the installed copy."""
    if named := os.environ.get("TILEWISE_COURSE"):
        return Path(named)
    package = Path(__file__).resolve().parents[1]
    for candidate in (package.parent / "course", package / "_data" / "course"):
        if (candidate / "course.toml").is_file():
            return candidate
    raise CourseError(package.parent / "course", "", "no course.toml found", "Set TILEWISE_COURSE to a course folder")


def release_root() -> Path:
    """Find `notebooks/`, the release: $TILEWISE_NOTEBOOKS, else the folder beside `course/`, where build writes it."""
    named = os.environ.get("TILEWISE_NOTEBOOKS")
    folder = Path(named) if named else course_root().parent / "notebooks"
    if not folder.is_dir():
        remedy = "In a checkout, `tilewise build` makes it; TILEWISE_NOTEBOOKS can name another"
        raise CourseError(folder, "", "is no folder of notebooks", remedy)
    return folder


def load_course(root: Path | None = None) -> Course:
    """Read every chapter that `course.toml` names; raise CourseError for the first wrong file."""
    root = course_root() if root is None else root
    file = root / "course.toml"
    raw = _read_toml(file)
    if (found := raw.pop("format", None)) != FORMAT:
        raise CourseError(file, "format", f"is {found!r}, this version reads {FORMAT}", f"Write format = {FORMAT}")
    for reserved in ("parts", "chapters", "drafts", "root"):
        _refuse(file, raw, reserved)
    raw["parts"] = [_validated(Part, file, part, f"part[{i}]") for i, part in enumerate(_tables(file, raw, "part"))]
    names = [name for part in raw["parts"] for name in part.chapters]
    _unique(file, "part.chapters", [slug_of(name) for name in names])
    for name in names:
        if not (root / name / "chapter.toml").is_file():
            raise CourseError(file, "part.chapters", f"names {name!r}, which has no chapter.toml", "Add it or drop it")
    drafts = [folder for folder in sorted(root.iterdir()) if _is_draft(folder, named=folder.name in names)]
    raw["chapters"] = [load_chapter(root / name) for name in names if root / name not in drafts]
    raw["drafts"] = drafts
    _check_given(raw["chapters"])
    return _validated(Course, file, raw | {"root": root})


def load_glossary(root: Path) -> tuple[Term, ...]:
    """Read `glossary.toml`; raise CourseError for the first wrong entry."""
    file = root / "glossary.toml"
    raw = _read_toml(file)
    _refuse_unknown(file, raw, {"term"})
    terms = tuple(_validated(Term, file, term, f"term[{i}]") for i, term in enumerate(_tables(file, raw, "term")))
    _unique(file, "term.id", [term.id for term in terms])
    return terms


def load_chapter(folder: Path) -> Chapter:
    """Read one chapter folder; raise CourseError for the first wrong file."""
    file = folder / "chapter.toml"
    raw = _read_toml(file)
    chapter = slug_of(folder.name)
    names = raw.pop("exercises", [])
    if not isinstance(names, list) or not all(isinstance(n, str) for n in names):
        raise CourseError(file, "exercises", "is not a list of folder names", 'Write exercises = ["two_pass"]')
    _unique(file, "exercises", names)
    for reserved in ("questions", "slides", "folder"):
        _refuse(file, raw, reserved)
    quiz_file = folder / "quiz.toml"
    quiz = _read_toml(quiz_file)
    _refuse_unknown(quiz_file, quiz, {"question"})
    questions = [
        _validated(Question, quiz_file, q | {"chapter": chapter}, f"question[{i}]")
        for i, q in enumerate(_tables(quiz_file, quiz, "question"))
    ]
    _unique(quiz_file, "question.id", [q.id for q in questions])
    filled = raw | {
        "exercises": [load_exercise(folder / name) for name in names],
        "questions": questions,
        "slides": _both_languages(folder, "slides"),
        "folder": folder,
    }
    return _validated(Chapter, file, filled)


def load_exercise(folder: Path) -> Exercise:
    """Read one exercise folder; raise CourseError for the first wrong file."""
    file = folder / "exercise.toml"
    raw = _read_toml(file)
    for reserved in ("chapter", "name", "folder", "statement"):
        _refuse(file, raw, reserved)
    filled = raw | {
        "chapter": slug_of(folder.parent.name),
        "name": folder.name,
        "folder": folder,
        "statement": _both_languages(folder, "statement"),
    }
    exercise = _validated(Exercise, file, filled)
    for needed in (exercise.solution_path, exercise.checks_path):
        if not needed.is_file():
            raise CourseError(needed, "", "is missing", "Every exercise has a solution.py and a checks.py")
    if exercise.variants("wrong").keys() != exercise.wrong.keys():
        odd = sorted(exercise.variants("wrong").keys() ^ exercise.wrong.keys())[0]
        raise CourseError(file, f"wrong.{odd}", "stands in only one of exercise.toml and wrong/", "Add the other half")
    return exercise


def _check_given(chapters: list[Chapter]) -> None:
    """Refuse `given` exercises that stand in no earlier chapter: they would give away what is still asked."""
    earlier: dict[str, Exercise] = {}
    for chapter in chapters:
        for exercise in chapter.exercises:
            file = exercise.folder / "exercise.toml"
            for id in exercise.given:
                if id not in earlier:
                    remedy = f"Name earlier ones only; there are: {', '.join(earlier) or 'none'}"
                    raise CourseError(file, "given", f"{id!r} is no exercise of an earlier chapter", remedy)
            _unique(file, "given", [name for id in exercise.given for name in earlier[id].functions])
        earlier |= {exercise.id: exercise for exercise in chapter.exercises}


def _is_draft(folder: Path, *, named: bool) -> bool:
    """Tell whether a folder says of itself that it is a draft, which it may before course.toml names it."""
    file = folder / "chapter.toml"
    if not file.is_file():
        return False
    try:
        return _read_toml(file).get("draft") is True
    except CourseError:
        if named:
            raise
        return False  # no chapter of this course; `verify` tells of the folder


def _read_text(file: Path, remedy: str) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise CourseError(file, "", "is missing", remedy) from None
    except UnicodeDecodeError as error:
        where = f"{error.reason} at byte {error.start}"
        raise CourseError(file, "", f"is not UTF-8 ({where})", "Save it as UTF-8") from None


def _read_toml(file: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(_read_text(file, "Create it; CONTRIBUTING.md lists what a chapter folder holds"))
    except tomllib.TOMLDecodeError as error:
        raise CourseError(file, "", f"is not TOML: {error}", "Mend the syntax at that place") from None


def _tables(file: Path, raw: dict[str, Any], key: str) -> list[dict[str, Any]]:
    tables = raw.pop(key, [])
    if not isinstance(tables, list) or not all(isinstance(table, dict) for table in tables):
        raise CourseError(file, key, "is not a list of tables", f"Write each as a [[{key}]] table")
    return tables


def _both_languages(folder: Path, stem: str) -> dict[str, str]:
    remedy = f"Write {stem} in both languages, en and zh"
    texts = {language: _read_text(folder / f"{stem}.{language}.md", remedy) for language in map(str, LANGUAGES)}
    for language, text in texts.items():
        if not text.strip():
            raise CourseError(folder / f"{stem}.{language}.md", "", "is empty", remedy)
    return texts


def _validated(model: type[M], file: Path, raw: dict[str, Any], prefix: str = "") -> M:
    try:
        return model.model_validate(raw)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join([*([prefix] if prefix else []), *(str(part) for part in first["loc"])])
        raise CourseError(file, key, _problem(first), _remedy(first)) from None


def _problem(error: Any) -> str:
    match error["type"]:
        case "missing":
            return "is missing"
        case "extra_forbidden":
            return "is not a known key"
        case _ if isinstance(error["input"], dict):  # a rule about the whole table, whose fields the message names
            return str(error["msg"]).removeprefix("Value error, ")
        case _:
            return f"{error['msg'].removeprefix('Value error, ')}, got {str(error['input'])[:80]!r}"


def _remedy(error: Any) -> str:
    match error["type"]:
        case "missing":
            return "Add it"
        case "extra_forbidden":
            return "Remove it, or mend its spelling"
        case _:
            return "Mend the value"


def _refuse(file: Path, raw: dict[str, Any], key: str) -> None:
    if key in raw:
        raise CourseError(file, key, "is not a known key", "Remove it, or mend its spelling")


def _refuse_unknown(file: Path, raw: dict[str, Any], known: set[str]) -> None:
    if unknown := sorted(set(raw) - known):
        tables = ", ".join(f"[[{key}]]" for key in sorted(known))
        raise CourseError(file, unknown[0], "is not a known key", f"Only {tables} tables belong here")


def _unique(file: Path, key: str, values: list[str]) -> None:
    if twice := next((v for v in values if values.count(v) > 1), None):
        raise CourseError(file, key, f"{twice!r} stands twice", "Give each its own")
