"""Every backend x every case x dtype x (o, lse, dq, dk, dv, dmask) against the float64 oracle."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache

import pytest
import torch

import tilewise
from tests.tilewise.answers import DTYPES, Problem, by_attention, by_module, wrong_parts
from tilewise import backends
from tilewise.oracle import Answer
from tilewise.testing import ALL_CASES, ATTENTION_CASES, AttentionCase, Comparison

ALWAYS = ("reference", "torch_fa1", "torch_fa2")
STATUSES = tilewise.backends()
PARTS = [
    (case, part) for case in ALL_CASES for part in Answer._fields if part != "dmask" or "additive" in str(case.mask)
]


def refusal(backend: str, dtype: torch.dtype) -> str | None:
    """Say why a backend computes nothing in this dtype here, or None."""
    problem = Problem.of(AttentionCase("smallest"), dtype)
    try:
        backends.choose(backend, problem.q, problem.k, problem.v, problem.spec)
    except backends.BackendError as error:
        return str(error)
    return None


REFUSALS = {(backend, dtype): refusal(backend, dtype) for backend in STATUSES for dtype in DTYPES}
PROVEN = [pair for pair, reason in REFUSALS.items() if reason is None]


def named(value: object) -> str:
    return str(value).removeprefix("torch.")


@pytest.fixture(autouse=True)
def poison() -> Iterator[None]:
    """Fill memory that was allocated and never written with NaN (torch does so in its deterministic mode)."""
    torch.use_deterministic_algorithms(True)
    yield
    torch.use_deterministic_algorithms(False)


@lru_cache(maxsize=32)
def problem_of(case: AttentionCase, dtype: torch.dtype) -> Problem:
    return Problem.of(case, dtype)


@lru_cache(maxsize=1)
def compared(backend: str, dtype: torch.dtype, case: AttentionCase) -> dict[str, Comparison]:
    """Run both passes of a backend in the case's tiles, once for all parts."""
    problem = problem_of(case, dtype)
    return problem.compared(by_module(backends.load(backend), problem, (case.block_q, case.block_k)))


@pytest.mark.parametrize(("case", "part"), PARTS, ids=str)
@pytest.mark.parametrize(("backend", "dtype"), PROVEN, ids=named)
def test_a_backend_is_as_exact_as_plain_attention(
    backend: str, dtype: torch.dtype, case: AttentionCase, part: str
) -> None:
    result = compared(backend, dtype, case)[part]
    assert result.ok, result


@pytest.mark.parametrize("case", ALL_CASES, ids=str)
@pytest.mark.parametrize("backend", [backend for backend, dtype in PROVEN if dtype is torch.float32])
def test_attention_and_autograd_give_what_the_backend_gives(backend: str, case: AttentionCase) -> None:
    problem = problem_of(case, torch.float32)
    assert wrong_parts(problem, by_attention(backend, problem)) == {}


@pytest.mark.parametrize(("backend", "dtype"), REFUSALS, ids=named)
def test_what_a_backend_does_not_compute_here_it_refuses(backend: str, dtype: torch.dtype) -> None:
    """Skipped, so that the run says of each backend and dtype that was not proven why it was not."""
    if reason := REFUSALS[backend, dtype]:
        q, k, v = AttentionCase("smallest").draw(dtype=dtype)
        with pytest.raises(backends.BackendError, match=backend):
            tilewise.attention(q, k, v, backend=backend)
        pytest.skip(f"not proven: {reason}")


def test_the_backends_in_pytorch_refuse_no_dtype() -> None:
    assert {pair for pair in PROVEN if pair[0] in ALWAYS} == {
        (backend, dtype) for backend in ALWAYS for dtype in DTYPES
    }


@pytest.mark.parametrize("part", Answer._fields)
def test_a_wrong_part_of_an_answer_is_noticed(part: str) -> None:
    """One element off by a ten-thousandth of the largest, in any part, and none else."""
    problem = problem_of(next(case for case in ALL_CASES if case.mask == "additive"), torch.float32)
    answer = by_module(backends.load("reference"), problem)
    broken = getattr(answer, part).clone()
    broken.view(-1)[7] += 1e-4 * broken.abs().max()
    assert set(wrong_parts(problem, answer._replace(**{part: broken}))) == {part}


def test_memory_that_is_allocated_and_not_written_is_poisoned() -> None:
    like = torch.zeros(2, 2)
    for fresh in (torch.empty(3), torch.empty_like(like), like.new_empty(3), torch.empty_like(like.expand(3, 2, 2))):
        assert fresh.isnan().all()


def test_every_case_of_the_api_is_there() -> None:
    """The table is what the proof rests on: each option, and each size that has bitten, stands in it."""
    cases = {case.name: case for case in ALL_CASES}
    assert len(cases) == len(ALL_CASES)
    assert set(ATTENTION_CASES) < set(ALL_CASES)
    for option in ("causal", "h_kv", "d_v", "mask", "window", "scale", "softcap", "alibi", "dropout_p"):
        assert any(getattr(case, option) not in (None, False, 0.0) for case in ALL_CASES), option
