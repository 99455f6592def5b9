"""One secret seed for each assignment, drawn at its first run and kept in the gradebook.

Every student of an assignment is graded with the same inputs, and grading twice gives the same marks.
"""

from __future__ import annotations

import contextlib
import secrets

from sqlalchemy import BigInteger, Column, Engine, MetaData, String, Table, create_engine, delete, insert, select
from sqlalchemy.exc import IntegrityError

# As wide as both a signed 64-bit database column and torch's generator take.
SEED_BITS = 62

_TABLE = Table(
    "tilewise_seed",
    MetaData(),
    Column("assignment", String(128), primary_key=True),
    Column("seed", BigInteger, nullable=False),
)


def secret_seed(db_url: str, assignment: str) -> int:
    """Give the assignment's seed; draw it if there is none yet."""
    engine = _engine(db_url)
    try:
        if (seed := _find(engine, assignment)) is None:
            # Another process may draw at the same moment: the first one to be stored holds for all.
            with contextlib.suppress(IntegrityError), engine.begin() as connection:
                connection.execute(insert(_TABLE).values(assignment=assignment, seed=_draw()))
            seed = _find(engine, assignment)
    finally:
        engine.dispose()
    if seed is None:
        raise RuntimeError(f"the seed of {assignment} was deleted from the gradebook as it was drawn; run again")
    return seed


def draw_anew(db_url: str, assignment: str) -> None:
    """Forget the assignment's seed, so that the next run draws another; every submission must then be graded again."""
    engine = _engine(db_url)
    with engine.begin() as connection:
        connection.execute(delete(_TABLE).where(_TABLE.c.assignment == assignment))
    engine.dispose()


def _find(engine: Engine, assignment: str) -> int | None:
    with engine.connect() as connection:
        return connection.execute(select(_TABLE.c.seed).where(_TABLE.c.assignment == assignment)).scalar_one_or_none()


def _draw() -> int:
    return secrets.randbits(SEED_BITS)


def _engine(db_url: str) -> Engine:
    engine = create_engine(db_url)
    _TABLE.metadata.create_all(engine)
    return engine
