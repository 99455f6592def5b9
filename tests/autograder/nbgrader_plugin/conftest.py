"""Classes to grade: made once, copied for each test."""

from __future__ import annotations

import shutil
from pathlib import Path

import nbformat
import pytest
from nbformat.notebooknode import NotebookNode

from autograder.course.model import Course
from autograder.course.reading import load_course
from autograder.nbgrader_plugin import classroom
from tests.autograder.nbgrader_plugin.handins import CHAPTER, NOTEBOOK, RELEASES


@pytest.fixture(scope="session")
def course() -> Course:
    return load_course()


@pytest.fixture(scope="session")
def empty_class(course: Course, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A class that nobody has handed anything in to; do not change it."""
    folder = tmp_path_factory.mktemp("classes") / "empty"
    classroom.init(folder, course, [CHAPTER])
    return folder


@pytest.fixture
def a_class(empty_class: Path, tmp_path: Path) -> Path:
    """A class of the test's own."""
    return shutil.copytree(empty_class, tmp_path / "class")


@pytest.fixture(scope="session")
def releases(empty_class: Path) -> dict[str, NotebookNode]:
    """The released notebook by language."""
    return {
        language: nbformat.read(empty_class / folder / CHAPTER / f"{NOTEBOOK}.ipynb", as_version=4)
        for language, folder in RELEASES.items()
    }
