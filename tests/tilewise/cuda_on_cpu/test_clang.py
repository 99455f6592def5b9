"""clang++ gives the same as g++: results, faults with their lines, and counts. Skipped where there is no clang++."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from typing import Any

import pytest
import torch

from tests.tilewise.cuda_on_cpu.test_faults import CASES, Case
from tilewise.cuda_on_cpu import Counts, Fault, Program
from tilewise.testing import compare

Kernels = Callable[..., Program]


@pytest.fixture(scope="module")
def clang() -> str:
    found = shutil.which("clang++")
    if found is None:
        pytest.skip("clang++ is not on the PATH: the executor was not tried with it")
    return found


def told(fault: Fault) -> tuple[Any, ...]:
    """What does not depend on the order in which a compiler puts two accesses of one line."""
    return fault.kind, {(fault.file, fault.line), (fault.other_file, fault.other_line)}, fault.block


@pytest.mark.parametrize("case", CASES, ids=str)
def test_the_checked_build_names_the_same_lines(kernels: Kernels, clang: str, case: Case) -> None:
    here, there = (case.run(kernels("faults", checked=True, **by)).faults for by in ({}, {"compiler": clang}))
    assert list(map(told, there)) == list(map(told, here))


@pytest.mark.parametrize("case", [case for case in CASES if case.plain], ids=str)
def test_the_plain_build_finds_the_same(kernels: Kernels, clang: str, case: Case) -> None:
    here, there = (case.run(kernels("faults", **by)).faults for by in ({}, {"compiler": clang}))
    assert there == here


def moved(program: Program, kernel: str, args: tuple[Any, ...], **launch: Any) -> Counts:
    with program.watch() as report:
        program.launch(kernel, **({"grid": 1, "block": 32} | launch), args=args)
    assert report.faults == []
    return report.counts


COUNTED: list[tuple[str, tuple[Any, ...], dict[str, Any]]] = [
    ("copy", (torch.zeros(128), torch.zeros(128)), {"grid": 4}),
    ("copy_float4", (torch.zeros(128), torch.zeros(128)), {}),
    ("copy_half", (torch.zeros(64).half(), torch.zeros(64).half()), {"grid": 2}),
    ("transpose", (torch.zeros(64, 64), torch.zeros(64, 64), 64), {"grid": (2, 2), "block": (32, 32)}),
    ("shared_float4", (torch.zeros(128), 16), {"shared_bytes": 32 * 16 * 4}),
    ("count_by_atomics", (torch.zeros(1).int(),), {}),
]


@pytest.mark.parametrize(("kernel", "args", "launch"), COUNTED, ids=[kernel for kernel, *_ in COUNTED])
def test_the_counts_are_the_same(
    kernels: Kernels, clang: str, kernel: str, args: tuple[Any, ...], launch: dict[str, Any]
) -> None:
    here, there = (
        moved(kernels("counts", checked=True, **by), kernel, args, **launch) for by in ({}, {"compiler": clang})
    )
    assert there == here


@pytest.mark.parametrize("checked", [False, True], ids=["plain", "checked"])
@pytest.mark.parametrize("kernel", ["thread_per_row", "warp_per_row"])
def test_flash_forward(kernels: Kernels, clang: str, kernel: str, checked: bool) -> None:
    heads, n, d = 2, 45, 64
    q, k, v = torch.randn(3, heads, n, d, generator=torch.Generator().manual_seed(0))
    o, lse = torch.full_like(q, torch.nan), torch.full((heads, n), torch.nan)
    kernels("correct", checked=checked, compiler=clang).call(
        f"flash_forward_{kernel}", q, k, v, o, lse, heads, n, d**-0.5, False, None
    )
    exact, plain = q.double() @ k.double().mT * d**-0.5, q @ k.mT * d**-0.5
    largest = float(exact.abs().max())
    assert compare(o, exact.softmax(-1) @ v.double(), plain.softmax(-1) @ v, exponent=largest, terms=n).ok
