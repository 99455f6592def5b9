"""Typed models of `course/`; `course.reading` fills them in."""

from __future__ import annotations

import builtins
import re
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

Language = Literal["en", "zh"]
LANGUAGES: tuple[Language, ...] = ("en", "zh")
FORMAT = 1

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
    """One entry of `glossary.toml`: its symbol in LaTeX and name in code, where it has them, and the word to use.

    avoid: other words for the same thing, which Chinese texts must not use.
    """

    id: Slug
    symbol: str = ""
    code: str = ""
    en: NonEmpty
    zh: NonEmpty
    avoid: tuple[NonEmpty, ...] = ()
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


def exercises_of(course: Course, chapters: list[str] | None = None) -> Iterator[Exercise]:
    """Iterate over the exercises of the named chapters (slug or folder), or of all."""
    wanted = [course.chapter(name) for name in chapters] if chapters else course.chapters
    for chapter in wanted:
        yield from chapter.exercises
