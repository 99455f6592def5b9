"""Typed models of `course/`: reading it gives a sound `Course`, or a `CourseError` that says what to mend."""

from __future__ import annotations

import builtins
import os
import re
import tomllib
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

Language = Literal["en", "zh"]
LANGUAGES: tuple[Language, ...] = ("en", "zh")
FORMAT = 1
M = TypeVar("M", bound="Model")

Slug = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]
NonEmpty = Annotated[str, Field(min_length=1, pattern=r"\S")]


class CourseError(Exception):
    """A hand-written course file is wrong: names the file, the key, the problem and the remedy."""

    def __init__(self, file: Path, key: str, problem: str, remedy: str) -> None:
        self.file, self.key, self.problem, self.remedy = file, key, problem, remedy
        where = f"{file}: {key}" if key else str(file)
        super().__init__(f"{where}: {problem}. {remedy}")


class Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Text(Model):
    """The same statement in both languages."""

    en: NonEmpty
    zh: NonEmpty

    def __getitem__(self, language: str) -> str:
        return self.zh if language == "zh" else self.en


class Limits(Model):
    """What one call of the student's function may use."""

    seconds: Annotated[float, Field(gt=0, le=60)] = 5.0
    memory_mib: Annotated[int, Field(ge=256, le=16384)] = 2048


class PropertyText(Text):
    """One named property that an exercise is graded by. memory_mib: a budget of its own, in place of the exercise's."""

    points: Annotated[float, Field(gt=0)]
    memory_mib: Annotated[int, Field(ge=16, le=16384)] | None = None


class Exercise(Model):
    """`exercise.toml` of one exercise folder, with the texts beside it."""

    title: Text
    functions: Annotated[tuple[str, ...], Field(min_length=1)]
    contract: Literal["call", "state"] = "call"
    device: Literal["cpu", "triton", "cuda"] = "cpu"
    given: tuple[str, ...] = ()
    forbidden: tuple[str, ...] = ()
    limits: Limits = Limits()
    property: dict[Slug, PropertyText]
    hint: Annotated[tuple[Text, ...], Field(min_length=1, max_length=2)]
    wrong: dict[Slug, Text]
    # Filled in by the reader, not by the author.
    chapter: str
    name: Slug
    folder: Path
    statement: Text

    @builtins.property
    def id(self) -> str:
        return f"{self.chapter}.{self.name}"

    @builtins.property
    def points(self) -> float:
        return sum(p.points for p in self.properties.values())

    @builtins.property
    def properties(self) -> dict[str, PropertyText]:
        return self.property

    @builtins.property
    def solution_path(self) -> Path:
        return self.folder / "solution.py"

    @builtins.property
    def checks_path(self) -> Path:
        return self.folder / "checks.py"

    def variants(self, kind: Literal["wrong", "right"]) -> dict[str, Path]:
        """Map the name of each known-wrong or known-right solution to its file."""
        return {path.stem: path for path in sorted((self.folder / kind).glob("*.py"))}


class Option(Model):
    """One option of a choice or ordering question; a wrong one names the misconception that it comes from."""

    key: Annotated[str, Field(pattern=r"^[a-z]$")]
    text: Text
    why: Text
    correct: bool = False
    misconception: Slug | None = None

    @model_validator(mode="after")
    def _wrong_options_name_a_misconception(self) -> Option:
        if not self.correct and self.misconception is None:
            raise ValueError("a wrong option needs `misconception`, the slug of the mistake that leads to it")
        return self


class Question(Model):
    """One question of `quiz.toml`.

    kind "one": exactly one option is right; "several": every right option and no other; "ordering": the keys in
    `order`; "number": `answer` within the relative `tolerance`, in `unit`.
    """

    id: Annotated[str, Field(pattern=r"^q[1-9][0-9]*$")]
    kind: Literal["one", "several", "number", "ordering"] = "one"
    prompt: Text
    graded: bool = False
    points: Annotated[float, Field(ge=0)] = 0.0
    option: tuple[Option, ...] = ()
    order: tuple[str, ...] = ()
    answer: float | None = None
    tolerance: Annotated[float, Field(ge=0)] = 0.01
    unit: str = ""
    why: Text | None = None
    chapter: str

    @property
    def full_id(self) -> str:
        return f"{self.chapter}.{self.id}"

    @property
    def options(self) -> tuple[Option, ...]:
        return self.option

    @model_validator(mode="after")
    def _is_answerable(self) -> Question:
        right = [o.key for o in self.option if o.correct]
        keys = [o.key for o in self.option]
        if len(set(keys)) != len(keys):
            raise ValueError("two options share one key; give each its own letter")
        if self.kind in ("one", "several") and len(keys) < 2:
            raise ValueError("a choice needs at least two options")
        if self.kind == "one" and len(right) != 1:
            raise ValueError(f"kind 'one' needs exactly one option with correct = true, found {len(right)}")
        if self.kind == "several" and not right:
            raise ValueError("kind 'several' needs at least one option with correct = true")
        if self.kind == "ordering" and sorted(self.order) != sorted(keys):
            raise ValueError("kind 'ordering' needs `order` with every option key exactly once")
        if self.kind == "number" and (self.answer is None or self.why is None):
            raise ValueError("kind 'number' needs `answer` and `why`")
        if self.graded != (self.points > 0):
            raise ValueError("a graded question needs points above 0, and a practice question none")
        return self


class Written(Model):
    """A question answered in prose and graded by a person."""

    id: Annotated[str, Field(pattern=r"^w[1-9][0-9]*$")]
    points: Annotated[float, Field(gt=0)]
    prompt: Text


class Video(Model):
    title: NonEmpty
    url: Annotated[str, Field(pattern=r"^https?://")]
    language: Language
    minutes: Annotated[int, Field(gt=0)]


class Reading(Model):
    title: Text
    url: Annotated[str, Field(pattern=r"^https?://")]
    why: Text


class Chapter(Model):
    """`chapter.toml` with its slides, quiz and exercises."""

    title: Text
    summary: Text
    difficulty: Literal["beginner", "intermediate", "advanced"]
    minutes: Annotated[int, Field(gt=0)]
    prerequisites: tuple[Slug, ...] = ()
    draft: Literal[False] = False  # a draft is no Chapter: see autograder.course.draft
    exercises: Annotated[tuple[Exercise, ...], Field(min_length=1)]
    written: tuple[Written, ...] = ()
    video: tuple[Video, ...] = ()
    reading: Annotated[tuple[Reading, ...], Field(min_length=1)]
    questions: Annotated[tuple[Question, ...], Field(min_length=1)]
    slides: Text
    folder: Path

    @property
    def slug(self) -> str:
        return slug_of(self.folder.name)


class Term(Model):
    """One entry of `glossary.toml`: its symbol in LaTeX and name in code, where it has them, and the word to use."""

    id: Slug
    symbol: str = ""
    code: str = ""
    en: NonEmpty
    zh: NonEmpty
    note: Text | None = None


class Part(Model):
    slug: Slug
    title: Text
    chapters: Annotated[tuple[str, ...], Field(min_length=1)]


class Course(Model):
    """The whole course, in order. drafts: the folders of chapters that are not finished; `course.draft` reads them."""

    title: Text
    summary: Text
    parts: tuple[Part, ...]
    chapters: tuple[Chapter, ...]
    drafts: tuple[Path, ...] = ()
    root: Path

    @cached_property
    def exercises(self) -> dict[str, Exercise]:
        return {e.id: e for c in self.chapters for e in c.exercises}

    @cached_property
    def questions(self) -> dict[str, Question]:
        return {q.full_id: q for c in self.chapters for q in c.questions}

    def chapter(self, slug: str) -> Chapter:
        """Find a chapter by slug or folder name; raise KeyError that lists what there is, or that it is a draft."""
        for chapter in self.chapters:
            if slug in (chapter.slug, chapter.folder.name):
                return chapter
        if self.draft(slug) is not None:
            raise KeyError(f"{slug!r} is a draft, which is not released; `tilewise verify {slug}` lists what it lacks")
        raise KeyError(f"no chapter {slug!r}; there are: {', '.join(c.slug for c in self.chapters)}")

    def draft(self, slug: str) -> Path | None:
        """Find the folder of a draft by slug or folder name."""
        return next((f for f in self.drafts if slug in (slug_of(f.name), f.name)), None)


def slug_of(folder_name: str) -> str:
    """Drop the order number: 03_online_softmax -> online_softmax."""
    return re.sub(r"^\d+_", "", folder_name)


def course_root() -> Path:
    """Find `course/`: $TILEWISE_COURSE, else the checkout that this package lives in, else the installed copy."""
    if named := os.environ.get("TILEWISE_COURSE"):
        return Path(named)
    package = Path(__file__).resolve().parents[1]
    for candidate in (package.parent / "course", package / "_data" / "course"):
        if (candidate / "course.toml").is_file():
            return candidate
    raise CourseError(package.parent / "course", "", "no course.toml found", "Set TILEWISE_COURSE to a course folder")


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


def exercises_of(course: Course, chapters: list[str] | None = None) -> Iterator[Exercise]:
    """Iterate over the exercises of the named chapters (slug or folder), or of all."""
    wanted = [course.chapter(name) for name in chapters] if chapters else course.chapters
    for chapter in wanted:
        yield from chapter.exercises
