"""Answers to quiz questions: what one may look like, where it is kept, and what it is worth.

`answers.json` lies beside the notebook and maps question ids to answers:
    {"online_softmax.q1": "b", "online_softmax.q5": ["a", "c"], "online_softmax.q6": 12.5}
It comes from students, and so does the text of an answer cell; nothing here runs either.
"""

from __future__ import annotations

import ast
import math
import re
import warnings
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any, Final

from autograder.course.datafile import DataFileError, locked, read_json, set_aside, write_json
from autograder.course.model import Question

Answer = str | float | tuple[str, ...] | None

FILE_NAME = "answers.json"
FILE_LIMIT = 64 * 1024
SOURCE_LIMIT = 64 * 1024
TEXT_LIMIT = 200
MOST_CHOICES = 26


class Picked(Enum):
    """Stands for "the answer is in answers.json"."""

    PICKED = "picked"


PICKED: Final = Picked.PICKED


class AnswersError(Exception):
    """answers.json cannot be taken as it is: says why. Whoever grades takes it for no answers at all."""


@dataclass(frozen=True)
class Mark:
    """What an answer is worth. A practice question has max_points 0. `answered`: there was one of the right shape."""

    correct: bool
    points: float
    max_points: float
    answered: bool


def mark(question: Question, answer: Answer) -> Mark:
    """Mark one answer: all of the points or none."""
    given = normalised(question, answer)
    correct = given is not None and _is_right(question, given)
    return Mark(correct, question.points if correct else 0.0, question.points, given is not None)


def normalised(question: Question, answer: Answer) -> Answer:
    """Bring an answer to the one form of its kind, or give None where it is no answer to this question.

    one: a key. several: the keys, sorted. ordering: every key once. number: a finite float.
    Accepts what people type as well: "B", "a, c", "ca", "12.5", "12.5 KiB".
    """
    if answer is None or isinstance(answer, bool):
        return None
    if question.kind == "number":
        return _number(answer, question.unit)
    keys = _keys(answer)
    if keys is None or not set(keys) <= {option.key for option in question.options}:
        return None
    match question.kind:
        case "one":
            return keys[0] if len(keys) == 1 else None
        case "several":
            return tuple(sorted(set(keys))) or None
        case _:
            return keys if sorted(keys) == sorted(question.order) else None


def read_answers(folder: Path) -> dict[str, Answer]:
    """Read answers.json of a folder; {} where there is none. Raises AnswersError for one that cannot be taken."""
    try:
        raw = read_json(folder / FILE_NAME, limit=FILE_LIMIT)
    except DataFileError as error:
        raise AnswersError(str(error)) from None
    if raw is None:
        return {}
    if not isinstance(raw, dict):
        raise AnswersError(f"{FILE_NAME} holds a {type(raw).__name__}, expected an object of question ids and answers")
    return {question_id: _stored(question_id, value) for question_id, value in raw.items() if value is not None}


def write_answer(folder: Path, question_id: str, answer: Answer) -> Path | None:
    """Store one answer beside the others; None takes it away.

    An answers.json that cannot be read is first set aside: its new path is returned, for telling the learner.
    """
    file = folder / FILE_NAME
    kept = None
    with locked(file):
        try:
            answers = read_answers(folder)
        except AnswersError:
            kept = set_aside(file)
            answers = {}
        answers[question_id] = answer
        write_json(file, {key: value for key, value in answers.items() if value is not None})
    return kept


def typed_answer(source: str, question_id: str) -> Answer | Picked:
    """Read the answer out of the text of an answer cell, without running it.

    The last assignment to the question's own name counts: `q7 = "b"` gives "b", and something that is no literal gives
    None, no answer. `q7 = picked(...)` gives PICKED, and so does a cell that assigns nothing or cannot be parsed: what
    was chosen in the widget must not be lost with it.
    """
    value = _assigned(source, _name(question_id))
    match value:
        case None | ast.Call(func=ast.Name(id="picked")):
            return PICKED
        case _:
            return _literal(value)


def assigns(source: str, question_id: str) -> bool:
    """Say whether a cell's text assigns to the question's own name: whether it is an answer cell of it."""
    return _assigned(source, _name(question_id)) is not None


def _name(question_id: str) -> str:
    return question_id.rpartition(".")[2]


def _assigned(source: str, name: str) -> ast.expr | None:
    if len(source) > SOURCE_LIMIT:
        return None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a student's "\d" must not print a SyntaxWarning
            body = ast.parse(source).body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None
    found = None
    for statement in body:
        match statement:
            case ast.Assign(targets=targets, value=value):
                if any(isinstance(t, ast.Name) and t.id == name for t in targets):
                    found = value
            case ast.AnnAssign(target=ast.Name(id=target), value=value) if target == name:
                found = value
    return found


def _literal(node: ast.expr) -> Answer:
    match node:
        case ast.Constant(value=bool()):
            return None
        case ast.Constant(value=str() | int() | float() as value):
            return _scalar(value)
        case ast.UnaryOp(op=ast.USub() | ast.UAdd() as sign, operand=ast.Constant(value=int() | float() as value)):
            number = _scalar(value)
            return -number if isinstance(number, float) and isinstance(sign, ast.USub) else number
        case ast.List(elts=items) | ast.Tuple(elts=items) | ast.Set(elts=items):
            return _choices([item.value if isinstance(item, ast.Constant) else None for item in items])
        case _:
            return None


def from_json(value: Any) -> Answer:
    """Take a value that somebody else wrote as JSON: a short text, a finite number, a short list of texts, or None."""
    return _choices(value) if isinstance(value, list) else _scalar(value)


def _stored(question_id: str, value: Any) -> Answer:
    known = from_json(value)
    if known is None:
        raise AnswersError(f"{FILE_NAME}: {question_id[:80]!r} holds neither a text, a number nor a list of texts")
    return known


def _scalar(value: Any) -> str | float | None:
    if isinstance(value, str):
        return value if len(value) <= TEXT_LIMIT else None
    if isinstance(value, int | float) and not isinstance(value, bool):
        try:
            return float(value) if math.isfinite(value) else None
        except OverflowError:
            return None
    return None


def _choices(values: list[Any]) -> tuple[str, ...] | None:
    if len(values) > MOST_CHOICES or not all(isinstance(v, str) and len(v) <= TEXT_LIMIT for v in values):
        return None
    return tuple(values)


def _keys(answer: Answer) -> tuple[str, ...] | None:
    if isinstance(answer, tuple):
        return tuple(key.strip().lower() for key in answer)
    if isinstance(answer, str) and re.fullmatch(r"[A-Za-z](?:[\s,;>→]*[A-Za-z])*", answer.strip()):
        return tuple(re.findall(r"[a-z]", answer.lower()))
    return None


def _number(answer: Answer, unit: str) -> float | None:
    if isinstance(answer, str):
        text = answer.strip()
        if unit:
            text = text.removesuffix(unit).strip()
        if not re.fullmatch(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d{1,3})?", text):
            return None
        answer = float(text)
    return answer if isinstance(answer, float) and math.isfinite(answer) else None


def _is_right(question: Question, given: Answer) -> bool:
    match question.kind:
        case "number":
            expected = question.answer
            if expected is None or not isinstance(given, float):
                return False
            # A tolerance is relative, and absolute about zero, where "relative" allows nothing.
            return abs(given - expected) <= question.tolerance * (abs(expected) or 1.0)
        case "ordering":
            return given == question.order
        case _:
            right = tuple(sorted(option.key for option in question.options if option.correct))
            return ((given,) if isinstance(given, str) else given) == right
