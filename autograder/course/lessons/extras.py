"""What a card says and a chapter has no place for: kept in `card.toml` beside the draft, and nothing else is."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

from pydantic import BaseModel, ConfigDict, ValidationError

from autograder.course.draft import CARD, read_table
from autograder.course.lessons.card import seconds
from autograder.course.model import CourseError

Fence = tuple[str, str]
PYTHON: Fence = ("```python\n", "\n```")
_FENCED = re.compile(r"(\s*```[\w+-]*[^\S\n]*\n)(.*)(\r?\n```\s*)", re.DOTALL)


class VideoExtras(BaseModel):
    """duration: to the second, where a chapter counts minutes."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    url: str
    cover: str
    duration: str


class Extras(BaseModel):
    """heading: the slides began with the chapter's title.   breaks: their `---` lines are the card's own.

    starter_fence, answer_fence: what stood before and behind the code.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    heading: bool = True
    breaks: bool = True
    starter_fence: Fence = PYTHON
    answer_fence: Fence = PYTHON
    video: tuple[VideoExtras, ...] = ()

    def of_video(self, url: str, minutes: int, place: int) -> tuple[str, str]:
        """Give cover and duration. What the chapter says wins: a length changed there makes the old seconds void."""
        found = next((v for v in (*self.video[place : place + 1], *self.video) if v.url == url), None)
        if found is None:
            return "", f"{minutes}:00"
        agrees = -(-seconds(found.duration) // 60) == minutes
        return found.cover, found.duration if agrees else f"{minutes}:00"


class Code(NamedTuple):
    code: str
    fence: Fence


def unfenced(text: str) -> Code:
    """Take code out of its fence; without one, or with several, the text is the code."""
    if (match := _FENCED.fullmatch(text)) and "```" not in match[2]:
        return Code(match[2], (match[1], match[3]))
    return Code(text, ("", ""))


def read_extras(folder: Path) -> Extras:
    """Read the folder's card.toml; without one, a chapter's own ways. Raises CourseError where it is not as written."""
    file = folder / CARD
    if not file.is_file():
        return Extras()
    try:
        return Extras.model_validate(read_table(file))
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(map(str, first["loc"]))
        raise CourseError(file, key, first["msg"], "Undo what was changed there; it is written by import") from None
