"""The ids of a notebook's cells: `online_softmax.streaming` in the course, `online_softmax--streaming` in nbgrader.

nbgrader allows letters, digits, `_` and `-` in a grade id, and nbformat at most 64 of them in a cell id, so the dot of
an id becomes `--`. A part of an exercise other than its check cell carries the name of the part after a second `--`.
"""

from __future__ import annotations

import re

SEPARATOR = "--"
LONGEST_CELL_ID = 64
PARTS = ("answer", "code", "prompt", "quiz", "statement")
_ID = re.compile(r"[a-z][a-z0-9_]*\.[a-z][a-z0-9_]*")


def grade_id(identifier: str) -> str:
    """Name the graded cell of an exercise, graded question or written question.

    `online_softmax.streaming` -> `online_softmax--streaming`; raises ValueError for anything that is not such an id.
    """
    if not _ID.fullmatch(identifier):
        raise ValueError(f"an id looks like 'online_softmax.streaming', got {identifier!r}")
    found = identifier.replace(".", SEPARATOR)
    room = LONGEST_CELL_ID - len(SEPARATOR) - max(map(len, PARTS))
    if len(found) > room:
        raise ValueError(f"{identifier!r} is {len(found)} characters as a cell id, {room} fit; shorten the name")
    return found


def exercise_id(cell: str) -> str:
    """Give the id that a cell belongs to, whichever part of it the cell is; the inverse of the other functions.

    `online_softmax--streaming--code` -> `online_softmax.streaming`; raises ValueError for a foreign grade id.
    """
    chapter, *rest = cell.split(SEPARATOR)
    identifier = f"{chapter}.{rest[0] if rest else ''}"
    known = len(rest) == 1 or (len(rest) == 2 and rest[1] in PARTS)
    if not known or not _ID.fullmatch(identifier):
        raise ValueError(f"a grade id looks like 'online_softmax--streaming' or '...--code', got {cell!r}")
    return identifier


def part_id(identifier: str, part: str) -> str:
    """Name one part of a block: a `part` of PARTS."""
    if part not in PARTS:
        raise ValueError(f"a part is one of {', '.join(PARTS)}, got {part!r}")
    return f"{grade_id(identifier)}{SEPARATOR}{part}"


def solution_grade_id(identifier: str) -> str:
    """Name the cell that holds the student's code of an exercise."""
    return part_id(identifier, "code")


def answer_grade_id(identifier: str) -> str:
    """Name the cell that holds the student's answer to a graded question."""
    return part_id(identifier, "answer")
