"""Make a class of honest and hostile students, to be graded by hand in any way, and compare what came of it.

Run from the repository's root:
.venv/bin/python -m scripts.hostile_class DIR            make the class in DIR, and write DIR/expected.csv
.venv/bin/python -m scripts.hostile_class DIR --check    once it is graded: say what is not as expected
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from autograder.course.reading import load_course
from autograder.nbgrader_plugin import classroom
from tests.attacks.comparing import said, shown, surprises, write_expectations
from tests.attacks.everyone import everyone
from tests.attacks.roll import Submission
from tests.autograder.nbgrader_plugin.handins import CHAPTER, STREAMING, TWO_PASS

EXPECTED = "expected.csv"
EXERCISES = (TWO_PASS, STREAMING)
NEXT = f"""
Now, in {{folder}}, grade it in one of these ways (some minutes: endless loops run until their time is up):
  tilewise grade {CHAPTER} --csv marks.csv
  nbgrader autograde {CHAPTER}
  jupyter lab, then Nbgrader > Formgrader > {CHAPTER} and the button of each student
and compare, in this folder again: python -m scripts.hostile_class {{folder}} --check"""


def make(folder: Path) -> None:
    """Make the class, let everyone hand in, and show who did and what must come of it."""
    course = load_course()
    classroom.init(folder, course, [CHAPTER])
    roll = everyone_in(folder)
    for submission in roll.values():
        submission.write(folder)
    write_expectations(folder / EXPECTED, roll)
    table = Table("student", *(name.rpartition(".")[2] for name in EXERCISES), "a person decides", box=box.SIMPLE)
    for submission in roll.values():
        outcomes = [submission.outcomes[name] for name in EXERCISES]
        cells = [f"{outcome.points:g} {said(outcome)}" for outcome in outcomes]
        flagged = ", ".join(sorted(label.rpartition(".")[2] for label in submission.flagged))
        table.add_row(Text(shown(submission.student)), *cells, flagged)
    console = Console()
    console.print(table)
    console.print(NEXT.format(folder=folder), markup=False, highlight=False, soft_wrap=True)


def check(folder: Path) -> bool:
    """Say whether everything came as expected, and print what did not."""
    roll = everyone_in(folder)
    found = list(surprises(folder, roll))
    print("\n".join(found) or f"all {len(roll)} hand-ins came to what they should")
    return not found


def everyone_in(folder: Path) -> dict[str, Submission]:
    return {submission.student: submission for submission in everyone(load_course(), folder)}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "folder", metavar="DIR", type=Path, help="a new or empty folder; with --check, the graded class"
    )
    parser.add_argument("--check", action="store_true", help="compare a graded class with what is expected")
    arguments = parser.parse_args()
    folder = arguments.folder.resolve()
    try:
        if arguments.check:
            return 0 if check(folder) else 1
        make(folder)
    except classroom.ClassError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
