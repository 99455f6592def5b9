"""Correct kernels give the right answer, and every check stays silent on them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from tilewise.cuda_on_cpu import Program, compile
from tilewise.testing import compare

Kernels = Callable[..., Program]
BUILDS = pytest.mark.parametrize("checked", [False, True], ids=["plain", "checked"])


def draw(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0))


@BUILDS
@pytest.mark.parametrize("n", [32, 37])
def test_tiled_matmul(kernels: Kernels, checked: bool, n: int) -> None:
    a, b, c = draw(n, n), draw(n, n), torch.full((n, n), torch.nan)
    kernels("correct", checked=checked).call("matmul_f32", a, b, c, n, None)
    assert compare(c, a.double() @ b.double(), a @ b, terms=n).ok


@BUILDS
@pytest.mark.parametrize("n", [1, 1000, 4096])
def test_reduction_with_shuffles(kernels: Kernels, checked: bool, n: int) -> None:
    x, total = draw(n), torch.zeros(1)
    kernels("correct", checked=checked).launch("reduce_sum", grid=4, block=128, args=(x, total, n))
    assert compare(total, x.double().sum(0, keepdim=True), x.sum(0, keepdim=True), terms=n).ok


@BUILDS
def test_a_fence_and_an_atomic_hand_on_what_other_blocks_wrote(kernels: Kernels, checked: bool) -> None:
    x, partial, finished, total = draw(1000), torch.full((32,), torch.nan), torch.zeros(1).int(), torch.zeros(1)
    kernels("correct", checked=checked).launch(
        "reduce_with_last_block", grid=32, block=32, args=(x, partial, finished, total, 1000)
    )
    assert compare(total, x.double().sum(0, keepdim=True), x.sum(0, keepdim=True), terms=1000).ok


@BUILDS
def test_the_count_may_be_a_variable_of_the_file(kernels: Kernels, checked: bool) -> None:
    x = draw(1000)
    for _ in range(2):
        partial, total = torch.full((32,), torch.nan), torch.zeros(1)
        kernels("correct", checked=checked).launch(
            "reduce_with_own_count", grid=32, block=32, args=(x, partial, total, 1000)
        )
        assert compare(total, x.double().sum(0, keepdim=True), x.sum(0, keepdim=True), terms=1000).ok


def test_without_the_fence_the_same_is_a_race_between_blocks(kernels: Kernels, cache: Path) -> None:
    text = kernels("correct").text.replace("__threadfence();", "")
    program = compile(text, checked=True, cache=cache)
    with program.watch() as report:
        program.launch(
            "reduce_with_last_block",
            grid=32,
            block=32,
            args=(draw(1000), torch.zeros(32), torch.zeros(1).int(), torch.zeros(1), 1000),
        )
    assert report.kinds() == {"race_between_blocks"}


@BUILDS
def test_lanes_that_meet_in_a_syncwarp_see_each_others_writes(kernels: Kernels, checked: bool) -> None:
    x, y = draw(64), torch.zeros(64)
    kernels("correct", checked=checked).launch("reverse_in_warps", grid=1, block=64, args=(x, y))
    assert torch.equal(y.view(2, 32), x.view(2, 32).flip(1))


@BUILDS
@pytest.mark.parametrize("causal", [False, True], ids=["all", "causal"])
@pytest.mark.parametrize("n", [64, 45])
@pytest.mark.parametrize("kernel", ["thread_per_row", "warp_per_row"])
def test_flash_forward(kernels: Kernels, checked: bool, kernel: str, n: int, causal: bool) -> None:
    heads, d = 2, 64
    q, k, v = draw(3, heads, n, d)
    o, lse = torch.full_like(q, torch.nan), torch.full((heads, n), torch.nan)
    kernels("correct", checked=checked).call(
        f"flash_forward_{kernel}", q, k, v, o, lse, heads, n, d**-0.5, causal, None
    )
    hidden = torch.ones(n, n).triu(1).bool() if causal else torch.zeros(n, n).bool()
    scores64 = (q.double() @ k.double().mT * d**-0.5).masked_fill(hidden, -torch.inf)
    scores32 = (q @ k.mT * d**-0.5).masked_fill(hidden, -torch.inf)
    largest = float(scores64[scores64.isfinite()].abs().max())
    assert compare(o, scores64.softmax(-1) @ v.double(), scores32.softmax(-1) @ v, exponent=largest, terms=n).ok
    assert compare(lse, scores64.logsumexp(-1), scores32.logsumexp(-1), exponent=largest, terms=n).ok
