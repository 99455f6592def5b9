"""The kernels of `cuda` that the common table does not reach by itself: each rung, checked builds, what builds say.

All run here by the executor, on the processor: `test_backends` has the two passes of "cuda_cpu" on every case.
"""

from __future__ import annotations

import ctypes
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

import tilewise
from tests.tilewise.answers import Problem, by_module, wrong_parts
from tilewise import backends, cuda_on_cpu
from tilewise.backends.cuda import add_layer_norm, arguments, build, on_cpu, passes
from tilewise.backends.cuda.passes import KERNELS, Machine
from tilewise.oracle import Answer
from tilewise.testing import ALL_CASES, AttentionCase, compare

if reason := on_cpu.here():
    pytest.skip(reason, allow_module_level=True)

RUNGS = ("thread", "warp", "tiled", "decode")
DTYPES = (torch.float32, torch.float16)
# Three tiles of keys, the last one cut; heads of keys shared by two; features that are no multiple of four.
SMALL = AttentionCase("small", n_q=61, n_k=67, d=39, d_v=24, heads=2, h_kv=1, causal=True, mask="additive per key")
SQUARE = AttentionCase("square", n_q=64, n_k=64, d=64)


def checked(problem: Problem, machine: Machine = on_cpu.CHECKED) -> Answer:
    """Run both passes; raises CudaFault for a faulty access or a race."""
    q, k, v, spec = problem.q, problem.k, problem.v, problem.spec
    o, lse = on_cpu.forward(q, k, v, spec, machine=machine)
    gradients = on_cpu.backward(
        problem.do, problem.dlse, q, k, v, o, lse, spec, mask_grad=problem.additive, machine=machine
    )
    dq, dk, dv, dmask = gradients
    return Answer(o, lse, dq, dk, dv, dmask if dmask is None else dmask.reshape(problem.options["mask"].shape))


@pytest.mark.parametrize("case", ALL_CASES, ids=str)
@pytest.mark.parametrize("kernel", RUNGS)
def test_every_rung_attends_like_the_oracle(kernel: Any, case: AttentionCase) -> None:
    problem = Problem.of(case)
    o, lse = on_cpu.forward(problem.q, problem.k, problem.v, problem.spec, kernel=kernel)
    found = wrong_parts(problem, replace_forward(problem, o, lse))
    assert found == {}


def replace_forward(problem: Problem, o: Tensor, lse: Tensor) -> Answer:
    """Give an answer with this forward pass, whose gradients are those of plain arithmetic."""
    return problem.plain._replace(o=o, lse=lse)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("kernel", RUNGS)
def test_every_rung_is_clean_in_a_checked_build(kernel: Any, dtype: torch.dtype) -> None:
    problem = Problem.of(SMALL, dtype)
    o, lse = on_cpu.forward(problem.q, problem.k, problem.v, problem.spec, kernel=kernel, machine=on_cpu.CHECKED)
    assert wrong_parts(problem, replace_forward(problem, o, lse)) == {}


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_both_passes_are_clean_in_a_checked_build(dtype: torch.dtype) -> None:
    problem = Problem.of(SMALL, dtype)
    assert wrong_parts(problem, checked(problem)) == {}


BARRIERS = [
    (file.stem, line)
    for file in sorted(KERNELS.glob("*.cu"))
    for line, text in enumerate(file.read_text(encoding="utf-8").splitlines(), 1)
    if text.strip().startswith(("__syncthreads()", "__syncwarp()"))
]


@pytest.mark.parametrize(("file", "line"), BARRIERS)
def test_without_any_one_of_the_barriers_the_checked_build_finds_a_race(file: str, line: int) -> None:
    """So each is needed, and the two tests before this one can fail."""
    lines = (KERNELS / f"{file}.cu").read_text(encoding="utf-8").splitlines()
    lines[line - 1] = ""
    broken = cuda_on_cpu.compile("\n".join(lines), checked=True, include=(KERNELS,), name=f"{file}.cu")

    def run(name: str, *given: Any) -> None:
        on_cpu.call(broken if name == file else on_cpu.program(name, checked=True), name, given)

    with pytest.raises(cuda_on_cpu.CudaFault) as caught:
        checked(Problem.of(SMALL), Machine(run, warps=64))
    assert {fault.kind for fault in caught.value.faults} <= {"race_shared", "uninitialised_shared"}


def test_every_barrier_says_what_would_race_without_it() -> None:
    assert len(BARRIERS) == 9
    for file, line in BARRIERS:
        assert ");  // " in (KERNELS / f"{file}.cu").read_text(encoding="utf-8").splitlines()[line - 1], (file, line)


def counted(kernel: Any, dtype: torch.dtype = torch.float32) -> cuda_on_cpu.Counts:
    problem = Problem.of(SQUARE, dtype)
    with on_cpu.program(f"{kernel}_forward", checked=True).watch() as report:
        on_cpu.forward(problem.q, problem.k, problem.v, problem.spec, kernel=kernel, machine=on_cpu.CHECKED)
    return report.counts


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_the_tiled_kernel_has_no_bank_conflict_and_wastes_no_sector(dtype: torch.dtype) -> None:
    counts, problem = counted("tiled", dtype), Problem.of(SQUARE, dtype)
    assert counts.bank_conflicts == 0
    # Each of q, k and v once, as there is one tile of queries; o; and lse, four rows of a warp at a time,
    # half a sector.
    assert counts.global_load_bytes == 32 * counts.global_load_sectors == 3 * problem.q.nbytes
    assert 32 * counts.global_store_sectors == problem.q.nbytes + 2 * 4 * SQUARE.n_q


def test_each_rung_moves_fewer_sectors_than_the_one_below() -> None:
    """A thread per row stores to 32 rows at once; a warp per row reads the keys again for each row."""
    thread, warp, tiled = (counted(kernel) for kernel in RUNGS[:3])
    assert thread.sectors_per_store > 4 * warp.sectors_per_store
    assert warp.global_load_bytes > 10 * tiled.global_load_bytes


@pytest.mark.parametrize("warps", [1, 4, 1000])
def test_the_number_of_splits_changes_nothing_but_rounding(warps: int) -> None:
    problem = Problem.of(AttentionCase("one query", n_q=1, n_k=200, d=20, heads=4, h_kv=2, mask="random"))
    machine = replace(on_cpu.MACHINE, warps=warps)
    o, lse = on_cpu.forward(problem.q, problem.k, problem.v, problem.spec, machine=machine)
    assert wrong_parts(problem, replace_forward(problem, o, lse)) == {}


@pytest.mark.parametrize("splits", [1, 3])
def test_decode_over_a_cache_runs_on_these_kernels(splits: int) -> None:
    cache = tilewise.KVCache(2, 2, 16, capacity=64)
    q, k, v = (torch.randn(2, heads, n, 16) for heads, n in ((4, 1), (2, 50), (2, 50)))
    cache.append(k, v)
    o = tilewise.decode(q, cache, splits=splits, backend="cuda_cpu")
    right = tilewise.attention(q.double(), k.double(), v.double())
    assert compare(o, right, tilewise.attention(q, k, v, backend="reference")).ok


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16], ids=str)
def test_a_mask_in_another_dtype_is_read_and_gets_its_gradient(dtype: torch.dtype) -> None:
    drawn = Problem.of(AttentionCase("masked", mask="additive", heads=2))
    problem = replace(drawn, options={"mask": drawn.options["mask"].to(dtype)})
    dmask = by_module(on_cpu, problem).dmask  # type: ignore[arg-type]
    assert dmask is not None
    assert dmask.dtype is dtype


def test_the_structures_are_those_of_the_kernels() -> None:
    """Sizes, and the last field of all: where it lies in C is where Python puts it."""
    text = (
        '#include <cstddef>\n#include "problem.cuh"\n'
        'extern "C" int size_of_problem(int unused) { return sizeof(Problem); }\n'
        'extern "C" int place_of_slopes(int unused) { return offsetof(Problem, slopes); }\n'
        'extern "C" int place_of_strides(int unused) { return offsetof(Problem, mask_strides); }\n'
    )
    program = cuda_on_cpu.compile(text, include=(KERNELS,))
    assert program.call("size_of_problem", 0) == ctypes.sizeof(arguments.Problem)
    assert program.call("place_of_slopes", 0) == arguments.Problem.slopes.offset
    assert program.call("place_of_strides", 0) == arguments.Problem.mask_strides.offset


def test_heads_that_are_too_wide_are_refused_with_their_width() -> None:
    q = torch.randn(1, 1, 3, 129)
    with pytest.raises(tilewise.BackendError, match="at most 128 features, not 129"):
        tilewise.attention(q, q, q, backend="cuda_cpu")


def test_auto_never_takes_the_kernels_executed_on_the_processor() -> None:
    q = torch.randn(1, 1, 3, 8)
    choice = tilewise.explain_backend(q, q, q)
    assert choice.name != "cuda_cpu"
    assert "cuda_cpu" not in choice.refused


def test_auto_passes_over_a_backend_that_is_not_compiled_yet_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    waiting = replace(backends._ENTRIES["cuda_cpu"], waits=build.not_built)
    monkeypatch.setitem(backends._ENTRIES, "cuda_cpu", waiting)
    monkeypatch.setattr(backends, "_ON_CPU", ("cuda_cpu", "torch_fa2"))
    q = torch.randn(1, 1, 3, 8)
    choice = tilewise.explain_backend(q, q, q)
    assert choice.name == "torch_fa2"
    assert "tilewise.compile_cuda_extension()" in choice.refused["cuda_cpu"]
    assert tilewise.attention(q, q, q, backend="cuda_cpu").shape == q.shape


LAYER_NORM_SHAPES = [(3, 5, 40), (1, 1), (7, 1000), (0, 8), (4, 0)]


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("shape", LAYER_NORM_SHAPES, ids=str)
def test_the_fused_sum_and_norm_are_torchs(shape: tuple[int, ...], dtype: torch.dtype) -> None:
    generator = torch.Generator().manual_seed(0)
    x, residual = ((torch.randn(*shape, generator=generator) * 3 + 20).to(dtype) for _ in range(2))
    weight, bias = (torch.randn(shape[-1], generator=generator).to(dtype) for _ in range(2))
    y, total = add_layer_norm(x, residual, weight, bias)
    assert torch.equal(total, x + residual)
    normal = torch.nn.functional.layer_norm
    right = normal(total.double(), shape[-1:], weight.double(), bias.double())
    assert compare(y, right, normal(total, shape[-1:], weight, bias), terms=float(bias.abs().sum())).ok


def test_the_fused_norm_reads_any_strides_and_is_clean_in_a_checked_build() -> None:
    x, weight, bias = torch.randn(6, 9).T, torch.randn(6), torch.randn(6)
    y, total = passes.add_layer_norm(x, x, weight, bias, 1e-5, on_cpu.CHECKED)
    normal = torch.nn.functional.layer_norm
    assert compare(
        y, normal(total.double(), (6,), weight.double(), bias.double()), normal(total, (6,), weight, bias)
    ).ok


WRONG_NORMS: list[tuple[dict[str, Any], type[Exception], str]] = [
    ({"residual": torch.zeros(2, 4)}, ValueError, r"one shape .* got \(2, 3\) and \(2, 4\)"),
    ({"weight": torch.zeros(2)}, ValueError, r"weight must have the shape \(3,\), got \(2,\)"),
    ({"bias": torch.zeros(3).half()}, TypeError, "bias is torch.float16"),
    ({"x": torch.zeros(2, 3).double()}, TypeError, "x is torch.float64"),
    ({"weight": torch.zeros(3, requires_grad=True)}, ValueError, "weight requires grad, .* torch.no_grad"),
]


@pytest.mark.parametrize(("wrong", "kind", "said"), WRONG_NORMS)
def test_the_fused_norm_says_what_does_not_fit(wrong: dict[str, Any], kind: type[Exception], said: str) -> None:
    right = {name: torch.zeros(2, 3) for name in ("x", "residual")} | {
        name: torch.ones(3) for name in ("weight", "bias")
    }
    with pytest.raises(kind, match=said):
        add_layer_norm(**(right | wrong))
