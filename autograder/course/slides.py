"""Read `slides.{en,zh}.md`: slides between `---` lines, code to run, and places for exercises and questions.

A slide is a tuple of pieces. A fenced block with the info string `python run` is a piece of its own, a demo; a slide
that is one line `{{exercise NAME}}`, `{{quiz q1}}` or `{{written w1}}` is the place of that block.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import Literal, NamedTuple

from autograder.course.model import Chapter, CourseError, Language

BLOCKS = ("exercise", "quiz", "written")
RUN = "python run"
_FENCE = re.compile(r" {0,3}(`{3,}|~{3,})\s*(.*?)\s*$")
DIRECTIVE = re.compile(r"\{\{\s*(\w+)\s+([\w.]+)\s*\}\}")
_HEADING = re.compile(r" {0,3}(#{1,6})\s")
_FIGURE = re.compile(r"!\[[^\]]*\]\(\s*<?([^)\s>]+)>?[^)]*\)|<img\b[^>]*?\bsrc=[\"']([^\"']+)[\"']")


@dataclass(frozen=True)
class Piece:
    """One cell's worth of a slide. text: markdown, code, or the name of the block that stands here."""

    kind: Literal["markdown", "demo", "exercise", "quiz", "written"]
    text: str


Slide = tuple[Piece, ...]


class Line(NamedTuple):
    """A line of markdown. place: outside fences, inside one, or a fence line itself; info: that of the fence."""

    text: str
    place: Literal["outside", "open", "inside", "close"]
    info: str


def read_slides(text: str, file: Path) -> list[Slide]:
    """Split a slides file; raise CourseError for a fence without end, an empty slide or a misplaced directive."""
    slides = []
    for number, lines in enumerate(_split(lines_of(text, file)), start=1):
        slide = _slide(lines, file, number)
        if not slide:
            raise CourseError(file, f"slide {number}", "is empty", "Write it, or drop one of the `---` lines around it")
        slides.append(slide)
    return slides


def blocks(slides: list[Slide]) -> list[tuple[str, str]]:
    """List (kind, name) of every block, in the order of the slides."""
    return [(piece.kind, piece.text) for slide in slides for piece in slide if piece.kind in BLOCKS]


def figures(text: str) -> list[str]:
    """List the local images that a markdown text shows, as written; what has a scheme (https:) is not ours."""
    found = [first or second for first, second in _FIGURE.findall(text)]
    return [name for name in found if not re.match(r"[a-z][a-z0-9+.-]*:", name)]


def outside_fences(text: str, file: Path) -> str:
    """Give the lines of a markdown text that are not code."""
    return "\n".join(line.text for line in lines_of(text, file) if line.place == "outside")


def check_blocks(chapter: Chapter, placed: list[tuple[str, str]], file: Path) -> None:
    """Raise CourseError unless the slides place every exercise and question of the chapter exactly once."""
    wanted = [("exercise", e.name) for e in chapter.exercises]
    wanted += [("quiz", q.id) for q in chapter.questions] + [("written", w.id) for w in chapter.written]
    for kind, name in placed:
        if (kind, name) not in wanted:
            known = ", ".join(n for k, n in wanted if k == kind) or "none"
            raise CourseError(file, f"{{{{{kind} {name}}}}}", f"names no {kind} of this chapter", f"There are: {known}")
    for kind, name in wanted:
        if (times := placed.count((kind, name))) != 1:
            place = f"{{{{{kind} {name}}}}}"
            raise CourseError(file, place, f"stands {times} times", "Give it one slide of its own, exactly once")


def check_in_step(file: Path, texts: Mapping[Language, str], key: str = "") -> None:
    """Raise CourseError at the first structural difference between a text in English and in Chinese.

    file: the Chinese one, which is the one to blame. Compared: levels of headings, figures, and fenced blocks by their
    info string, each in order.
    """
    outlines = (_outline(texts["zh"], file), _outline(texts["en"], file))
    for place, (ours, theirs) in enumerate(zip_longest(*outlines, fillvalue="nothing"), start=1):
        if ours != theirs:
            problem = f"is out of step with English: element {place} is {ours} where English has {theirs}"
            raise CourseError(file, key, problem, "Keep headings, figures and code blocks the same in both languages")


def check_slides_in_step(file: Path, slides: Mapping[Language, list[Slide]]) -> None:
    """Raise CourseError unless both languages hold the same slides, blocks, demo code, headings and figures."""
    if len(slides["en"]) != len(slides["zh"]):
        counts = f"has {len(slides['zh'])} slides where English has {len(slides['en'])}"
        raise CourseError(file, "", counts, "Keep the same slides in the same order in both languages")
    for number, (en, zh) in enumerate(zip(slides["en"], slides["zh"], strict=True), start=1):
        key = f"slide {number}"
        for ours, theirs in zip_longest(zh, en):
            if _fixed(ours) != _fixed(theirs):
                problem = f"is out of step with English: {_fixed(ours)} where English has {_fixed(theirs)}"
                raise CourseError(file, key, problem, "Blocks and code to run are the same, letter by letter")
            check_in_step(file, {"en": theirs.text, "zh": ours.text}, key)


def lines_of(text: str, file: Path) -> Iterator[Line]:
    """Tell of every line whether it is code; raise CourseError for a fence without end."""
    fence, info = "", ""
    for line in text.splitlines():
        match = _FENCE.match(line)
        if not fence and match:
            fence, info = match[1], match[2]
            yield Line(line, "open", info)
        elif fence and match and match[1].startswith(fence) and not match[2]:
            yield Line(line, "close", info)
            fence, info = "", ""
        else:
            yield Line(line, "inside" if fence else "outside", info)
    if fence:
        raise CourseError(file, "", f"a code block that begins with {fence}{info} never ends", f"Close it with {fence}")


def _split(lines: Iterator[Line]) -> Iterator[list[Line]]:
    slide: list[Line] = []
    for line in lines:
        if line.place == "outside" and line.text.strip() == "---":
            yield slide
            slide = []
        else:
            slide.append(line)
    yield slide


def _slide(lines: list[Line], file: Path, number: int) -> Slide:
    whole = "\n".join(line.text for line in lines).strip()
    if directive := DIRECTIVE.fullmatch(whole):
        return (Piece(_block_kind(directive[1], file, number), directive[2]),)  # type: ignore[arg-type]
    for line in lines:
        if line.place == "outside" and DIRECTIVE.fullmatch(line.text.strip()):
            problem = f"holds {line.text.strip()} beside other text"
            raise CourseError(file, f"slide {number}", problem, "Give it a slide of its own, between `---` lines")
    pieces: list[Piece] = []
    prose: list[str] = []
    code: list[str] = []
    for line in lines:
        if line.info != RUN:
            prose.append(line.text)
        elif line.place == "open":
            pieces.append(Piece("markdown", "\n".join(prose).strip()))
            prose, code = [], []
        elif line.place == "inside":
            code.append(line.text)
        else:
            pieces.append(Piece("demo", "\n".join(code).strip("\n")))
    pieces.append(Piece("markdown", "\n".join(prose).strip()))
    return tuple(piece for piece in pieces if piece.text)


def _block_kind(word: str, file: Path, number: int) -> str:
    if word not in BLOCKS:
        raise CourseError(file, f"slide {number}", f"{{{{{word}}}}} is unknown", f"There are: {', '.join(BLOCKS)}")
    return word


def _outline(text: str, file: Path) -> Iterator[str]:
    for line in lines_of(text, file):
        if line.place == "open":
            yield f"a code block of {line.info or 'no language'}"
        elif line.place == "outside":
            if heading := _HEADING.match(line.text):
                yield f"a heading of level {len(heading[1])}"
            yield from (f"the figure {name}" for name in figures(line.text))


def _fixed(piece: Piece | None) -> str:
    """Describe what may not differ between the languages."""
    if piece is None:
        return "nothing"
    return "text" if piece.kind == "markdown" else f"{piece.kind} {piece.text!r}"
