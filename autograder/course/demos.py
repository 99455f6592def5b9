"""Run a chapter's demos, the `python run` cells of its slides, as "Run All" does in a notebook that nobody touched."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from autograder.course.finding import Finding
from autograder.course.model import Chapter, Course, CourseError
from autograder.course.slides import read_slides
from autograder.course.starter import starter_cell_source

SECONDS = 60.0
# Runs cells one after the other in one namespace, with `given` beside them, and writes down the first that fails.
_RUNNER = """
import json, sys, types
told = json.load(sys.stdin)
if told["given"]:
    given = sys.modules["given"] = types.ModuleType("given")
    for text in told["given"]:
        exec(compile(text, "<given>", "exec", dont_inherit=True), given.__dict__)
names = {"__name__": "__main__"}
for number, cell in enumerate(told["cells"]):
    try:
        exec(compile(cell, "<cell>", "exec", dont_inherit=True), names)
    except BaseException as error:
        with open(told["failed"], "w", encoding="utf-8") as file:
            json.dump([number, f"{type(error).__name__}: {error}"], file)
        break
"""


def check_demos(course: Course, chapter: Chapter) -> Iterator[Finding]:
    """Run the demos between the starters of the exercises; the first that fails is told of."""
    file = chapter.folder / "slides.en.md"  # the code is the same in both languages, which another check sees to
    exercises = {exercise.name: exercise for exercise in chapter.exercises}
    try:
        slides = read_slides(chapter.slides.en, file)
    except CourseError:
        return  # reported with the notebook that cannot be made of them
    cells, places = [], []
    for number, slide in enumerate(slides, start=1):
        for piece in slide:
            if piece.kind == "demo":
                cells.append(piece.text)
                places.append(f"slide {number}: the code to run")
            elif piece.kind == "exercise" and piece.text in exercises:
                cells.append(starter_cell_source(exercises[piece.text]))
                places.append(f"slide {number}: the starter of {piece.text}")
    given = dict.fromkeys(earlier for exercise in chapter.exercises for earlier in exercise.given)
    sources = [course.exercises[earlier].solution_path.read_text(encoding="utf-8") for earlier in given]
    if failure := _run(cells, sources):
        place, said = failure
        where = places[place] if place is not None else "the code to run"
        remedy = "Mend it: it must run by itself, before any exercise is solved, or it stops Run All"
        yield Finding(file, f"{where} fails: {said}", remedy)


def _run(cells: list[str], given: list[str]) -> tuple[int | None, str] | None:
    """Run cells in a process of their own; give the number of the first that fails, if it is known, and the error."""
    with tempfile.TemporaryDirectory(prefix="tilewise-demos-") as folder:
        failed = Path(folder, "failed.json")
        told = json.dumps({"cells": cells, "given": given, "failed": str(failed)})
        try:
            done = subprocess.run(
                [sys.executable, "-c", _RUNNER], input=told, cwd=folder, capture_output=True, text=True, timeout=SECONDS
            )
        except subprocess.TimeoutExpired:
            return None, f"it takes more than {SECONDS:g} s"
        if failed.is_file():
            number, said = json.loads(failed.read_text(encoding="utf-8"))
            return number, said
        if done.returncode != 0:
            last = done.stderr.strip().rpartition("\n")[2]
            return None, f"its process ended with {done.returncode}: {last}"
    return None
