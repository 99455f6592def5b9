"""A class's folder: made by `tilewise course init`, and opened by `tilewise grade` as nbgrader itself would open it."""

from __future__ import annotations

import logging
import re
import shutil
import tempfile
import warnings
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path

from nbgrader.apps import api as nbgrader_api
from nbgrader.apps.baseapp import NbGrader
from sqlalchemy.exc import SAWarning
from traitlets.config import Config

from autograder.course.build import write_source
from autograder.course.model import Chapter, Course
from autograder.course.release import generate_release
from autograder.nbgrader_plugin.autograde import CHINESE_RELEASE, JudgedAutograde

CONFIG = "nbgrader_config.py"
LOG = "grading.log"


class ClassError(Exception):
    """A class's folder cannot be made or used: says why and what to do."""


def init(folder: Path, course: Course, chapters: Sequence[str] = ()) -> list[Chapter]:
    """Make a class in `folder`, new or empty: sources, releases in both languages, the gradebook; give its chapters."""
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ClassError(f"{folder} is there already and not empty; name a new folder for the class")
    try:
        chosen = [course.chapter(name) for name in chapters] or [c for c in course.chapters if not c.draft]
    except KeyError as error:
        raise ClassError(str(error.args[0])) from None
    folder.mkdir(parents=True, exist_ok=True)
    name = re.sub(r"[^\w-]+", "-", folder.resolve().name).strip("-") or "tilewise"
    (folder / CONFIG).write_text(_template(CONFIG).format(course_id=name), encoding="utf-8")
    readme = _template("README.md").format(name=name, assignment=chosen[0].folder.name, notebook=chosen[0].slug)
    (folder / "README.md").write_text(readme, encoding="utf-8")
    (folder / "submitted").mkdir()
    for chapter in chosen:
        write_source(course, chapter, "en", folder / "source" / chapter.folder.name)
        _release_chinese(course, chapter, folder)
    classroom = open_class(folder)
    for chapter in chosen:
        result = classroom.generate_assignment(chapter.folder.name)
        if not result["success"]:
            raise ClassError(f"nbgrader could not release {chapter.folder.name}:\n{result.get('log', result['error'])}")
    return chosen


def open_class(folder: Path) -> nbgrader_api.NbGraderAPI:
    """Give nbgrader's API on a class; its messages go to DIR/grading.log. Raises ClassError for any other folder."""
    folder = folder.resolve()
    if not (folder / CONFIG).is_file():
        raise ClassError(f"{folder} is no class: it has no {CONFIG}. Make one with `tilewise course init DIR`")
    app = NbGrader()
    app.load_cwd_config = False
    app.log_level = logging.ERROR
    app.initialize([], root=str(folder))
    if nbgrader_api.Autograde is not JudgedAutograde:
        raise ClassError(f"{folder / CONFIG} does not call autograder.nbgrader_plugin.configure(c); add it")
    # nbgrader adds a submission in a way that SQLAlchemy warns about, twice for each student; nothing is lost by it.
    warnings.filterwarnings("ignore", "Object of type .* not in session", SAWarning)
    classroom = nbgrader_api.NbGraderAPI(app.coursedir, parent=app)
    _log_to(classroom.log, folder / LOG)
    return classroom


def accept_danger(classroom: nbgrader_api.NbGraderAPI) -> None:
    """Let this class be graded where nothing isolates students' code, as `c.JudgeCells.unsafe = True` would."""
    accepted = Config()
    accepted.JudgeCells.unsafe = True
    classroom.update_config(accepted)


def _release_chinese(course: Course, chapter: Chapter, folder: Path) -> None:
    """Write the Chinese release beside nbgrader's; the gradebook, one for both languages, is made from the English."""
    name = chapter.folder.name
    with tempfile.TemporaryDirectory(prefix="tilewise-class-") as workspace:
        write_source(course, chapter, "zh", Path(workspace) / "source" / name)
        release = generate_release(Path(workspace), name, chapter.folder)
        shutil.copytree(release, folder / CHINESE_RELEASE / name)


def _log_to(log: logging.Logger, file: Path) -> None:
    """Send nbgrader's messages to a file in place of the terminal, where a table is drawn."""
    for handler in list(log.handlers):
        log.removeHandler(handler)
    handler = logging.FileHandler(file, encoding="utf-8")
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    log.addHandler(handler)
    log.setLevel(logging.INFO)
    log.propagate = False


def _template(name: str) -> str:
    return (files("autograder.nbgrader_plugin") / "class_template" / name).read_text(encoding="utf-8")
