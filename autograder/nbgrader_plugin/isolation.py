"""Grading strangers' code needs walls. Where a machine gives none, grading is refused, or asked for and stamped.

A learner who checks their own code needs no permission: this is for `tilewise grade`, nbgrader and formgrader.
"""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy import Column, MetaData, String, Table, create_engine, delete, insert, select

from autograder.course.model import Text
from autograder.judge.rungs import Rung
from autograder.judge.verdict import Verdict

STAMP = Text(
    en="Graded without isolation: on this machine nothing kept the code from the grader's files, nor from the code of "
    "others. The marks were asked for in spite of that.",
    zh="评分时没有隔离：这台机器无法阻止被评分的代码接触评分者的文件和其他人的代码。这些分数是在明知如此的情况下评出的。",
)

_TABLE = Table(
    "tilewise_unsafe",
    MetaData(),
    Column("assignment", String(128), primary_key=True),
    Column("student", String(128), primary_key=True),
    Column("rung", String(32), nullable=False),
)


class UnsafeError(Exception):
    """Grading would run strangers' code with no walls around it: says so, and what to do."""


def require_isolation(rung: str, *, unsafe: bool) -> None:
    """Raise UnsafeError where the rung that holds does not isolate and nobody has accepted that."""
    if not unsafe and not Rung(rung).isolates:
        raise UnsafeError(
            f"nothing was graded: the only isolation on this machine is {rung!r}, which is limits and no sandbox, so a "
            "hand-in could read the gradebook and change marks. Grade where namespaces, bubblewrap or Landlock work "
            "(`tilewise doctor` says what is missing), or accept the danger: `tilewise grade --unsafe`, or for "
            "nbgrader's own commands and formgrader `c.JudgeCells.unsafe = True` in nbgrader_config.py. The gradebook "
            "will say so"
        )


def unsafe_rung(verdicts: Iterable[Verdict]) -> str | None:
    """Give the rung without walls on which one of these verdicts was reached; None where all had walls."""
    rungs = (verdict.rung for verdict in verdicts if verdict.rung)
    return next((rung for rung in rungs if not Rung(rung).isolates), None)


def stamp(db_url: str, assignment: str, student: str, rung: str | None) -> None:
    """Write into the gradebook that a hand-in was graded on a rung without walls; None takes an older stamp away."""
    engine = create_engine(db_url)
    try:
        _TABLE.metadata.create_all(engine)
        with engine.begin() as connection:
            this = (_TABLE.c.assignment == assignment) & (_TABLE.c.student == student)
            connection.execute(delete(_TABLE).where(this))
            if rung is not None:
                connection.execute(insert(_TABLE).values(assignment=assignment, student=student, rung=rung))
    finally:
        engine.dispose()


def stamps(db_url: str, assignment: str) -> dict[str, str]:
    """Give student -> rung of all that was graded without walls."""
    engine = create_engine(db_url)
    try:
        _TABLE.metadata.create_all(engine)
        with engine.connect() as connection:
            found = connection.execute(select(_TABLE).where(_TABLE.c.assignment == assignment)).all()
    finally:
        engine.dispose()
    return {row.student: row.rung for row in found}
