"""The author's commands: `tilewise build` and `tilewise verify`. What is heavy is imported when a command runs."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ParamSpec, TypeVar

import typer

if TYPE_CHECKING:
    from rich.console import Console

    from autograder.course.build import Drift
    from autograder.course.finding import Finding
    from autograder.course.model import Course
    from autograder.course.verify import Row

P = ParamSpec("P")
R = TypeVar("R")
CourseFolder = Annotated[Path | None, typer.Option("--course", help="The course folder; that of this installation.")]


def register(app: typer.Typer) -> None:
    """Add the author's commands to the `tilewise` command."""
    app.command()(build)
    app.command()(verify)


def with_clean_errors(command: Callable[P, R]) -> Callable[P, R]:
    """Print a mistake in the course as a message, and end with exit status 2."""

    @functools.wraps(command)
    def run(*args: P.args, **kwargs: P.kwargs) -> R:
        from autograder.course.model import CourseError

        try:
            return command(*args, **kwargs)
        except CourseError as error:
            raise _refusal(error) from None

    return run


@with_clean_errors
def build(
    check: Annotated[bool, typer.Option("--check", help="Write nothing; fail when something would change.")] = False,
    course: CourseFolder = None,
    out: Annotated[
        Path | None, typer.Option(help="Where notebooks/ and solutions/ lie; beside the course folder.")
    ] = None,
) -> None:
    """Build the release and the solved notebooks, in both languages, from the course folder."""
    from autograder.course.build import build as build_course
    from autograder.course.build import build_drafts, check_build
    from autograder.course.reading import load_course

    loaded = load_course(course)
    target = out or loaded.root.parent
    drift = check_build(loaded, target) if check else build_course(loaded, target)
    _print_drift(drift, check)
    print_drafts(loaded, [] if check else build_drafts(loaded, target))
    if check and drift:
        typer.secho("Run `tilewise build` and commit what it writes.", fg=typer.colors.RED, err=True)
        raise typer.Exit(1)


@with_clean_errors
def verify(
    chapters: Annotated[list[str] | None, typer.Argument(help="Chapters by slug or folder; all of them.")] = None,
    jobs: Annotated[int, typer.Option(min=1, help="How many judges at a time.")] = min(4, os.cpu_count() or 1),
    seed: Annotated[int, typer.Option(help="Draws the inputs.")] = 1,
    course: CourseFolder = None,
) -> None:
    """Prove the course: starters fail, solutions pass, every wrong solution gets its own diagnosis."""
    from rich.progress import Progress

    from autograder.course.model import CourseError, slug_of
    from autograder.course.reading import load_course
    from autograder.course.verify import verify as verify_course
    from autograder.judge.client import Judge, JudgeError

    loaded = load_course(course)
    try:
        drafts = [f for f in loaded.drafts if not chapters or {f.name, slug_of(f.name)} & set(chapters)]
        finished = [name for name in chapters or () if loaded.draft(name) is None]
        wanted = [loaded.chapter(name) for name in finished] if chapters else list(loaded.chapters)
    except KeyError as error:
        raise CourseError(loaded.root, "", str(error.args[0]), "Name one of them") from None
    try:
        with ExitStack() as stack:
            judges = [stack.enter_context(Judge(course=loaded.root)) for _ in range(jobs)]
            bar = stack.enter_context(Progress(transient=True))
            task = bar.add_task("judging", total=None)
            rows = verify_course(
                loaded,
                wanted,
                judges,
                seed=seed,
                drafts=drafts,
                on_judged=lambda done, total: bar.update(task, completed=done, total=total),
            )
    except JudgeError as error:
        raise _refusal(error) from None
    if not print_report(rows, loaded.root):
        raise typer.Exit(1)


def print_report(rows: list[Row], root: Path) -> bool:
    """Print a table, one line an item, then every finding with its remedy; tell whether there was none."""
    from rich.console import Console
    from rich.table import Table

    console = Console()
    table = Table("item", "checked", "result")
    for row in rows:
        table.add_row(row.item, row.checked, f"[red]{len(row.findings)} to mend[/]" if row.findings else "[green]ok[/]")
    console.print(table)
    findings = [finding for row in rows for finding in row.findings]
    _print_findings(console, findings, root)
    console.print(f"{len(rows)} items, {len(findings)} to mend", style="bold")
    return not findings


def print_drafts(course: Course, notebooks: list[Path]) -> None:
    """Say of each draft that the release leaves it out, what it lacks, and where it can be looked at."""
    from rich.console import Console

    from autograder.course.unfinished import unfinished

    for folder in course.drafts:
        typer.echo(f"{folder.name}: a draft, left out of the release. It lacks:")
        _print_findings(Console(), list(unfinished(folder)), course.root)
        for notebook in notebooks:
            if notebook.parent.name == folder.name:
                typer.echo(f"To look at it: {notebook}")


def _print_findings(console: Console, findings: list[Finding], root: Path) -> None:
    for finding in findings:
        file = finding.file.relative_to(root) if finding.file.is_relative_to(root) else finding.file
        console.print(f"{file}: {finding.what}", style="red", markup=False, highlight=False, soft_wrap=True)
        console.print(f"    {finding.remedy}", markup=False, highlight=False, soft_wrap=True)


def _refusal(error: Exception) -> typer.Exit:
    typer.secho(str(error), fg=typer.colors.RED, err=True)
    return typer.Exit(2)


def _print_drift(drift: Drift, check: bool) -> None:
    words = {
        "differ": ("differs from what the course gives", "changed"),
        "missing": ("is missing", "new"),
        "stray": ("is built from nothing", "removed"),
    }
    for kind, (found, done) in words.items():
        for name in getattr(drift, kind):
            typer.echo(f"{name}: {found if check else done}")
    if not drift:
        typer.echo("notebooks/ and solutions/ are what the course gives")
