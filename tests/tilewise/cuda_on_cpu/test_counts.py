"""The counts of small kernels equal what one works out on paper."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

from tests.tilewise.cuda_on_cpu import KERNELS
from tilewise.cuda_on_cpu import Counts, Program

Kernels = Callable[..., Program]
FLOAT, SECTOR, WARP = 4, 32, 32


def counted(kernels: Kernels, kernel: str, *args: Any, grid: Any = 1, block: Any = 32, shared_bytes: int = 0) -> Counts:
    program = kernels("counts", checked=True)
    with program.watch() as report:
        program.launch(kernel, grid=grid, block=block, shared_bytes=shared_bytes, args=args)
    assert report.faults == []
    return report.counts


def test_a_coalesced_copy_moves_what_it_asks_for(kernels: Kernels) -> None:
    n = 512
    assert counted(kernels, "copy", torch.zeros(n), torch.zeros(n), grid=4, block=128) == Counts(
        global_load_bytes=n * FLOAT,
        global_load_requests=n // WARP,
        global_load_sectors=n * FLOAT // SECTOR,
        global_store_bytes=n * FLOAT,
        global_store_requests=n // WARP,
        global_store_sectors=n * FLOAT // SECTOR,
    )


@pytest.mark.parametrize("stride", [1, 2, 3, 8, 16])
def test_a_strided_copy_moves_a_sector_for_each_it_touches(kernels: Kernels, stride: int) -> None:
    n = 128
    counts = counted(kernels, "copy_strided", torch.zeros(n * stride), torch.zeros(n), stride, grid=2, block=64)
    assert counts.global_load_bytes == n * FLOAT
    assert counts.sectors_per_load == min(4 * stride, 32)
    assert counts.sectors_per_store == 4


def test_a_buffer_that_begins_inside_a_sector_costs_one_more(kernels: Kernels) -> None:
    counts = counted(kernels, "copy", torch.zeros(40)[3:35], torch.zeros(32))
    assert (counts.sectors_per_load, counts.sectors_per_store) == (5, 4)


def test_float4_needs_a_quarter_of_the_requests(kernels: Kernels) -> None:
    n = 512
    counts = counted(kernels, "copy_float4", torch.zeros(n), torch.zeros(n), grid=1, block=128)
    assert (counts.global_load_bytes, counts.global_store_bytes) == (n * FLOAT, n * FLOAT)
    assert (counts.global_load_requests, counts.sectors_per_load) == (n // WARP // 4, 16)


def test_halves_need_half_the_sectors(kernels: Kernels) -> None:
    counts = counted(kernels, "copy_half", torch.zeros(64).half(), torch.zeros(64).half(), grid=2)
    assert (counts.global_load_bytes, counts.sectors_per_load) == (128, 2)


def test_one_number_for_all_lanes_is_one_sector(kernels: Kernels) -> None:
    counts = counted(kernels, "broadcast", torch.zeros(1), torch.zeros(32))
    assert (counts.global_load_bytes, counts.global_load_sectors) == (32 * FLOAT, 1)


def test_lanes_that_leave_a_loop_early_are_missing_from_its_later_requests(kernels: Kernels) -> None:
    counts = counted(kernels, "triangle", torch.zeros(32 * 32), torch.zeros(32))
    # Turn j is run by the lanes j, j + 1, ..., 31: the sectors from lane j's to the last of the row.
    assert counts.global_load_requests == 32
    assert counts.global_load_bytes == 32 * 33 // 2 * FLOAT
    assert counts.global_load_sectors == sum(4 - j * FLOAT // SECTOR for j in range(32))


@pytest.mark.parametrize(("kernel", "conflicts"), [("transpose", 31), ("transpose_padded", 0)])
def test_a_padded_tile_has_no_bank_conflicts(kernels: Kernels, kernel: str, conflicts: int) -> None:
    n = 64
    x, y = torch.arange(n * n).float().view(n, n), torch.zeros(n, n)
    counts = counted(kernels, kernel, x, y, n, grid=(n // 32, n // 32), block=(32, 32))
    assert torch.equal(y, x.T)
    assert counts == Counts(
        global_load_bytes=n * n * FLOAT,
        global_load_requests=n * n // WARP,
        global_load_sectors=n * n * FLOAT // SECTOR,
        global_store_bytes=n * n * FLOAT,
        global_store_requests=n * n // WARP,
        global_store_sectors=n * n * FLOAT // SECTOR,
        shared_load_bytes=n * n * FLOAT,
        shared_load_requests=n * n // WARP,
        shared_load_conflicts=conflicts * n * n // WARP,
        shared_store_bytes=n * n * FLOAT,
        shared_store_requests=n * n // WARP,
        shared_store_conflicts=0,
    )


def test_a_transpose_without_a_tile_stores_a_sector_a_number(kernels: Kernels) -> None:
    n = 64
    counts = counted(kernels, "transpose_naive", torch.zeros(n, n), torch.zeros(n, n), n, grid=(2, 2), block=(32, 32))
    assert (counts.sectors_per_load, counts.sectors_per_store) == (4, 32)


@pytest.mark.parametrize(
    ("stride", "conflicts"),
    # Eight lanes share a turn. Their first words lie in banks 0, s, 2s, ...: 4 words each.
    [(4, 0), (8, 4), (16, 12), (32, 28), (36, 0)],
)
def test_float4_from_shared_memory_goes_by_quarter_warps(kernels: Kernels, stride: int, conflicts: int) -> None:
    counts = counted(kernels, "shared_float4", torch.zeros(128), stride, shared_bytes=32 * stride * FLOAT)
    assert counts.shared_load_bytes == 32 * 16
    assert counts.shared_load_conflicts == conflicts


def test_atomics_are_counted_apart(kernels: Kernels) -> None:
    count = torch.zeros(1).int()
    assert counted(kernels, "count_by_atomics", count, grid=2, block=64) == Counts(
        global_atomic_bytes=128 * 4, global_atomic_requests=4, global_atomic_sectors=4
    )
    assert int(count) == 128


def test_counts_are_kept_by_line(kernels: Kernels) -> None:
    program, x = kernels("counts", checked=True), torch.zeros(32)
    with program.watch() as report:
        program.launch("copy", grid=1, block=32, args=(x, x.clone()))
        program.launch("copy", grid=1, block=32, args=(x, x.clone()))
    line = next(i for i, row in enumerate(program.text.splitlines(), 1) if "y[i] = x[i];" in row)
    assert list(report.lines) == [(str(KERNELS / "counts.cu"), line)]
    assert report.counts.global_load_requests == 2


def test_flash_forward_loads_k_and_v_once_a_block_of_rows(kernels: Kernels) -> None:
    heads, n, d, rows = 2, 128, 64, 64
    q, k, v, o = torch.randn(4, heads, n, d)
    program = kernels("correct", checked=True)
    with program.watch() as report:
        program.call("flash_forward_thread_per_row", q, k, v, o, torch.zeros(heads, n), heads, n, 0.125, False, None)
    assert report.faults == []
    assert report.counts.global_load_bytes == heads * n * d * FLOAT * (1 + 2 * n // rows)
    assert report.counts.global_store_bytes == heads * n * (d + 1) * FLOAT


def test_the_plain_build_counts_nothing(kernels: Kernels) -> None:
    program = kernels("counts")
    with program.watch() as report:
        program.launch("copy", grid=1, block=32, args=(torch.zeros(32), torch.zeros(32)))
    assert report.counts == Counts()
