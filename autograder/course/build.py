"""Build the course: every chapter to nbgrader source, through nbgrader to notebooks/, and solved to solutions/.

The tree is first built whole, in a throw-away folder, as a map from path to bytes; `build` writes what differs from it
and `check_build` says what does.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import nbformat
from nbformat import NotebookNode

from autograder.course.leaks import scan_release
from autograder.course.model import LANGUAGES, Chapter, Course, CourseError, Language
from autograder.course.notebook import chapter_notebook, check_parity, figures_of, home_notebook
from autograder.course.preview import PREVIEWS, previews
from autograder.course.release import generate_release

RELEASE, SOLVED = "notebooks", "solutions"
Tree = Mapping[PurePosixPath, bytes]


@dataclass(frozen=True)
class Drift:
    """How the committed notebooks differ from what the course gives."""

    differ: tuple[PurePosixPath, ...] = ()
    missing: tuple[PurePosixPath, ...] = ()
    stray: tuple[PurePosixPath, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.differ or self.missing or self.stray)


def build(course: Course, out: Path) -> Drift:
    """Write out/notebooks and out/solutions, and say what had to change. Files that nobody built are removed.

    Raises CourseError where the course does not hold together, or where a release would give an answer away.
    """
    tree = built_tree(course)
    drift = _compare(tree, out)
    for name in (*drift.differ, *drift.missing):
        path = out / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(tree[name])
    for name in drift.stray:
        (out / name).unlink()
    return drift


def build_drafts(course: Course, out: Path) -> list[Path]:
    """Write out/build/drafts anew: notebooks to look at, of what the release leaves out; give their files."""
    if (out / PREVIEWS).is_dir():
        shutil.rmtree(out / PREVIEWS)
    tree = {name: content for folder in course.drafts for name, content in previews(folder).items()}
    for name, content in tree.items():
        (out / name).parent.mkdir(parents=True, exist_ok=True)
        (out / name).write_bytes(content)
    return [out / name for name in tree]


def check_build(course: Course, committed: Path) -> Drift:
    """Say how committed/notebooks and committed/solutions differ from what `build` would write; change nothing."""
    return _compare(built_tree(course), committed)


def built_tree(course: Course) -> dict[PurePosixPath, bytes]:
    """Build everything in memory: path below the repository -> bytes. The leak scan has passed on it."""
    tree: dict[PurePosixPath, bytes] = {}
    for language in LANGUAGES:
        home = PurePosixPath(RELEASE, language, "home.ipynb")
        tree[home] = _bytes(home_notebook(course, language))
    for chapter in course.chapters:
        tree |= _built_chapter(course, chapter)
    release = {name: content for name, content in tree.items() if name.parts[0] == RELEASE}
    if leaks := scan_release(course, release):
        first = leaks[0]
        problem = f"would give a student {first.what}" + (f", and {len(leaks) - 1} more" if leaks[1:] else "")
        raise CourseError(Path(first.file), first.where, problem, "Take it out of the text that the cell is made from")
    return tree


def write_source(course: Course, chapter: Chapter, language: Language, folder: Path) -> Path:
    """Write nbgrader's source of one chapter of a class into `folder`: the solved notebook and its figures.

    Give the notebook. `folder` is source/03_online_softmax, and autograder.course.release.configure belongs in
    nbgrader_config.py.
    """
    return _write_source(chapter, chapter_notebook(chapter, language, course), folder)


def _built_chapter(course: Course, chapter: Chapter) -> Tree:
    notebooks = {language: chapter_notebook(chapter, language, course, home=True) for language in LANGUAGES}
    check_parity(chapter, notebooks)
    name = chapter.folder.name
    tree: dict[PurePosixPath, bytes] = {}
    for language, notebook in notebooks.items():
        with tempfile.TemporaryDirectory(prefix="tilewise-build-") as workspace:
            _write_source(chapter, notebook, Path(workspace) / "source" / name)
            release = generate_release(Path(workspace), name, chapter.folder)
            solved = Path(workspace) / SOLVED / name
            _write_source(chapter, chapter_notebook(chapter, language, course), solved)
            tree |= _read_tree(solved, PurePosixPath(SOLVED, language, name))
            tree |= _read_tree(release, PurePosixPath(RELEASE, language, name))
    return tree


def _write_source(chapter: Chapter, notebook: NotebookNode, folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{chapter.slug}.ipynb"
    path.write_bytes(_bytes(notebook))
    for figure in figures_of(chapter, notebook):
        target = folder / figure.relative_to(chapter.folder)
        target.parent.mkdir(exist_ok=True)
        target.write_bytes(figure.read_bytes())
    return path


def _bytes(notebook: NotebookNode) -> bytes:
    return (nbformat.writes(notebook).rstrip("\n") + "\n").encode()


def _read_tree(folder: Path, prefix: PurePosixPath) -> dict[PurePosixPath, bytes]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {prefix / path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def _compare(tree: Tree, out: Path) -> Drift:
    found = {name: content for top in (RELEASE, SOLVED) for name, content in _committed(out, top).items()}
    return Drift(
        differ=tuple(sorted(name for name in tree.keys() & found.keys() if tree[name] != found[name])),
        missing=tuple(sorted(tree.keys() - found.keys())),
        stray=tuple(sorted(found.keys() - tree.keys())),
    )


def _committed(out: Path, top: str) -> dict[PurePosixPath, bytes]:
    files = _read_tree(out / top, PurePosixPath(top))
    return {name: content for name, content in files.items() if ".ipynb_checkpoints" not in name.parts}
