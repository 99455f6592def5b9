"""Memory grows as N, and nothing is ever N x N: by a meter that sees every tensor that PyTorch makes."""

from __future__ import annotations

import gc
from dataclasses import replace

import pytest
import torch
from torch import Tensor

import tilewise
from tests.tilewise.answers import Problem
from tests.tilewise.memory import Memory
from tilewise import backends
from tilewise.functional import attend
from tilewise.spec import make_spec
from tilewise.testing import OPTION_CASES, AttentionCase

TILED = ("torch_fa1", "torch_fa2")
BLOCK = 64
LONG = [
    replace(case, n_q=512, n_k=512, batch=1, d=8, d_v=None, heads=2, h_kv=1)
    for case in OPTION_CASES
    if case.mask is None and case.options().keys() - {"causal", "scale"}
]


def both_passes(backend: str, problem: Problem) -> Memory:
    """Measure both passes, in tiles of BLOCK x BLOCK where the backend has any; the inputs were there before."""
    q, k, v = (x.detach().requires_grad_() for x in (problem.q, problem.k, problem.v))
    spec = make_spec(q, k, v, **problem.options)
    sizes = {} if backend == "reference" else {"block_q": BLOCK, "block_k": BLOCK}
    with Memory() as memory:
        o, _ = attend(q, k, v, spec, backends.load(backend, **sizes))
        o.backward(problem.do)
    return memory


def test_memory_doubles_as_the_length_doubles() -> None:
    bytes_used, largest = [], []
    for n in (2048, 4096):
        problem = Problem.of(AttentionCase("long", n_q=n, n_k=n, d=64, causal=True))
        memory = both_passes("torch_fa2", problem)
        bytes_used.append(memory.peak_bytes)
        largest.append(memory.largest)
    assert bytes_used[1] / bytes_used[0] == pytest.approx(2.0, rel=0.1)
    assert largest == [2048 * 64, 4096 * 64]


@pytest.mark.parametrize("case", LONG, ids=str)
@pytest.mark.parametrize("backend", TILED)
def test_no_option_makes_anything_of_the_size_of_the_scores(backend: str, case: AttentionCase) -> None:
    problem = Problem.of(case)
    assert both_passes(backend, problem).largest <= max(2 * BLOCK * BLOCK, problem.q.numel())


@pytest.mark.parametrize("backend", TILED)
@pytest.mark.parametrize("shape", [(1, 1, 1, 512), (1, 1, 512, 1)])
def test_a_mask_that_broadcasts_is_never_spread_out(backend: str, shape: tuple[int, ...]) -> None:
    drawn = Problem.of(AttentionCase("long", n_q=512, n_k=512, d=8, heads=2))
    for mask in (torch.ones(shape, dtype=torch.bool), torch.zeros(shape, requires_grad=True)):
        problem = Problem(drawn.q, drawn.k, drawn.v, drawn.do, None, {"mask": mask})
        assert both_passes(backend, problem).largest <= max(2 * BLOCK * BLOCK, drawn.q.numel())


def test_the_meter_sees_the_scores_of_plain_attention() -> None:
    problem = Problem.of(AttentionCase("long", n_q=512, n_k=512, d=8))
    memory = both_passes("reference", problem)
    assert memory.largest == 512 * 512
    assert memory.peak_bytes > 4 * 512 * 512


def test_the_meter_counts_what_is_alive_at_once() -> None:
    with Memory() as memory:
        first = torch.zeros(1000)
        view = first.view(10, 100)
        second = view + 1
        del second
        third = first * 2
        third.mul_(3)
    assert memory.peak_bytes == 2 * 4 * 1000
    assert memory.largest == 1000
    del first, view, third
    gc.collect()
    with memory:
        torch.zeros(500)
    assert memory.peak_bytes == 2 * 4 * 1000


@pytest.mark.parametrize("backend", [name for name, status in tilewise.backends().items() if status.available])
def test_only_inputs_and_results_outlive_the_forward_pass(backend: str) -> None:
    case = AttentionCase("kept", batch=2, heads=4, h_kv=2, n_q=20, n_k=30, mask="random", causal=True, dropout_p=0.2)
    q, k, v = (x.requires_grad_() for x in case.draw())
    kept: list[tuple[int, ...]] = []

    def pack(x: Tensor) -> Tensor:
        kept.append(tuple(x.shape))
        return x

    options = case.options()
    with torch.autograd.graph.saved_tensors_hooks(pack, lambda x: x):
        o, lse = tilewise.attention(q, k, v, **options, backend=backend, return_lse=True)
    assert kept == [tuple(x.shape) for x in (q, k, v, options["mask"], o, lse)]
