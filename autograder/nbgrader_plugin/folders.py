"""Folders of students, whose names may be anything that a file system takes."""

from __future__ import annotations

import glob
import os
import re
from typing import Any

EVERYBODY = "*"
NOBODY = {".ipynb_checkpoints"}


def matching(pattern: str) -> list[str]:
    """Give the paths that a pattern means: the path of just that name, if there is one, or else all that match.

    A student id may hold a bracket, and as a pattern it would match nothing, or somebody else. Only a lone star always
    means everybody, for that is what nbgrader's commands ask for: no student may take the name of the whole class.
    """
    if os.path.lexists(pattern) and EVERYBODY not in pattern.split(os.sep):
        return [pattern]
    found = glob.glob(pattern, include_hidden=True)
    return sorted(path for path in found if NOBODY.isdisjoint(path.split(os.sep)))


def submitted_students(classroom: Any, assignment: str) -> set[str]:
    """Name everybody who has a folder for an assignment; stands in for the method of nbgrader's API.

    nbgrader's own overlooks a name that begins with a dot, and one that holds a line's end.
    """
    coursedir = classroom.coursedir
    where = coursedir.submitted_directory
    name = ".*" if assignment == EVERYBODY else assignment
    shape = re.compile(coursedir.format_path(where, "(?P<student>.*)", name, escape=True), re.DOTALL)
    found = (shape.fullmatch(path) for path in matching(coursedir.format_path(where, EVERYBODY, assignment)))
    return {match["student"] for match in found if match and os.path.isdir(match[0])}


def is_usable(path: str) -> bool:
    """Say whether nbgrader can handle a path.

    Its patterns stop at a line's end, its database takes text only, and a student called * would be everybody.
    """
    try:
        path.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return EVERYBODY not in path.split(os.sep) and not any(character in path for character in "\n\r")
