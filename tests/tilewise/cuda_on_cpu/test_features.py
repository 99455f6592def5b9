"""What CUDA C++ the executor understands, against what a GPU does by its manual."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.tilewise.cuda_on_cpu import KERNELS
from tilewise.cuda_on_cpu import Program, compile

Kernels = Callable[..., Program]
BUILDS = pytest.mark.parametrize("checked", [False, True], ids=["plain", "checked"])


@BUILDS
def test_threads_and_blocks_have_three_dimensions(kernels: Kernels, checked: bool) -> None:
    y = torch.full((24, 24), -1, dtype=torch.int32)
    kernels("features", checked=checked).launch("where_am_i", grid=(2, 3, 4), block=(4, 3, 2), args=(y,))
    z, y_, x = torch.meshgrid(torch.arange(2), torch.arange(3), torch.arange(4), indexing="ij")
    expected = (x + 10 * y_ + 100 * z).flatten() + 1000 * torch.arange(24)[:, None]
    assert torch.equal(y.long(), expected)


@BUILDS
@pytest.mark.parametrize("fibers", ["switch", "ucontext"])
def test_shuffles_votes_and_matches(kernels: Kernels, checked: bool, fibers: str) -> None:
    y = torch.zeros(9, 32, dtype=torch.int32)
    kernels("features", checked=checked, fibers=fibers).launch("warp_operations", grid=1, block=32, args=(y,))
    lane = torch.arange(32)
    first = lane // 16 * 16
    thirds = sum(1 << i for i in range(0, 32, 3))
    expected = [
        torch.full((32,), 5),
        lane // 8 * 8 + 3,
        lane ^ 6,
        torch.where(lane - first >= 2, lane - 2, lane),
        torch.where(lane - first < 14, lane + 2, lane),
        torch.full((32,), thirds),
        torch.full((32,), 1 + 4),
        0xFF << (lane // 8 * 8),
        torch.where(lane < 16, sum(range(16)), sum(range(16, 32))),
    ]
    assert torch.equal(y.long() & 0xFFFFFFFF, torch.stack(expected))


@BUILDS
def test_reductions_and_matches_of_all_lanes(kernels: Kernels, checked: bool) -> None:
    y = torch.zeros(8, 32, dtype=torch.int32)
    kernels("features", checked=checked).launch("warp_reductions", grid=1, block=32, args=(y,))
    masks, first = [0x0000FFFF, 0xFFFF0000], [0, 16]
    expected = [
        [-sum(range(f, f + 16)) for f in first],
        [f - 8 for f in first],
        [f + 7 for f in first],
        [1, 1],
        masks,
        [1, 1],
        [masks[0], 0],
        [1, 0],
    ]
    of_lanes = torch.tensor(expected).repeat_interleave(16, dim=1)
    assert torch.equal(y.long() & 0xFFFFFFFF, of_lanes & 0xFFFFFFFF)


@BUILDS
def test_a_full_mask_means_the_lanes_that_exist(kernels: Kernels, checked: bool) -> None:
    y = torch.zeros(5, 8, dtype=torch.int32)
    kernels("features", checked=checked).launch("partial_warp", grid=1, block=8, args=(y,))
    lane = torch.arange(8)
    first_alone = torch.where(lane == 0, 28, 0)
    expected = [torch.full((8,), 0xFF), torch.full((8,), 3), lane ^ 4, torch.full((8,), 28), first_alone]
    assert torch.equal(y.long(), torch.stack(expected))


@BUILDS
def test_barriers_that_count(kernels: Kernels, checked: bool) -> None:
    y = torch.zeros(3).int()
    kernels("features", checked=checked).launch("block_votes", grid=1, block=64, args=(y,))
    assert y.tolist() == [32, 1, 0]


@BUILDS
def test_atomics(kernels: Kernels, checked: bool) -> None:
    y = torch.tensor([0, 0, -5, 5, -1, 0, 0, 0, 0], dtype=torch.int32)
    u, f = torch.zeros(1).int(), torch.zeros(1)
    kernels("features", checked=checked).launch("atomics", grid=4, block=64, args=(y, u, f))
    won = int(y[7])
    assert y.tolist() == [256, -256, 255, -255, ~0xFF, 0xFF, 0, won, 7]
    assert 1 <= won <= 256
    assert (int(u), float(f)) == (256 % 10, 128.0)


@BUILDS
def test_a_thread_that_spins_lets_the_holder_of_a_lock_run(kernels: Kernels, checked: bool) -> None:
    held, count = torch.zeros(1).int(), torch.zeros(1).int()
    kernels("features", checked=checked).launch("lock", grid=1, block=64, args=(held, count))
    assert int(count) == 64


@pytest.mark.parametrize("defines", [{}, {"TW_SOFTWARE_HALF": 1}], ids=["compiler's", "own"])
def test_halves_round_as_numpy_rounds(cache: Path, defines: dict[str, str | int]) -> None:
    program = compile(KERNELS / "features.cu", cache=cache, defines=defines)
    every_half = np.arange(1 << 16, dtype=np.uint16).view(np.float16).astype(np.float32)
    # Every half, the middle between two of them, and a little to either side.
    x = np.unique(np.concatenate([every_half[np.isfinite(every_half)], [65519.996, 65520.0, 1e-8, 2**-25, 1e30]]))
    middle = (x[:-1] + x[1:]) / 2
    x = np.concatenate([x, middle, np.nextafter(middle, np.inf), np.nextafter(middle, -np.inf), [np.inf, np.nan]])
    x = x.astype(np.float32)
    y, z = np.zeros(len(x), dtype=np.uint16), np.zeros(len(x), dtype=np.float32)
    program.launch("round_to_half", grid=-(-len(x) // 256), block=256, args=(x, y, z, len(x)))
    with np.errstate(over="ignore"):
        expected = x.astype(np.float16)
    number = ~np.isnan(x)
    assert np.array_equal(y[number], expected.view(np.uint16)[number])
    assert np.array_equal(z, expected.astype(np.float32), equal_nan=True)


@BUILDS
def test_half_arithmetic_rounds_once(kernels: Kernels, checked: bool) -> None:
    generator = np.random.default_rng(0)
    a, b = generator.standard_normal((2, 64)).astype(np.float16)
    y = np.zeros((6, 64), dtype=np.float16)
    kernels("features", checked=checked).launch("half_arithmetic", grid=1, block=64, args=(a, b, y, 64))
    fused = (a.astype(np.float64) * b.astype(np.float64) + a.astype(np.float64)).astype(np.float16)
    expected = [a + b, a * b, fused, np.maximum(a, b), a + np.float16(1), b + np.float16(1)]
    assert np.array_equal(y, np.stack(expected))


@BUILDS
def test_constant_memory(kernels: Kernels, checked: bool) -> None:
    y = torch.zeros(4)
    values = torch.tensor([1.0, 2.0, 3.0, 4.0])
    assert kernels("features", checked=checked).call("read_constants", values, y) == 0
    assert torch.equal(y, values)


def test_constant_memory_is_not_counted_and_variables_are(kernels: Kernels) -> None:
    y = torch.zeros(4)
    with kernels("features", checked=True).watch() as report:
        kernels("features", checked=True).call("read_constants", torch.ones(4), y)
    assert report.counts.global_load_bytes == 0
    with kernels("correct", checked=True).watch() as report:
        kernels("correct", checked=True).launch(
            "reduce_with_own_count", grid=1, block=32, args=(torch.ones(32), torch.zeros(1), torch.zeros(1), 32)
        )
    assert report.counts.global_atomic_bytes == 4


@BUILDS
def test_aligned_memory(kernels: Kernels, checked: bool) -> None:
    x, y = torch.arange(128.0), torch.zeros(32)
    kernels("features", checked=checked).launch("aligned", grid=1, block=32, args=(x, y))
    assert torch.equal(y, x.flip(0)[:32])


def test_halves_and_small_integers_are_passed_by_value(kernels: Kernels) -> None:
    y = torch.ones(1)
    kernels("features").launch("scale_by_half", grid=1, block=1, args=(y, 1.5, 4))
    assert float(y) == 6.0
    with pytest.raises(TypeError, match=r"factor needs __half, got float 10+"):
        kernels("features").launch("scale_by_half", grid=1, block=1, args=(y, 1e9, 4))


@BUILDS
def test_a_whole_program_with_its_own_memory(kernels: Kernels, checked: bool) -> None:
    x, y = torch.arange(100.0), torch.zeros(1)
    assert kernels("features", checked=checked).call("whole_program", x, y, 100) == 0
    assert float(y) == 4950.0


def test_the_device_tells_the_limits_that_launches_have(kernels: Kernels) -> None:
    y = torch.zeros(10, dtype=torch.int64)
    assert kernels("features").call("properties", y) == 0
    assert y[:8].tolist() == [32, 1024, 48 * 1024, 0, 9, 0, 64, 65535]
    assert int(y[8]) > 0
    assert int(y[9]) == os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGESIZE") >> 20


@BUILDS
def test_memory_of_the_host_and_managed_memory_are_kernels_to_use(kernels: Kernels, checked: bool) -> None:
    y = torch.zeros(32)
    assert kernels("features", checked=checked).call("shared_by_both", y, 32) == 0
    assert torch.equal(y, -torch.arange(32.0))


def test_unwritten_shared_memory_is_nan_in_every_block(kernels: Kernels) -> None:
    y = torch.zeros(64)
    kernels("features").launch("read_poison", grid=8, block=32, shared_bytes=128, args=(y,))
    assert bool(y.isnan().all())


@BUILDS
def test_a_lane_that_has_returned_is_excused_from_a_syncwarp(kernels: Kernels, checked: bool) -> None:
    y = torch.zeros(64)
    kernels("features", checked=checked).launch("syncwarp_after_return", grid=1, block=32, args=(y, 20))
    assert torch.equal(y, torch.cat([torch.ones(20), torch.zeros(12), torch.ones(20), torch.zeros(12)]))


def test_kernels_that_cannot_be_launched_by_name_do_no_harm_to_others(kernels: Kernels) -> None:
    program, y = kernels("features"), torch.zeros(1)
    assert not {"in_a_namespace", "left_out", "a_template"} & set(program.kernels)
    program.launch("after_the_hidden", grid=1, block=1, args=(y, 3))
    assert float(y) == 3.0
