"""A card's slides are one Markdown text; a chapter's are split by `---` lines, with the places of blocks between."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from autograder.course.model import CourseError
from autograder.course.slides import DIRECTIVE, lines_of

FIELD = "task.ppt_slide"
_TITLE = re.compile(r"# (\S(?:[^\r\n]*\S)?)\n\n(?=.*\S)", re.DOTALL)
_SECTION = re.compile(r"##\s")


@dataclass(frozen=True)
class Deck:
    """title: that of the heading with which the slides began, if they did.   breaks: the `---` lines are the card's."""

    title: str | None
    slides: str
    breaks: bool


def opened(text: str, file: Path) -> Deck:
    """Split a card's slides as it splits them itself, else before its sections; `closed` gives the text back.

    Raises CourseError for a code block without end, or for a line that would place a block.
    """
    heading = _TITLE.match(text)
    body = text[heading.end() :] if heading else text
    lines = body.splitlines(keepends=True)
    try:
        places = list(lines_of(body, file))
    except CourseError as error:
        raise CourseError(file, FIELD, error.problem, error.remedy) from None
    outside = [place.place == "outside" for place in places]
    for line, free in zip(lines, outside, strict=True):
        if free and DIRECTIVE.fullmatch(line.strip()):
            problem = f"expected slides, got the line {line.strip()!r}, which places a block in a chapter"
            raise CourseError(file, FIELD, problem, "Put it into other words or into a code block")
    breaks = any(free and _is_break(line) for line, free in zip(lines, outside, strict=True))
    slides, since = "", ""
    for line, free in zip(lines, outside, strict=True):
        if not breaks and free and _SECTION.match(line) and since.strip():
            slides, since = f"{slides}---\n", ""
        slides, since = slides + line, since + line
    return Deck(heading[1] if heading else None, slides, breaks)


def placed(slides: str, blocks: list[str]) -> str:
    """Put the places of blocks behind the slides: `quiz q1`."""
    return "\n---\n".join([slides, *(f"{{{{{block}}}}}" for block in blocks)])


def closed(deck: Deck, file: Path) -> str:
    """Join slides to one text again, without the places of blocks."""
    pieces = list(_pieces(deck.slides, file))
    texts = [(piece, end) for piece, end in pieces if not DIRECTIVE.fullmatch(piece.strip())]
    text = "".join(piece + end if deck.breaks else piece for piece, end in texts[:-1]) + "".join(
        p for p, _ in texts[-1:]
    )
    if texts[-1:] != pieces[-1:]:
        text = text.removesuffix("\n")  # `placed` put it between the last slide and the first block
    return f"# {deck.title}\n\n{text}" if deck.title is not None else text


def _pieces(slides: str, file: Path) -> Iterator[tuple[str, str]]:
    """Cut at the `---` lines: each piece, and the line that ended it."""
    piece = ""
    for line, place in zip(slides.splitlines(keepends=True), lines_of(slides, file), strict=True):
        if place.place == "outside" and _is_break(line):
            yield piece, line
            piece = ""
        else:
            piece += line
    yield piece, ""


def _is_break(line: str) -> bool:
    return line.strip() == "---"
