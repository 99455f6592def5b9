"""Read a lesson card's file: JSON, or the Python literal as which `print` shows the same data."""

from __future__ import annotations

import ast
import io
import json
import tokenize
from pathlib import Path
from typing import Any, NoReturn

from autograder.course.lessons.card import Card, card_of
from autograder.course.model import CourseError

MOST_BYTES = 1 << 20
DEEPEST = 16
# All that a literal of texts, truth values, lists, tuples and dicts is made of.
_NAMES = {"True", "False", "None"}
_OPERATORS = {"{": 1, "[": 1, "(": 1, "}": -1, "]": -1, ")": -1, ",": 0, ":": 0}
_SILENT = {tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER, tokenize.COMMENT}


class _NotThisForm(Exception):
    """The text is not JSON, or not a literal: says why, and where."""


class _Twice(Exception):
    """A field stands twice in one place: which of the two would count?"""


def read_card(file: Path) -> Card:
    """Read a lesson card; raise CourseError that names the file and, where there is one, the field."""
    return card_of(read_data(file), file)


def read_data(file: Path) -> Any:
    """Read the file as data of either form, with bounds on size and depth; nothing in it is ever run."""
    text = _read_text(file)
    try:
        try:
            return _json(text)
        except _NotThisForm as error:
            not_json = str(error)
        return _literal(text)
    except _NotThisForm as error:
        problem = f"expected a lesson card, got neither JSON ({not_json}) nor a Python literal ({error})"
        raise CourseError(file, "", problem, "Save what the service answered, whole and as it is") from None
    except _Twice as error:
        raise CourseError(file, str(error), "stands twice in one place", "Keep the one that you mean") from None


def _read_text(file: Path) -> str:
    try:
        with file.open("rb") as stream:
            raw = stream.read(MOST_BYTES + 1)
    except OSError as error:
        problem = f"expected a file that can be read, got: {error.strerror}"
        raise CourseError(file, "", problem, "Name the file that holds the lesson card") from None
    if len(raw) > MOST_BYTES:
        raise CourseError(file, "", f"expected at most {MOST_BYTES} bytes, got more", "A lesson card is a few KiB")
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        problem = f"expected UTF-8, got {error.reason} at byte {error.start}"
        raise CourseError(file, "", problem, "Save it as UTF-8") from None


def _json(text: str) -> Any:
    try:
        data = json.loads(text, parse_constant=_no_constant, object_pairs_hook=_once)
    except RecursionError:
        raise _NotThisForm("it is nested too deep") from None
    except ValueError as error:
        raise _NotThisForm(str(error)) from None
    return data


def _literal(text: str) -> Any:
    _check_tokens(text)
    try:
        tree = ast.parse(text.strip(), mode="eval")
        for node in ast.walk(tree):
            if isinstance(node, ast.Dict):
                _once([(key.value, None) for key in node.keys if isinstance(key, ast.Constant)])
        return ast.literal_eval(tree)
    except (SyntaxError, ValueError, TypeError, MemoryError, RecursionError) as error:
        raise _NotThisForm(str(error)) from None


def _check_tokens(text: str) -> None:
    """Refuse whatever is no plain literal before Python's own parser, which can be made to overflow, sees it."""
    depth = 0
    try:
        for token in tokenize.generate_tokens(io.StringIO(text.strip()).readline):
            if token.type == tokenize.OP and token.string in _OPERATORS:
                depth += _OPERATORS[token.string]
            elif not (
                token.type in (tokenize.STRING, tokenize.NUMBER, *_SILENT)
                or (token.type == tokenize.NAME and token.string in _NAMES)
            ):
                raise _NotThisForm(f"line {token.start[0]} holds {token.string[:40]!r}")
            if depth > DEEPEST:
                raise _NotThisForm(f"line {token.start[0]} is nested deeper than {DEEPEST}")
    except (tokenize.TokenError, SyntaxError) as error:
        raise _NotThisForm(str(error.args[0])) from None


def _once(pairs: list[tuple[Any, Any]]) -> dict[Any, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        raise _Twice(next(name for place, name in enumerate(names) if name in names[:place]))
    return found


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a number that JSON knows")
