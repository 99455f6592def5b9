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

STATUSES = tilewise.backends()
BACKENDS = [name for name, status in STATUSES.items() if status.available]
PARTS = [
    (case, part) for case in ALL_CASES for part in Answer._fields if part != "dmask" or "additive" in str(case.mask)
]
ALWAYS = ("reference", "torch_fa1", "torch_fa2")


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
def compared(backend: str, case: AttentionCase, dtype: torch.dtype) -> dict[str, Comparison] | str:
    """Run both passes of a backend in the case's tiles; a string says why it refuses the case."""
    problem = problem_of(case, dtype)
    try:
        backends.choose(backend, problem.q, problem.k, problem.v, problem.spec)
    except backends.BackendError as refusal:
        return str(refusal)
    return problem.compared(by_module(backends.load(backend), problem, (case.block_q, case.block_k)))


@pytest.mark.parametrize(("case", "part"), PARTS, ids=str)
@pytest.mark.parametrize("dtype", DTYPES, ids=lambda dtype: str(dtype).removeprefix("torch."))
@pytest.mark.parametrize("backend", BACKENDS)
def test_a_backend_is_as_exact_as_plain_attention(
    backend: str, dtype: torch.dtype, case: AttentionCase, part: str
) -> None:
    found = compared(backend, case, dtype)
    if isinstance(found, str):
        pytest.skip(found)
    assert found[part].ok, found[part]


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("case", ALL_CASES, ids=str)
def test_attention_and_autograd_give_what_the_backend_gives(backend: str, case: AttentionCase) -> None:
    problem = problem_of(case, torch.float32)
    assert wrong_parts(problem, by_attention(backend, problem)) == {}


@pytest.mark.parametrize("backend", STATUSES)
def test_a_backend_can_run_here(backend: str) -> None:
    """So that the run says of each backend that was not proven why it was not."""
    if not STATUSES[backend].available:
        pytest.skip(f"backend {backend} was not run: {STATUSES[backend].reason}")
    assert callable(backends.load(backend).forward)
    assert callable(backends.load(backend).backward)


def test_the_backends_in_pytorch_refuse_nothing() -> None:
    for name in ALWAYS:
        assert STATUSES[name].available
        assert not [case for case in ALL_CASES if isinstance(compared(name, case, torch.bfloat16), str)]


@pytest.mark.parametrize("part", Answer._fields)
def test_a_wrong_part_of_an_answer_is_noticed(part: str) -> None:
    """One element off by a tenth of the largest, in any part, and none else."""
    problem = problem_of(next(case for case in ALL_CASES if case.mask == "additive"), torch.float32)
    answer = by_module(backends.load("reference"), problem)
    broken = getattr(answer, part).clone()
    broken.view(-1)[7] += 0.1 * broken.abs().max()
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
