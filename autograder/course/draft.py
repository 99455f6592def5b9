"""A chapter that is not finished: `draft = true` in its chapter.toml, and texts in one language where two are needed.

Only drafts are read with these lenient types. `autograder.course.model` keeps demanding both languages of everything
that is released, and `autograder.course.unfinished` says what a draft still lacks by that measure.
"""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from autograder.course.model import LANGUAGES, CourseError, Language, NonEmpty, Slug, Video, slug_of

STARTER, CARD = "starter.py", "card.toml"


class Lenient(BaseModel):
    """Reads what a draft has; keys that it has no use for are left for `unfinished` to judge."""

    model_config = ConfigDict(extra="ignore", frozen=True)


D = TypeVar("D", bound=Lenient)


class PartialText(Lenient):
    """A statement in the languages that it exists in so far."""

    en: NonEmpty | None = None
    zh: NonEmpty | None = None

    def __getitem__(self, language: str) -> str | None:
        return self.zh if language == "zh" else self.en


class DraftOption(Lenient):
    key: str
    text: PartialText
    correct: bool = False


class DraftQuestion(Lenient):
    id: str
    kind: Literal["one", "several", "number", "ordering"] = "one"
    prompt: PartialText
    option: tuple[DraftOption, ...] = ()


class DraftExercise(Lenient):
    """solution: what stands in solution.py.   starter: starter.py, for as long as it is not made from the solution."""

    name: Slug
    folder: Path
    title: PartialText
    statement: PartialText
    solution: str
    starter: str | None


class Draft(Lenient):
    """A draft's folder, read."""

    folder: Path
    title: PartialText
    difficulty: Literal["beginner", "intermediate", "advanced"]
    exercises: tuple[DraftExercise, ...]
    questions: tuple[DraftQuestion, ...]
    video: tuple[Video, ...] = ()
    slides: PartialText

    @property
    def slug(self) -> str:
        return slug_of(self.folder.name)

    @property
    def languages(self) -> tuple[Language, ...]:
        """The languages in which there are slides."""
        return tuple(language for language in LANGUAGES if self.slides[language] is not None)


def load_draft(folder: Path) -> Draft:
    """Read a draft's folder; raise CourseError for the first file that cannot be read even as a draft."""
    file, quiz_file = folder / "chapter.toml", folder / "quiz.toml"
    raw, quiz = read_table(file), read_table(quiz_file)
    names = raw.get("exercises", [])
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise CourseError(file, "exercises", "is not a list of folder names", 'Write exercises = ["task"]')
    questions = quiz.get("question", [])
    return _validated(
        Draft,
        file,
        raw
        | {
            "folder": folder,
            "exercises": [_load_exercise(folder / name) for name in names],
            "questions": questions,
            "slides": texts_of(folder, "slides"),
        },
    )


def texts_of(folder: Path, stem: str) -> dict[str, str]:
    """Read STEM.en.md and STEM.zh.md, whichever there are; a text is the file without its last line end."""
    files = {language: folder / f"{stem}.{language}.md" for language in LANGUAGES}
    return {language: read_exactly(file) for language, file in files.items() if file.is_file()}


def read_exactly(file: Path) -> str:
    """Read a text as it stands, whatever its line ends, without the last one; raise CourseError if it is not there."""
    try:
        return file.read_bytes().decode("utf-8").removesuffix("\n")
    except FileNotFoundError:
        raise CourseError(file, "", "is missing", "A draft needs it too") from None
    except UnicodeDecodeError as error:
        raise CourseError(file, "", f"is not UTF-8 ({error.reason})", "Save it as UTF-8") from None


def read_table(file: Path) -> dict[str, Any]:
    """Read a TOML file; raise CourseError if it is not there or is not TOML."""
    try:
        return tomllib.loads(read_exactly(file))
    except tomllib.TOMLDecodeError as error:
        raise CourseError(file, "", f"is not TOML: {error}", "Mend the syntax at that place") from None


def _load_exercise(folder: Path) -> DraftExercise:
    file = folder / "exercise.toml"
    filled = read_table(file) | {
        "name": folder.name,
        "folder": folder,
        "statement": texts_of(folder, "statement"),
        "solution": read_exactly(folder / "solution.py"),
        "starter": read_exactly(folder / STARTER) if (folder / STARTER).is_file() else None,
    }
    return _validated(DraftExercise, file, filled)


def _validated(model: type[D], file: Path, raw: dict[str, Any]) -> D:
    try:
        return model.model_validate(raw)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"])
        problem = "is missing" if first["type"] == "missing" else f"{first['msg']}, got {str(first['input'])[:80]!r}"
        raise CourseError(file, key, problem, "Even a draft needs this much; mend it") from None
