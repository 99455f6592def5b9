"""nbgrader's Autograde with a safe way in: nothing of a hand-in is read, copied or run by nbgrader itself.

nbgrader's own class copies every file of a submission, follows links, skips a hand-in without a matching notebook, and
parses the notebook before any preprocessor could look at it. Here intake reads the hand-in, and what nbgrader sees is a
notebook rebuilt from the release.
"""

from __future__ import annotations

import os
from fnmatch import fnmatch
from pathlib import Path
from typing import Any, NoReturn, cast

import nbformat
from nbconvert.exporters import NotebookExporter
from nbconvert.exporters.exporter import Exporter, ResourcesDict
from nbformat.notebooknode import NotebookNode
from nbgrader import utils
from nbgrader.api import Gradebook, MissingEntry
from nbgrader.converters import Autograde
from nbgrader.converters.base import NbGraderException
from nbgrader.preprocessors import (
    AssignLatePenalties,
    CheckCellMetadata,
    LimitOutput,
    OverwriteCells,
    OverwriteKernelspec,
    SaveAutoGrades,
)
from traitlets import Bool, List, Type

from autograder.judge.client import JudgeError
from autograder.nbgrader_plugin.execute import JudgeCells, SaveNotes
from autograder.nbgrader_plugin.folders import is_usable, matching
from autograder.nbgrader_plugin.handin import TIMESTAMP, fingerprint, read_timestamp
from autograder.nbgrader_plugin.intake import intake_of, take_in
from autograder.nbgrader_plugin.isolation import UnsafeError

CHINESE_RELEASE = "release_zh"


class IntakeExporter(NotebookExporter):
    """Reads a notebook for nbgrader: a handed-in one through intake, one of the class's own as it is."""

    through_intake = Bool(False, help="Whether the next file read was handed in by a student.")

    def from_filename(
        self, filename: str, resources: dict[str, Any] | None = None, **keywords: Any
    ) -> tuple[NotebookNode, dict[str, Any]]:
        if not self.through_intake:
            return super().from_filename(filename, resources, **keywords)
        path = Path(filename)
        releases = cast(JudgedAutograde, self.parent).releases(path.stem)
        notebook = take_in(path.parent, path.stem, releases)
        resources = ResourcesDict() if resources is None else resources
        resources["metadata"] = ResourcesDict(name=path.stem, path=str(path.parent))
        return self.from_notebook_node(notebook, resources, **keywords)


class JudgedAutograde(Autograde):
    """Autograde through intake and judge. `autograder.nbgrader_plugin.configure` puts it in nbgrader's place."""

    exporter_class = Type(IntakeExporter, klass=Exporter).tag(config=True)
    # Rebuilding from the release makes ClearOutput and DeduplicateIds (which can abort a class) needless.
    sanitize_preprocessors = List([OverwriteKernelspec, OverwriteCells, CheckCellMetadata]).tag(config=True)
    autograde_preprocessors = List(
        [JudgeCells, LimitOutput, SaveAutoGrades, SaveNotes, AssignLatePenalties, CheckCellMetadata]
    ).tag(config=True)

    def __init__(self, *arguments: Any, **keywords: Any) -> None:
        super().__init__(*arguments, **keywords)
        self.failures: dict[str, str] = {}  # student -> why nothing was graded

    def init_notebooks(self) -> None:
        """Expect the assignment's notebooks of every student who has a folder for it, whether they are there or not."""
        try:
            JudgeCells(parent=self).require_isolation()
        except (UnsafeError, JudgeError) as error:
            self._give_up(str(error))
        with Gradebook(self.coursedir.db_url, self.coursedir.course_id) as gradebook:
            try:
                notebooks = [n.name for n in gradebook.find_assignment(self.coursedir.assignment_id).notebooks]
            except MissingEntry:
                notebooks = []
        names = [name for name in notebooks if fnmatch(name, self.coursedir.notebook_id)]
        if not names:
            self._give_up(
                f"the gradebook knows no notebook {self.coursedir.notebook_id!r} of assignment "
                f"{self.coursedir.assignment_id!r}; run `nbgrader generate_assignment` first, or mend the name"
            )
        for name in names:
            self.releases(name)  # a class without a release is told so once, not once for every student
        pattern = self._format_source(self.coursedir.assignment_id, self.coursedir.student_id)
        found = sorted(folder for folder in matching(pattern) if os.path.isdir(folder) or os.path.islink(folder))
        for folder in found:
            if not is_usable(folder):
                self.log.error("NOT graded, for nbgrader cannot handle such a name; rename the folder: %r", folder)
        self.assignments = {
            folder: [os.path.join(folder, f"{name}.ipynb") for name in names] for folder in found if is_usable(folder)
        }
        if not self.assignments:
            self._give_up(f"nothing was handed in: no folder matches {pattern}")

    def _give_up(self, message: str) -> NoReturn:
        self.log.error(message)
        raise NbGraderException(message)

    def init_destination(self, assignment_id: str, student_id: str) -> bool:
        """Say whether to grade: not graded yet, asked for by force, handed in again, or changed since."""
        if student_id in self.coursedir.student_id_exclude.split(","):
            return False
        graded = Path(self._format_dest(assignment_id, student_id))
        if not graded.exists():
            return True
        if not self.force and self._is_up_to_date(Path(self._format_source(assignment_id, student_id)), graded):
            self.log.info("Already graded: %s", graded)
            return False
        utils.rmtree(str(graded))
        return True

    def _is_up_to_date(self, submitted: Path, graded: Path) -> bool:
        if read_timestamp(submitted) != read_timestamp(graded):
            return False
        for path in self.notebooks:
            name = Path(path).stem
            try:
                seen = intake_of(nbformat.read(graded / f"{name}.ipynb", as_version=4))["fingerprint"]
            except (OSError, KeyError, ValueError):
                return False  # graded without this plug-in, or half-written by a run that was killed
            if seen != fingerprint(submitted, name):
                return False
        return True

    def init_assignment(self, assignment_id: str, student_id: str) -> None:
        """Enter the submission in the gradebook, and copy the class's own files: of the student's, none."""
        submitted = Path(self._format_source(assignment_id, student_id))
        graded = Path(self._format_dest(assignment_id, student_id))
        graded.mkdir(parents=True, exist_ok=True)
        timestamp = read_timestamp(submitted)
        with Gradebook(self.coursedir.db_url, self.coursedir.course_id) as gradebook:
            if self.create_student:
                gradebook.update_or_create_student(student_id)
            else:
                gradebook.find_student(student_id)
            submission = gradebook.update_or_create_submission(assignment_id, student_id, timestamp=timestamp)
            if submission.total_seconds_late > 0:
                self.log.warning("%s is %d seconds late", submission, submission.total_seconds_late)
        if timestamp:
            (graded / TIMESTAMP).write_text(timestamp, encoding="ascii")
        elif os.path.lexists(submitted / TIMESTAMP):
            self.log.warning("timestamp.txt of %s holds no time and is not used", student_id)
        source = Path(self.coursedir.format_path(self.coursedir.source_directory, ".", assignment_id))
        for file in map(Path, utils.find_all_files(str(source), [*self.coursedir.ignore, "*.ipynb"])):
            copy = graded / file.relative_to(source)
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_bytes(file.read_bytes())

    def _init_preprocessors(self) -> None:
        super()._init_preprocessors()
        self.exporter.through_intake = self._sanitizing

    def convert_single_notebook(self, notebook_filename: str) -> None:
        """Grade one notebook; where that fails, leave it to be graded later and never at a silent 0."""
        try:
            super().convert_single_notebook(notebook_filename)
        except BaseException as error:
            # nbgrader leaves this set when a conversion fails; a formgrader server would hand it to its kernels.
            os.environ.pop("NBGRADER_EXECUTION", None)
            self._leave_ungraded(notebook_filename, str(error) or type(error).__name__)
            raise

    def _leave_ungraded(self, notebook_filename: str, reason: str) -> None:
        where = self.init_single_notebook_resources(notebook_filename)["nbgrader"]
        with Gradebook(self.coursedir.db_url, self.coursedir.course_id) as gradebook:
            notebook = gradebook.find_submission_notebook(where["notebook"], where["assignment"], where["student"])
            for grade in notebook.grades:
                grade.auto_score, grade.needs_manual_grade = None, True
            gradebook.db.commit()
        self.failures[where["student"]] = reason
        self.log.error("%s was NOT graded and has no automatic marks: %s", where["student"], reason)

    def releases(self, notebook: str) -> dict[str, NotebookNode]:
        """Read the released notebook by language; the Chinese one where the class has it."""
        assignment = self.coursedir.assignment_id
        found = {}
        for language, step in (("en", self.coursedir.release_directory), ("zh", CHINESE_RELEASE)):
            path = Path(self.coursedir.format_path(step, ".", assignment)) / f"{notebook}.ipynb"
            if path.is_file():
                found[language] = nbformat.read(path, as_version=4)
        if "en" not in found:
            self._give_up(f"there is no release of {assignment}; run `nbgrader generate_assignment {assignment}`")
        return found
