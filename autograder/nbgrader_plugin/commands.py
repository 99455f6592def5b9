"""The instructor's commands: `tilewise course init` and `tilewise grade`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer


def register(app: typer.Typer) -> None:
    """Add the instructor's commands to the `tilewise` command."""
    course = typer.Typer(help="A class of your own.", no_args_is_help=True)
    course.command("init")(init)
    app.add_typer(course, name="course")
    app.command("grade")(grade)
    app.command("preflight")(preflight)


def init(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="A new or empty folder for the class.")],
    chapters: Annotated[
        list[str] | None, typer.Option("--chapters", "-c", help="Only this chapter; give it again for more.")
    ] = None,
) -> None:
    """Make a class: sources, releases in English and Chinese, the gradebook, and a page that says what to do next."""
    from rich.console import Console

    from autograder.course.model import CourseError
    from autograder.course.reading import load_course
    from autograder.nbgrader_plugin import classroom

    try:
        made = classroom.init(folder, load_course(), chapters or ())
    except (classroom.ClassError, CourseError) as error:
        raise _stop(str(error)) from None
    console = Console()
    console.print(f"{folder} is ready: {', '.join(chapter.folder.name for chapter in made)}.", markup=False)
    console.print(f"Next: {folder / 'README.md'} says how to hand out, collect and grade.", markup=False)


def grade(
    assignment: Annotated[str | None, typer.Argument(help="One chapter, as 03_online_softmax; else all.")] = None,
    course: Annotated[Path, typer.Option("--course", help="The folder of the class.")] = Path(),
    student: Annotated[list[str] | None, typer.Option("--student", help="Only this student; may be repeated.")] = None,
    reseed: Annotated[
        bool, typer.Option("--reseed", help="Draw other secret inputs and grade everyone again.")
    ] = False,
    csv: Annotated[Path | None, typer.Option("--csv", help="Write the marks to this file.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Grade again what is graded already.")] = False,
    unsafe: Annotated[
        bool, typer.Option("--unsafe", help="Grade even where nothing isolates students' code; the gradebook says so.")
    ] = False,
) -> None:
    """Grade what was handed in, write the feedback, show and export the marks.

    Exit status 0: all is graded (written answers may wait for a person). 1: some hand-in could not be graded. 2: a
    wrong argument or folder, or a machine that gives no isolation (see --unsafe): nothing was graded.
    """
    if reseed and student:
        raise _stop("--reseed draws inputs that hold for everyone; leave --student out")
    from rich.console import Console
    from rich.progress import Progress

    from autograder.judge.client import JudgeError
    from autograder.judge.rungs import Rung
    from autograder.nbgrader_plugin.classroom import ClassError, accept_danger, open_class
    from autograder.nbgrader_plugin.execute import JudgeCells, the_judge
    from autograder.nbgrader_plugin.grade import FAILED, assignments_of, grade_class, students_of
    from autograder.nbgrader_plugin.isolation import UnsafeError
    from autograder.nbgrader_plugin.seeds import draw_anew
    from autograder.nbgrader_plugin.table import as_table, write_csv

    console = Console()
    judge = the_judge()  # its child imports torch while we open the gradebook
    results = []
    try:
        classroom = open_class(course)
        todo = {name: students_of(classroom, name, student or ()) for name in assignments_of(classroom, assignment)}
        if unsafe:
            accept_danger(classroom)
        JudgeCells(parent=classroom).require_isolation()
    except (ClassError, UnsafeError, JudgeError) as error:
        raise _stop(str(error)) from None
    console.print(f"Isolation of students' code: {judge.rung}.", markup=False)
    for rung, reason in judge.refused.items():
        console.print(f"Not {rung}: {reason}.", style="yellow", markup=False)
    with Progress(console=console, transient=True) as progress:
        bar = progress.add_task("grading", total=sum(map(len, todo.values())))
        for name, students in todo.items():
            if reseed:
                draw_anew(classroom.coursedir.db_url, name)
            done = grade_class(classroom, name, students, force=force or reseed, done=lambda: progress.advance(bar))
            progress.console.print(as_table(done))
            results += done
    if csv:
        write_csv(csv, results)
        console.print(f"Marks: {csv}", markup=False)
    for remark in judge.remarks:
        console.print(f"Note: {remark.en}.", style="yellow", markup=False)
    if Rung(judge.rung).isolates and not Rung(judge.rung).separates_calls:
        console.print(
            "Two calls may share something there, so points for reading the data only once were not given. Grade where "
            "namespaces or bubblewrap work, with --force, to give them.",
            style="bold yellow",
        )
    if not Rung(judge.rung).isolates:
        console.print("That is limits and no sandbox. The gradebook and the feedback say so.", style="bold red")
    if failed := [result for result in results if result.status == FAILED]:
        console.print(
            f"{len(failed)} of {len(results)} could not be graded; mend the cause and run again.", style="red"
        )
        raise typer.Exit(1)


def preflight(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The notebook that you mean to hand in.")],
    lang: Annotated[Literal["en", "zh"] | None, typer.Option(help="en or zh; else that of the notebook.")] = None,
) -> None:
    """Say, before you hand a notebook in, what would be taken from it. Nothing in it is run or marked.

    Exit status 0: all that you wrote would be taken in. 1: some of it would be lost. 2: it cannot be told.
    """
    from rich.console import Console

    from autograder.course.model import CourseError
    from autograder.course.reading import load_course
    from autograder.nbgrader_plugin import preflight as checking

    try:
        told = checking.preflight(file, load_course())
    except (checking.PreflightError, CourseError) as error:
        raise _stop(str(error)) from None
    checking.show(told, Console(), lang)
    raise typer.Exit(0 if told.is_whole else 1)


def _stop(message: str) -> typer.Exit:
    typer.echo(f"error: {message}", err=True)
    return typer.Exit(2)
