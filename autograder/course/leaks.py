"""Scan what students get for what they must not: solutions, known-wrong and right bodies, checks, graded keys.

Two nets. The *shape* of a release is a short list: notebooks and figures, in them sources and the metadata that the
build writes, no outputs or attachments; whatever else is there (a gradebook with its seed, say) is a leak whatever it
holds. And every *text* is searched, base64 decoded too, for distinctive lines of the secrets, whatever its white space.
A line that an author shows on purpose (slides, statements) is no secret; most of a body in one place is.
"""

from __future__ import annotations

import base64
import html
import json
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from autograder.course.ids import answer_grade_id
from autograder.course.model import LANGUAGES, Course, Question
from autograder.course.notebook import answer_stub
from autograder.course.starter import BEGIN, END, solution_lines, starter_cell_source

FIGURES = {".svg", ".png", ".jpg", ".webp"}
NOTEBOOK_METADATA = {"kernelspec", "language_info", "tilewise"}
CELL_METADATA = {"nbgrader", "tilewise", "slideshow", "deletable", "editable"}
# A shorter line (`return m, l`) says nothing by itself. A Chinese character says as much as three Latin letters.
DISTINCTIVE_WEIGHT = 16
CHINESE_WEIGHT = 3
# A text with this share of a body's distinctive lines, and as many, holds the body, though each be shown somewhere.
WHOLE_BODY = 0.7
WHOLE_BODY_LINES = 3
# Secrets are looked up by so many first characters; the shortest distinctive line is as long.
START = 6
_BASE64 = re.compile(r"[A-Za-z0-9+/_\n-]{24,}")


@dataclass(frozen=True)
class Leak:
    """Something that a student must not get. file: in the release; where: cell or part; what: the secret, in words."""

    file: str
    where: str
    what: str


@dataclass(frozen=True)
class Secret:
    """One text to keep: its name, and its distinctive lines as `squeeze` leaves them."""

    name: str
    lines: frozenset[str]


def scan_release(course: Course, release: Mapping[PurePosixPath, bytes]) -> list[Leak]:
    """List what a release, a map from path to content, gives away; empty when it is clean."""
    scan = _Scan(course)
    return [leak for path, content in sorted(release.items()) for leak in scan.file(path, content)]


def squeeze(text: str) -> str:
    """Reduce a text to what reformatting leaves: no white space, `#` or backslashes, one kind of quotes."""
    return re.sub(r"[\s\\#]+", "", text).replace('"', "'")


class _Scan:
    """The secrets of a course, indexed once, and what of them is shown on purpose."""

    def __init__(self, course: Course) -> None:
        self._stubs = {
            answer_grade_id(q.full_id): answer_stub(q.full_id) for q in course.questions.values() if q.graded
        }
        texts = [chapter.slides[language] for chapter in course.chapters for language in LANGUAGES]
        texts += [e.statement[language] for e in course.exercises.values() for language in LANGUAGES]
        texts += [w.prompt[language] for chapter in course.chapters for w in chapter.written for language in LANGUAGES]
        self._shown = "\n".join(map(squeeze, texts))
        self._by_start: dict[str, list[tuple[str, Secret]]] = defaultdict(list)
        for secret in _secrets(course):
            for line in secret.lines:
                self._by_start[line[:START]].append((line, secret))

    def file(self, path: PurePosixPath, content: bytes) -> Iterator[Leak]:
        """Scan one file of a release."""
        if path.suffix == ".ipynb":
            notebook = json.loads(content)
            yield from self._shape(str(path), notebook)
            for where, text in _texts(notebook):
                yield from self._text(str(path), where, text)
        elif path.parent.name == "figures" and path.suffix in FIGURES:
            yield from self._text(str(path), "", content.decode("utf-8", errors="replace"))
        else:
            yield Leak(str(path), "", "a file that is neither a notebook nor a figure")

    def _shape(self, path: str, notebook: dict[str, Any]) -> Iterator[Leak]:
        """Find what stands in a notebook beyond the sources and the metadata that the build writes."""
        if extra := sorted(notebook["metadata"].keys() - NOTEBOOK_METADATA):
            yield Leak(path, "metadata", f"metadata that no build writes: {', '.join(extra)}")
        for cell in notebook["cells"]:
            where = f"cell {cell['id']}"
            source = "".join(cell["source"])
            if extra := sorted(cell["metadata"].keys() - CELL_METADATA):
                yield Leak(path, where, f"metadata that no build writes: {', '.join(extra)}")
            if cell.get("outputs") or cell.get("execution_count"):
                yield Leak(path, where, "the output of a run")
            if cell.get("attachments"):
                yield Leak(path, where, "an attachment")
            if BEGIN in source or END in source:
                yield Leak(path, where, "the marks of a solution")
            if source != self._stubs.get(cell["id"], source):
                yield Leak(path, where, "an answer cell that is not its stub, so perhaps a key")

    def _text(self, path: str, where: str, text: str) -> Iterator[Leak]:
        for reading in _readings(text):
            found: dict[str, set[str]] = defaultdict(set)
            secrets = {}
            for secret, line in self._hits(squeeze(reading)):
                found[secret.name].add(line)
                secrets[secret.name] = secret
            for name, lines in found.items():
                if unshown := sorted(line for line in lines if line not in self._shown):
                    yield Leak(path, where, f"{name}: {unshown[0]!r}")
                elif len(lines) >= max(WHOLE_BODY_LINES, WHOLE_BODY * len(secrets[name].lines)):
                    yield Leak(path, where, f"{name}: {len(lines)} of its {len(secrets[name].lines)} lines")

    def _hits(self, squeezed: str) -> Iterator[tuple[Secret, str]]:
        for place in range(len(squeezed) - START + 1):
            for line, secret in self._by_start.get(squeezed[place : place + START], ()):
                if squeezed.startswith(line, place):
                    yield secret, line


def _secrets(course: Course) -> Iterator[Secret]:
    for exercise in course.exercises.values():
        starter = starter_cell_source(exercise)
        yield _secret(f"the solution of {exercise.id}", "\n".join(solution_lines(exercise)), starter)
        yield _secret(f"checks.py of {exercise.id}", exercise.checks_path.read_text(encoding="utf-8"), starter)
        for name, path in exercise.variants("wrong").items():
            yield _secret(f"the wrong solution {name} of {exercise.id}", path.read_text(encoding="utf-8"), starter)
        for name, path in exercise.variants("right").items():
            yield _secret(f"the right solution {name} of {exercise.id}", path.read_text(encoding="utf-8"), starter)
    for question in course.questions.values():
        if question.graded:
            yield _secret(f"the key of {question.full_id}", "\n".join(_whys(question)), "")


def _secret(name: str, text: str, starter: str) -> Secret:
    """Keep the distinctive lines of a text, comments left out, that the starter does not hold; a short text is one."""
    given = squeeze(starter)
    code = [re.sub(r"(^|\s)#.*", "", line) for line in text.splitlines()]
    lines = [line for line in map(squeeze, code) if line not in given]
    distinctive = [line for line in lines if _is_distinctive(line)]
    if not distinctive and len(whole := "".join(lines)) >= START:
        distinctive = [whole]
    return Secret(name, frozenset(distinctive))


def _is_distinctive(line: str) -> bool:
    weight = sum(CHINESE_WEIGHT if character > "\u2e80" else 1 for character in line)
    return weight >= DISTINCTIVE_WEIGHT and len(line) >= START and not line.startswith(("import", "from"))


def _whys(question: Question) -> Iterator[str]:
    for text in (*(option.why for option in question.options), *([question.why] if question.why else [])):
        yield from (text.en, text.zh)


def _texts(value: Any, where: str = "notebook") -> Iterator[tuple[str, str]]:
    """Walk every string of a notebook, keys too: (the cell it stands in, the text); lists of lines are joined."""
    if isinstance(value, str):
        yield where, value
    elif isinstance(value, list):
        if all(isinstance(item, str) for item in value):
            yield where, "".join(value)
        else:
            for item in value:
                yield from _texts(item, where)
    elif isinstance(value, dict):
        inner = f"cell {value['id']}" if "source" in value else where
        for key, item in value.items():
            yield inner, key
            yield from _texts(item, inner)


def _readings(text: str) -> Iterator[str]:
    """Give a text as it is, with the escapes of HTML and JSON resolved, and every base64 run in it, decoded."""
    yield text
    plain = re.sub(r"\\u([0-9a-fA-F]{4})", lambda escape: chr(int(escape[1], 16)), html.unescape(text))
    if plain != text:
        yield plain
    for run in _BASE64.findall(text):
        digits = run.replace("\n", "").replace("-", "+").replace("_", "/")
        for start in range(4):  # a run may begin in the middle of a word
            part = digits[start:]
            if len(part) % 4 == 1:  # no bytes give that many digits
                part = part[:-1]
            yield base64.b64decode(part + "=" * (-len(part) % 4)).decode("utf-8", errors="replace")
