"""Every case of the library on a GPU, compiled, against the float64 oracle: `make gpu-check`. Needs a GPU."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

import tilewise
from tests.tilewise.answers import Problem, by_module, wrong_parts
from tilewise import backends
from tilewise.oracle import Answer
from tilewise.testing import ALL_CASES, AttentionCase, Comparison

if not torch.cuda.is_available():
    pytest.skip("PyTorch finds no GPU here", allow_module_level=True)

BACKENDS = [name for name in ("triton", "cuda") if tilewise.backends()[name].available]
DTYPES = (torch.float32, torch.float16, torch.bfloat16)

# Long enough for the tiles that the backend chooses itself: some of them whole, some cut, some hidden.
LONG_CASES = (
    AttentionCase("long", n_q=512, n_k=768, d=64, heads=2),
    AttentionCase("long, causal", n_q=777, n_k=777, d=64, heads=2, causal=True),
    AttentionCase("long, causal, D = 128", n_q=512, n_k=640, d=128, causal=True),
    AttentionCase("long, D = 256", n_q=300, n_k=333, d=256, causal=True),
    AttentionCase("long, padded heads", n_q=300, n_k=333, d=80, d_v=40, causal=True),
    AttentionCase("long, window, grouped heads", n_q=700, n_k=700, d=64, heads=4, h_kv=2, window=(150, 40)),
    AttentionCase("long, empty rows", n_q=600, n_k=300, d=64, causal=True),
    AttentionCase("long, bool mask", n_q=300, n_k=500, d=64, heads=2, mask="random"),
    AttentionCase("long, additive mask", n_q=300, n_k=500, d=64, heads=2, mask="additive", softcap=5.0, alibi=True),
    AttentionCase("long, dropout", n_q=300, n_k=500, d=64, heads=2, dropout_p=0.7, causal=True),
    AttentionCase("long, non-contiguous", n_q=300, n_k=500, d=128, heads=2, contiguous=False),
)


def on_gpu(x: Tensor) -> Tensor:
    """Copy a tensor with its strides, and NaN in the gaps between its elements."""
    if x.numel() == 0 or x.dtype is torch.bool:
        return x.cuda()
    extent = 1 + sum((size - 1) * stride for size, stride in zip(x.shape, x.stride(), strict=True))
    room = torch.full((extent,), torch.nan, dtype=x.dtype, device="cuda")
    return room.as_strided(x.shape, x.stride()).copy_(x)


def moved(problem: Problem) -> Problem:
    """Put a problem on the GPU. The generator of its dropout stays where it is, so that it draws the same seed."""
    options: dict[str, Any] = {k: on_gpu(x) if isinstance(x, Tensor) else x for k, x in problem.options.items()}
    q, k, v, do = (on_gpu(x) for x in (problem.q, problem.k, problem.v, problem.do))
    return replace(problem, q=q, k=k, v=v, do=do, dlse=problem.dlse.cuda(), options=options)


@pytest.fixture(autouse=True)
def poison(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fill memory that was allocated and never written with NaN, as torch does in its deterministic mode alone."""
    monkeypatch.setattr(torch.utils.deterministic, "fill_uninitialized_memory", True)
    torch.use_deterministic_algorithms(True, warn_only=True)


def wrong_on_gpu(backend: str, problem: Problem, blocks: tuple[int, int] | None = None) -> dict[str, Comparison]:
    there = moved(problem)
    try:
        backends.choose(backend, there.q, there.k, there.v, there.spec)
    except backends.BackendError as error:
        if backend == "cuda" and "its kernels" in str(error):  # no bfloat16, and no head wider than 128
            pytest.skip(str(error))
        raise
    answer = by_module(backends.load(backend), there, blocks)
    return wrong_parts(problem, Answer(*(None if x is None else x.cpu() for x in answer)))


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("case", ALL_CASES, ids=str)
@pytest.mark.parametrize("backend", BACKENDS)
def test_a_backend_is_as_exact_on_a_gpu(backend: str, case: AttentionCase, dtype: torch.dtype) -> None:
    assert wrong_on_gpu(backend, Problem.of(case, dtype), (case.block_q, case.block_k)) == {}


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("case", LONG_CASES, ids=str)
@pytest.mark.parametrize("backend", BACKENDS)
def test_a_backend_is_as_exact_in_the_tiles_that_it_chooses(
    backend: str, case: AttentionCase, dtype: torch.dtype
) -> None:
    assert wrong_on_gpu(backend, Problem.of(case, dtype)) == {}


def test_tensors_on_the_cpu_and_on_the_gpu_meet_in_one_process() -> None:
    problem = Problem.of(LONG_CASES[1])
    assert wrong_on_gpu("triton", problem) == {}
    assert wrong_parts(problem, by_module(backends.load("triton"), problem)) == {}
