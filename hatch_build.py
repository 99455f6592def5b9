"""Carry the course and its release inside the wheel; an editable install reads them from the checkout instead."""

from __future__ import annotations

from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

DATA = {"course": "autograder/_data/course", "notebooks": "autograder/_data/notebooks"}


class CourseAsData(BuildHookInterface[Any]):
    """Add the two data folders to a standard wheel."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        # Copied into an editable install, they would make a second, half-empty `autograder` folder in site-packages.
        if version == "standard":
            build_data["force_include"].update(DATA)
