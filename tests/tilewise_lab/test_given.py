from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.autograder.course.sample import CHAPTER, edit
from tilewise_lab import given, place

LATER = "02_more"


@pytest.fixture(autouse=True)
def unloaded() -> Iterator[None]:
    """Forget `given` before and after, as a fresh kernel would."""
    sys.modules.pop(given.NAME, None)
    given.install()
    yield
    sys.modules.pop(given.NAME, None)


def stand_in(folder: Path, slug: str) -> None:
    notebook = {"cells": [], "metadata": {"tilewise": {"chapter": slug}}, "nbformat": 4, "nbformat_minor": 5}
    (folder / "chapter.ipynb").write_text(json.dumps(notebook))


@pytest.fixture
def later_chapter(folder: Path) -> Path:
    """A second chapter, whose exercise is given that of the first; this is the folder of its notebook."""
    root = place.course().root
    shutil.copytree(root / CHAPTER, root / LATER)
    edit(root / "course.toml", f'"{CHAPTER}"', f'"{CHAPTER}", "{LATER}"')
    edit(
        root / LATER / "double" / "exercise.toml",
        'functions = ["double"]',
        'functions = ["double"]\ngiven = ["doubling.double"]',
    )
    place.course.cache_clear()
    stand_in(folder, "more")
    return folder


def test_a_chapter_finds_the_solutions_that_it_builds_on(later_chapter: Path) -> None:
    from given import double

    assert double(21) == 42


def test_a_chapter_that_builds_on_nothing_says_so(folder: Path) -> None:
    stand_in(folder, "doubling")
    with pytest.raises(ImportError, match="nothing is given in chapter doubling"):
        import given  # noqa: F401


def test_outside_of_a_chapter_there_is_nothing_given(folder: Path) -> None:
    with pytest.raises(ImportError, match="no notebook"):
        import given  # noqa: F401


def test_installing_it_twice_changes_nothing() -> None:
    before = list(sys.meta_path)
    given.install()
    assert sys.meta_path == before


def test_no_other_module_is_found_by_it() -> None:
    assert given.GivenFinder().find_spec("given.more", None) is None
    assert given.GivenFinder().find_spec("forgiven", None) is None
