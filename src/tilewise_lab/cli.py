"""The `tilewise` command: the learner's commands, and those of authors and instructors from `autograder`.

Nothing heavy is imported here (no torch, no Jupyter): `tilewise --help` answers at once.
"""

from __future__ import annotations

import os
import sysconfig
from enum import StrEnum
from importlib.metadata import version
from pathlib import Path
from typing import Annotated

import typer

from autograder.cli import app as autograder_app

app = typer.Typer(name="tilewise", no_args_is_help=True, add_completion=False, pretty_exceptions_show_locals=False)


class Interface(StrEnum):
    """The languages of the course."""

    EN = "en"
    ZH = "zh"


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"tilewise {version('tilewise')}")
        raise typer.Exit


@app.callback()
def tilewise(
    _version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and end.")
    ] = False,
) -> None:
    """Learn FlashAttention by building it, tile by tile. · 亲手一块一块地写出 FlashAttention。"""


@app.command()
def learn(
    lang: Annotated[Interface, typer.Option(help="Language of the course and of JupyterLab.")] = Interface.EN,
    folder: Annotated[Path, typer.Option("--dir", help="Your folder; made if it is not there.")] = Path("my"),
    open_browser: Annotated[
        bool, typer.Option("--open/--no-open", help="Open a browser, or only print the address.")
    ] = True,
) -> None:
    """Copy new chapters to your folder (your work is never overwritten) and open JupyterLab on the home page."""
    from tilewise_lab import learn as learning

    try:
        raise typer.Exit(learning.learn(folder, lang.value, open_browser=open_browser))
    except learning.LearnError as error:
        typer.secho(str(error), fg=typer.colors.RED, err=True)
        raise typer.Exit(1) from None


@app.command()
def doctor(
    lang: Annotated[Interface, typer.Option(help="Language of the answers.")] = Interface.EN,
    folder: Annotated[Path, typer.Option("--dir", help="Your folder, as `tilewise learn` is given it.")] = Path("my"),
) -> None:
    """Try what works on this machine, in under 15 seconds, and say what to do about the rest."""
    from tilewise_lab import doctor as doctoring

    raise typer.Exit(doctoring.doctor(folder, lang.value))


app.add_typer(autograder_app)  # after the learner's own: help lists the commands in this order


def main() -> None:
    """Run the command, with the helper programs of this environment first on PATH (it need not be activated)."""
    scripts = sysconfig.get_path("scripts")
    folders = os.environ.get("PATH", os.defpath).split(os.pathsep)
    os.environ["PATH"] = os.pathsep.join([scripts, *(folder for folder in folders if folder != scripts)])
    app()
