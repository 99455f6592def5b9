"""The format of a lesson card, typed: what each field may hold, and an error that says what came in its place."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, WithJsonSchema, model_validator

from autograder.course.model import CourseError

MOST_OPTIONS = 26
# A text that a UTF-8 file gives back as it was, and a terminal shows as it is: no lone surrogates, no control
# characters but tab and line end, and none of the other characters at which Python breaks lines.
_UNFIT = re.compile(r"[\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f-\u009f\u2028\u2029\ud800-\udfff]|\r(?!\n)")
_DURATION = re.compile(r"[0-9]{1,3}(:[0-9]{1,2}){1,2}")
_ADDRESS = re.compile(r"https?://\S+")


def _fit(text: str) -> str:
    if found := _UNFIT.search(text):
        line = text.count("\n", 0, found.start()) + 1
        raise ValueError(f"expected text without control characters, got U+{ord(found[0][0]):04X} in its line {line}")
    return text


def _filled(text: str) -> str:
    if not text.strip():
        raise ValueError(f"expected a text that is not blank, got {text[:40]!r}")
    return text


def _duration(text: str) -> str:
    if not _DURATION.fullmatch(text) or seconds(text) == 0:
        raise ValueError(f"expected a length such as '17:34' or '1:02:30', got {text[:40]!r}")
    return text


def _address(text: str) -> str:
    if not _ADDRESS.fullmatch(text):
        raise ValueError(f"expected an address that begins with http:// or https://, got {text[:80]!r}")
    return text


def _true(value: bool) -> bool:
    if not value:
        raise ValueError("expected true, got false: the service says that it made no lesson")
    return value


def _as(unfit: str = _UNFIT.pattern, **schema: Any) -> Any:
    """Say in the published schema what the validators do. unfit: what may stand nowhere in the text."""
    return WithJsonSchema({"type": "string"} | schema | {"not": {"pattern": unfit}})


# `$` may stand before a last line end; no white space may.
_UNFIT_WORD = rf"\s|{_UNFIT.pattern}"
Plain = Annotated[str, Field(strict=True), AfterValidator(_fit), _as()]
Words = Annotated[Plain, AfterValidator(_filled), _as(pattern=r"\S")]
Duration = Annotated[Plain, AfterValidator(_duration), _as(_UNFIT_WORD, pattern=rf"^(?!0+(:0+)+$){_DURATION.pattern}$")]
Address = Annotated[Plain, AfterValidator(_address), _as(_UNFIT_WORD, pattern=r"^https?://.")]
Success = Annotated[bool, Field(strict=True), AfterValidator(_true), WithJsonSchema({"const": True})]


class Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class CardQuestion(Part):
    """A question with one right option, which `answer` repeats word by word."""

    question: Words
    type: Literal["choice"]
    options: Annotated[
        tuple[Words, ...], Field(min_length=2, max_length=MOST_OPTIONS, json_schema_extra={"uniqueItems": True})
    ]
    answer: Words

    @model_validator(mode="after")
    def _has_its_answer_once(self) -> CardQuestion:
        if twice := next((o for o in self.options if self.options.count(o) > 1), None):
            raise ValueError(f"options: expected each option once, got {twice[:60]!r} twice")
        if self.answer not in self.options:
            raise ValueError(f"answer: expected one of the options, word by word, got {self.answer[:60]!r}")
        return self


class CardTask(Part):
    """The coding task. starter_code and answer are Python, usually inside a fence of three backticks."""

    title: Words
    description: Words
    starter_code: Words
    answer: Words


class CardVideo(Part):
    """A video. cover: the address of a picture, may be empty.   duration: minutes:seconds or hours:minutes:seconds."""

    title: Words
    url: Address
    cover: Plain
    duration: Duration


class CardLesson(Part):
    """One lesson: slides in Markdown, choice questions, a coding task, videos."""

    type: Literal["coding"]
    difficulty: Literal["beginner", "intermediate", "advanced"]
    ppt_slide: Words
    questions: tuple[CardQuestion, ...]
    task: CardTask
    videos: tuple[CardVideo, ...]


class Card(Part):
    """What a lesson-writing service answers with."""

    success: Success
    task: CardLesson


def card_of(data: Any, file: Path) -> Card:
    """Check what was read; raise CourseError that names the first field in which it is no lesson card."""
    try:
        return Card.model_validate(data)
    except ValidationError as error:
        first = error.errors()[0]
        key = field_name(first["loc"])
        problem, remedy = _explained(first)
        if first["type"] == "value_error" and problem.partition(":")[0] in ("options", "answer"):
            inner, _, problem = problem.partition(": ")
            key = f"{key}.{inner}"
        raise CourseError(file, key, problem, remedy) from None


def field_name(location: tuple[int | str, ...]) -> str:
    """Write the place of a value as one would in code: task.questions[0].answer."""
    written = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in location)
    return written.removeprefix(".") or "the card"


def seconds(duration: str) -> int:
    """Give the length of a video: '17:34' -> 1054."""
    total = 0
    for part in duration.split(":"):
        total = total * 60 + int(part)
    return total


def _explained(error: Any) -> tuple[str, str]:
    """Say what was expected and what came, and what to do."""
    came = _shown(error["input"])
    match error["type"]:
        case "missing":
            return "is missing", "Add it; docs/lesson-card.schema.json describes the format"
        case "extra_forbidden":
            return f"expected no such field, got {came}", f"Remove it; {_known(error['loc'])}"
        case "value_error":
            return str(error["ctx"]["error"]), "Mend the value"
        case "literal_error":
            return f"expected {error['ctx']['expected']}, got {came}", "Write one that the format knows"
        case "too_short" | "too_long":
            bounds = f"expected 2 to {MOST_OPTIONS} entries, got {error['ctx']['actual_length']}"
            return bounds, "Add or drop options"
        case "model_type":
            return f"expected fields by name, got {came}", "Write it as {...} with the fields of the format"
    expected = {"string_type": "text", "tuple_type": "a list", "bool_type": "true"}
    return f"expected {expected.get(error['type'], error['msg'])}, got {came}", "Mend the value"


def _known(location: tuple[int | str, ...]) -> str:
    """List the fields that may stand where a field does not belong."""
    place: Any = Card
    for part in location[:-1]:
        if isinstance(part, str):
            place = next(_models(place.model_fields[part].annotation))
    return f"known here are {', '.join(place.model_fields)}"


def _models(annotation: Any) -> Iterator[Any]:
    if isinstance(annotation, type) and issubclass(annotation, Part):
        yield annotation
    for inner in getattr(annotation, "__args__", ()):
        yield from _models(inner)


def _shown(value: Any) -> str:
    kinds: dict[type, str] = {
        dict: "fields by name", list: "a list", tuple: "a list", type(None): "nothing (null)", bytes: "bytes"
    }  # fmt: skip
    if type(value) in kinds:
        return kinds[type(value)]
    return repr(value) if len(repr(value)) <= 80 else repr(value)[:77] + "..."
