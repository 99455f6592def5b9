"""The author's and the instructor's commands, as one typer app that the `tilewise` command mounts."""

from __future__ import annotations

import typer

from autograder.course import commands as author
from autograder.course.lessons import commands as lessons
from autograder.nbgrader_plugin import commands as instructor

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_show_locals=False)
author.register(app)
lessons.register(app)
instructor.register(app)
