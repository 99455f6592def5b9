"""`from given import ...` in a notebook: the solutions of the earlier exercises that this chapter's exercises build on.

The judge has a module `given` in its workers; here is the same for the kernel, so that a cell can be tried before it is
checked. Which exercises are given, the notebook's chapter says.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from importlib.util import spec_from_loader
from types import ModuleType

from tilewise_lab import place

NAME = "given"


class GivenFinder(MetaPathFinder, Loader):
    """Finds the module `given` and no other; the solutions are read and run when it is first imported."""

    def find_spec(self, name: str, path: Sequence[str] | None, target: ModuleType | None = None) -> ModuleSpec | None:
        return spec_from_loader(NAME, self) if name == NAME else None

    def exec_module(self, module: ModuleType) -> None:
        course, slug = place.course(), place.chapter()
        if slug is None:
            raise ImportError("`given` belongs to a chapter, and no notebook of one lies in this folder", name=NAME)
        given = dict.fromkeys(earlier for exercise in course.chapter(slug).exercises for earlier in exercise.given)
        if not given:
            raise ImportError(f"nothing is given in chapter {slug}; write it, or bring it into the cell", name=NAME)
        for earlier in given:
            text = course.exercises[earlier].solution_path.read_text(encoding="utf-8")
            exec(compile(text, f"<given: {earlier}>", "exec", dont_inherit=True), module.__dict__)


def install() -> None:
    """Let this process find `given`; a module of that name that lies in the path comes first. May be called twice."""
    if not any(isinstance(finder, GivenFinder) for finder in sys.meta_path):
        sys.meta_path.append(GivenFinder())
