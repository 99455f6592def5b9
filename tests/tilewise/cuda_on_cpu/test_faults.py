"""Each kind of fault has a kernel with exactly that fault; the report names it, its line and thread, and no more."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
import torch

from tests.tilewise.cuda_on_cpu import KERNELS, marked_lines
from tilewise.cuda_on_cpu import FAULT_KINDS, CudaFault, Program, Report

FILE = KERNELS / "faults.cu"
Kernels = Callable[..., Program]


@dataclass(frozen=True)
class Case:
    """args: how many numbers each buffer has, None for a null pointer, or a number for itself as ("n", 40)"""

    kernel: str
    kind: str
    args: tuple[Any, ...]
    thread: tuple[int, int, int]
    block: int = 32
    grid: int = 1
    shared_bytes: int = 0
    at_block: tuple[int, int, int] = (0, 0, 0)
    where: str = ""  # the function that holds the marked line, where it is not the kernel
    plain: bool = False  # found in the plain build too

    def __str__(self) -> str:
        return self.kernel

    def run(self, program: Program) -> Report:
        args = [a[1] if isinstance(a, tuple) else None if a is None else torch.zeros(a) for a in self.args]
        with program.watch() as report:
            program.launch(self.kernel, grid=self.grid, block=self.block, shared_bytes=self.shared_bytes, args=args)
        return report


CASES = (
    Case("divergent_barrier", "divergent_barrier", (64,), (32, 0, 0), block=64, plain=True),
    Case("missed_barrier", "missed_barrier", (64, ("n", 40)), (0, 0, 0), block=64, plain=True),
    Case("skipped_barrier", "missed_barrier", (64,), (0, 0, 0), block=64, plain=True),
    Case("mask_too_wide", "wrong_mask", (32,), (0, 0, 0), plain=True),
    Case("mask_without_itself", "wrong_mask", (32,), (16, 0, 0), plain=True),
    Case("source_outside_mask", "wrong_mask", (32,), (0, 0, 0), plain=True),
    Case("source_beyond_the_block", "wrong_mask", (16,), (0, 0, 0), block=16, plain=True),
    Case("shuffles_apart", "wrong_mask", (32,), (16, 0, 0), plain=True),
    Case("deadlock", "deadlock", (32,), (0, 0, 0), plain=True),
    Case("global_past_the_end", "out_of_bounds_global", (32, 32), (31, 0, 0)),
    Case("global_before_the_beginning", "out_of_bounds_global", (32,), (0, 0, 0)),
    Case("null_pointer", "out_of_bounds_global", (None, 32), (0, 0, 0)),
    Case("vector_across_the_end", "out_of_bounds_global", (6, 1), (0, 0, 0), block=1),
    Case("global_far_away", "out_of_bounds_global", (32, 32, ("i", 10**9)), (0, 0, 0), block=1),
    Case("dynamic_shared_forgotten", "out_of_bounds_shared", (32,), (0, 0, 0)),
    Case("dynamic_shared_past_the_end", "out_of_bounds_shared", (32,), (31, 0, 0), shared_bytes=128),
    Case("static_shared_past_the_end", "out_of_bounds_shared", (32,), (31, 0, 0), where="neighbour"),
    Case("static_shared_through_a_pointer", "out_of_bounds_shared", (32,), (31, 0, 0)),
    Case("device_array_past_the_end", "out_of_bounds_global", (32,), (16, 0, 0)),
    Case("device_array_through_a_pointer", "out_of_bounds_global", (32,), (1, 0, 0)),
    Case("own_array_past_the_end", "out_of_bounds_array", (32, ("n", 6)), (0, 0, 0)),
    Case("misaligned", "misaligned", (8, 1), (0, 0, 0), block=1),
    Case("uninitialised_shared", "uninitialised_shared", (32,), (16, 0, 0)),
    Case("race_shared", "race_shared", (64,), (32, 0, 0), block=64),
    Case("race_of_the_next_tile", "race_shared", (128, 64), (1, 0, 0), block=64),
    Case("race_within_a_warp", "race_shared", (32,), (16, 0, 0)),
    Case("race_global", "race_global", (128,), (1, 0, 0), block=64),
    Case("race_between_blocks", "race_between_blocks", (32,), (0, 0, 0), grid=8, at_block=(1, 0, 0)),
    Case("race_for_a_variable", "race_between_blocks", (1,), (0, 0, 0), block=1, grid=8, at_block=(1, 0, 0)),
    Case("trap", "trap", (32, ("n", 20)), (20, 0, 0), plain=True),
)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_the_checked_build_names_the_line_of_the_one_fault(kernels: Kernels, case: Case) -> None:
    report = case.run(kernels("faults", checked=True))
    assert [fault.kind for fault in report.faults] == [case.kind]
    fault = report.faults[0]
    function = case.where or case.kernel
    expected = {*marked_lines(FILE, function, "FAULT"), *marked_lines(FILE, function, "OTHER")}
    named = {line for line in (fault.line, fault.other_line) if line}
    assert named == expected
    assert fault.file == str(FILE)
    # Which side of a race comes second depends on the order of the run; of all others the faulty line is told first.
    if not case.kind.startswith("race"):
        assert fault.line == marked_lines(FILE, function, "FAULT")[0]
        assert (fault.block, fault.thread) == (case.at_block, case.thread)
    else:
        assert fault.other_thread is not None
        assert (fault.block, fault.thread) != (fault.other_block, fault.other_thread)


@pytest.mark.parametrize("case", [case for case in CASES if case.plain], ids=str)
def test_the_plain_build_finds_the_faults_of_waiting_too(kernels: Kernels, case: Case) -> None:
    fault = case.run(kernels("faults")).faults[0]
    assert (fault.kind, fault.line) == (case.kind, marked_lines(FILE, case.kernel, "FAULT")[0])
    assert (fault.block, fault.thread) == (case.at_block, case.thread)


@pytest.mark.parametrize("case", [case for case in CASES if case.plain], ids=str)
def test_the_portable_switch_finds_the_same(kernels: Kernels, case: Case) -> None:
    switched, portable = (case.run(kernels("faults", fibers=fibers)).faults for fibers in ("switch", "ucontext"))
    assert switched == portable


@pytest.mark.parametrize(
    ("kind", "launch"),
    [
        ("too_many_threads", {"grid": 1, "block": 2048}),
        ("too_many_threads", {"grid": 1, "block": (1, 1, 65)}),
        ("too_much_shared_memory", {"grid": 1, "block": 32, "shared_bytes": 48 * 1024 + 1}),
        ("invalid_launch", {"grid": 0, "block": 32}),
        ("invalid_launch", {"grid": (1, 65536), "block": 32}),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
@pytest.mark.parametrize("checked", [False, True], ids=["plain", "checked"])
def test_a_launch_that_no_gpu_accepts_is_refused(
    kernels: Kernels, checked: bool, kind: str, launch: dict[str, Any]
) -> None:
    program = kernels("faults", checked=checked)
    with program.watch() as report:
        error = program.launch("writes_nothing", **launch, args=(torch.zeros(1), 0))
    assert [fault.kind for fault in report.faults] == [kind]
    assert report.faults[0].file == str(FILE)
    assert report.faults[0].line == program.kernels["writes_nothing"].line
    assert error != 0


def test_every_kind_of_fault_has_a_kernel() -> None:
    launches = {"too_many_threads", "too_much_shared_memory", "invalid_launch"}
    assert {case.kind for case in CASES} | launches == set(FAULT_KINDS)


def test_a_line_can_race_within_a_block_and_between_blocks(kernels: Kernels) -> None:
    bins = torch.zeros(4, dtype=torch.int32)
    program = kernels("faults", checked=True)
    with program.watch() as report:
        program.launch("histogram_without_atomics", grid=2, block=32, args=(bins,))
    lines = marked_lines(FILE, "histogram_without_atomics", "FAULT")
    assert {(fault.kind, fault.line) for fault in report.faults} == {
        ("race_global", lines[0]),
        ("race_between_blocks", lines[0]),
    }


def test_an_access_out_of_bounds_does_not_happen(kernels: Kernels) -> None:
    program, y = kernels("faults", checked=True), torch.zeros(34)
    with program.watch() as report:
        program.launch("global_past_the_end", grid=1, block=32, args=(torch.ones(32), y[1:33]))
    assert report.faults[0].message == "load of 4 bytes reaches 4 bytes past the end of x (128 bytes)"
    assert y[0] == y[-1] == 0.0


@pytest.mark.parametrize(
    ("kernel", "message"),
    [
        ("static_shared_through_a_pointer", "load of 4 bytes reaches 4 bytes past the end of __shared__ s (128 bytes)"),
        (
            "dynamic_shared_forgotten",
            "store of 4 bytes in dynamic shared memory, of which this launch has none: its shared_bytes is 0",
        ),
        ("global_far_away", "load of 4 bytes at an address that belongs to no buffer, nor lies near one"),
        (
            "source_beyond_the_block",
            "__shfl_sync with mask 0xffffffff reads from lane 16, which does not exist: the block has 16 lanes in this "
            "warp",
        ),
    ],
)
def test_memory_and_lanes_are_called_by_what_they_are(kernels: Kernels, kernel: str, message: str) -> None:
    case = next(case for case in CASES if case.kernel == kernel)
    (fault,) = case.run(kernels("faults", checked=True)).faults
    assert fault.message == message


def test_an_index_wrong_by_a_stride_still_names_its_buffer(kernels: Kernels) -> None:
    x, program = torch.zeros(1 << 20), kernels("faults", checked=True)
    with program.watch() as report:
        program.launch("global_far_away", grid=1, block=1, args=(x, torch.zeros(1), x.numel() + 50_000))
    assert report.faults[0].message.endswith("past the end of x (4194304 bytes)")


def test_without_a_watch_a_fault_is_raised_with_a_readable_text(kernels: Kernels) -> None:
    program = kernels("faults")
    with pytest.raises(CudaFault) as raised:
        program.launch("missed_barrier", grid=1, block=64, args=(torch.zeros(64), 40))
    line = marked_lines(FILE, "missed_barrier", "FAULT")[0]
    assert str(raised.value).splitlines() == [
        f"{FILE}:{line}: __syncthreads() is reached by 40 of 64 threads; the others, such as thread (40, 0, 0), "
        "returned before it [missed_barrier]",
        "    block (0, 0, 0), thread (0, 0, 0)",
        "    and block (0, 0, 0), thread (40, 0, 0)",
    ]


def test_a_fault_leaves_nothing_behind_for_the_next_launch(kernels: Kernels) -> None:
    program, x = kernels("faults"), torch.zeros(64)
    with program.watch() as report:
        assert program.launch("missed_barrier", grid=1, block=64, args=(x, 40)) != 0
    assert report.faults
    assert program.launch("missed_barrier", grid=1, block=64, args=(x, 64)) == 0
    assert torch.equal(x, torch.full((64,), 2.0))
