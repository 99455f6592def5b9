"""What chapter 07 rests on and `verify` cannot see: the judge's idea of the published function, and its objections."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from autograder.course.reading import course_root, load_exercise
from autograder.course.starter import starter_cell_source
from autograder.judge.checks import load_checks
from tilewise.testing import compare

FOLDER = course_root() / "07_blockwise_attention" / "find_the_bug"


def run(source: str) -> dict[str, Any]:
    names: dict[str, Any] = {}
    exec(source, names)
    return names


@pytest.fixture(scope="module")
def starter() -> dict[str, Any]:
    """The cell as a student finds it, run."""
    return run(starter_cell_source(load_exercise(FOLDER)))


@pytest.fixture(scope="module")
def checks() -> dict[str, Any]:
    """The names of checks.py."""
    objection: Any = load_checks(FOLDER / "checks.py").properties["refuted"].objection
    return dict(objection.__globals__)


def drawn(n: int, d: int, seed: int = 0) -> tuple[Tensor, Tensor, Tensor]:
    q, k, v = torch.randn(3, n, d, generator=torch.Generator().manual_seed(seed))
    return q, k, v


@pytest.mark.parametrize("n", [5, 8, 11, 64])
def test_the_judge_refutes_the_function_that_the_student_reads(
    starter: dict[str, Any], checks: dict[str, Any], n: int
) -> None:
    q, k, v = drawn(n, 6)
    assert starter["BLOCK"] == checks["BLOCK"]
    shown, judged = starter["block_attention"](q, k, v, starter["BLOCK"]), checks["published"](q, k, v, 1.0)
    assert compare(shown, judged.double(), judged).ok


@pytest.mark.parametrize(
    ("answer", "objection"),
    [
        ((torch.zeros(8, 2), torch.zeros(8, 2)), "NOT_THREE"),
        ((torch.zeros(8, 2), torch.zeros(9, 2), torch.zeros(9, 2)), "NOT_THREE"),
        ((torch.zeros(8),) * 3, "NOT_THREE"),
        ((torch.zeros(8, 2, dtype=torch.float64),) * 3, "NOT_FLOAT32"),
        ((torch.zeros(65, 2),) * 3, "TOO_LARGE"),
        ((torch.zeros(1 << 20, 8),) * 3, "TOO_LARGE"),
        ((torch.zeros(8, 0),) * 3, "TOO_LARGE"),
        (drawn(4, 8), "ONE_BLOCK"),
        ((torch.full((8, 2), torch.nan),) * 3, "NOT_FINITE"),
        ((torch.full((8, 2), 1e30),) * 3, "NOT_FINITE"),
        ((*drawn(12, 4)[:2], torch.ones(12, 4)), "AGREES"),
        ((torch.zeros(8, 4), *(x.repeat(2, 1) for x in drawn(4, 4)[1:])), "AGREES"),
    ],
    ids=[
        "two tensors",
        "more keys than queries",
        "one dimension",
        "float64",
        "too many rows",
        "far too many rows",
        "no features",
        "one block",
        "NaN",
        "overflows",
        "one value everywhere",
        "no scores, equal blocks",
    ],
)
def test_what_is_no_counterexample_is_told_why(
    checks: dict[str, Any], answer: tuple[Tensor, ...], objection: str
) -> None:
    assert checks["not_a_counterexample"](answer) is checks[objection]
    assert checks["explained_by_the_scale"](answer) is checks[objection]


def test_a_counterexample_to_the_scale_alone_is_half_of_one(checks: dict[str, Any]) -> None:
    answer = tuple(x.repeat(2, 1) for x in drawn(4, 8))
    assert checks["not_a_counterexample"](answer) is None
    assert checks["explained_by_the_scale"](answer) is checks["ONLY_THE_SCALE"]
