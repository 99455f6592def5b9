"""An exercise's code cell, solved and as a student finds it, from `solution.py`.

nbgrader makes the starters that students get; `starter_cell_source` gives the same text (a test holds them together) to
the judge and to the leak scan, which must not rest on what it scans.
"""

from __future__ import annotations

from collections.abc import Iterator

from autograder.course.model import CourseError, Exercise

BEGIN, END = "BEGIN SOLUTION", "END SOLUTION"
CODE_STUB = '# YOUR CODE HERE\nraise NotImplementedError("YOUR CODE HERE")'


def solution_cell_source(exercise: Exercise) -> str:
    """Give the solved code under its marker line; raise CourseError where no starter can come of it."""
    file = exercise.solution_path
    text = file.read_text(encoding="utf-8").strip("\n")
    marker = f"# exercise: {exercise.id}"
    first, _, rest = text.partition("\n")
    if first.startswith("# exercise:"):
        if first.strip() != marker:
            raise CourseError(file, "line 1", f"is {first!r}", f"Write {marker!r}")
        text = rest.strip("\n")
    marks = [mark for line in text.splitlines() for mark in (BEGIN, END) if mark in line]
    if not marks or marks != [BEGIN, END] * (len(marks) // 2):
        found = ", ".join(marks) or "none"
        raise CourseError(file, "", f"its marks are: {found}", f"Put solutions between `### {BEGIN}` and `### {END}`")
    return f"{marker}\n{text}"


def starter_cell_source(exercise: Exercise) -> str:
    """Give the code that a student starts from; raise CourseError where it is not Python."""
    source = cleared(solution_cell_source(exercise))
    try:
        compile(source, str(exercise.solution_path), "exec")
    except SyntaxError as error:
        where = f"the starter's line {error.lineno}"
        raise CourseError(exercise.solution_path, where, error.msg, "Leave whole statements around the marks") from None
    return source


def solution_lines(exercise: Exercise) -> list[str]:
    """List the lines that a student has to find."""
    return [line for line, place in _places(solution_cell_source(exercise)) if place == "inside"]


def cleared(source: str) -> str:
    """Put the stub where a solved text has its solutions."""
    lines = []
    for line, place in _places(source):
        if place == "begin":
            indent = line[: len(line) - len(line.lstrip())]
            lines += [indent + stub for stub in CODE_STUB.splitlines()]
        elif place == "outside":
            lines.append(line)
    return "\n".join(lines)


def unmarked(source: str) -> str:
    """Drop the marks of a solved text and keep its solutions."""
    return "\n".join(line for line, place in _places(source) if place in ("outside", "inside"))


def _places(source: str) -> Iterator[tuple[str, str]]:
    """Tell of every line of a solved text where it stands: begin, inside, end or outside."""
    place = "outside"
    for line in source.splitlines():
        if BEGIN in line:
            place = "inside"
            yield line, "begin"
        elif END in line:
            place = "outside"
            yield line, "end"
        else:
            yield line, place
