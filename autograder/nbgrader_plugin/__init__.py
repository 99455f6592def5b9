"""Make nbgrader's own commands and formgrader grade with the judge."""

import os
import sys
from pathlib import Path
from typing import Any


def configure(config: Any) -> None:
    """Set nbgrader up for a class; called by the class's nbgrader_config.py with its `c`.

    nbgrader has no option that names the classes it grades and writes feedback with. Its commands, its API and the
    buttons of formgrader take them from these modules at the moment of use, and read nbgrader_config.py before that, so
    this is where ours are put in their place. It holds for the whole process: one server, one class.
    """
    from nbgrader.apps import api, autogradeapp, generatefeedbackapp
    from nbgrader.coursedir import CourseDirectory
    from nbgrader.server_extensions.formgrader import handlers

    from autograder.course import release
    from autograder.nbgrader_plugin.autograde import JudgedAutograde
    from autograder.nbgrader_plugin.feedback import TEMPLATES, TilewiseFeedback
    from autograder.nbgrader_plugin.folders import submitted_students
    from autograder.nbgrader_plugin.handin import existing_time, submitted_time

    release.configure(config)
    api.Autograde = autogradeapp.Autograde = JudgedAutograde  # type: ignore[misc]
    api.GenerateFeedback = generatefeedbackapp.GenerateFeedback = TilewiseFeedback  # type: ignore[misc]
    api.NbGraderAPI.get_submitted_students = submitted_students  # type: ignore[method-assign]
    api.NbGraderAPI.get_submitted_timestamp = submitted_time  # type: ignore[method-assign]
    CourseDirectory.get_existing_timestamp = existing_time  # type: ignore[method-assign]
    config.ExchangeFactory.collect = "autograder.nbgrader_plugin.collect.CarefulCollect"
    # formgrader's page of a hand-in: formulas as MathML, and none of its files from anywhere but this machine.
    config.HTMLExporter.extra_template_basedirs = [str(TEMPLATES), handlers.template_path]
    config.HTMLExporter.filters = {"markdown2html": "autograder.nbgrader_plugin.prose.on_the_graders_page"}
    _find_helpers()


def _find_helpers() -> None:
    """Let nbgrader find alembic, which it starts by name, in an environment that is not activated as well."""
    here = str(Path(sys.executable).parent)
    path = os.environ.get("PATH", "").split(os.pathsep)
    if here not in path:
        os.environ["PATH"] = os.pathsep.join([here, *path])
