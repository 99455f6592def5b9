"""Time the backends on a GPU against PyTorch's flash attention in the same dtype: both passes, causal and not.

    make gpu-bench                              every contest; says where a bar is missed, and exits with 1 then
    make gpu-bench ARGS="--backend cuda"        one of them: triton in bfloat16, or cuda in float16, rung by rung too
    make gpu-bench ARGS=--sweep                 other tiles of triton, for one shape of each head width: for blocks.py

A time is the median of single runs, each between two events on the device, after the first runs, which compile.
"""

from __future__ import annotations

import argparse
import itertools
import statistics
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.functional import scaled_dot_product_attention
from triton.runtime.errors import TritonError

import tilewise
from tilewise import backends
from tilewise.backends.triton.blocks import COMPILED, Blocks
from tilewise.spec import make_spec

PASSES = ("forward", "backward")
RUNGS = ("thread", "warp", "tiled")  # of the forward kernels of cuda
TOKENS, MODEL = 16384, 2048  # batch x length, and heads x width, of every shape: how FlashAttention-2 is measured
WARM_UP, RUNS = 5, 20
TILES = ((64, 64), (64, 128), (128, 64), (128, 128), (32, 128))
WARPS_AND_STAGES = ((4, 2), (4, 3), (8, 2), (8, 3))

Attention = Callable[[Tensor, Tensor, Tensor, bool], Tensor]


@dataclass(frozen=True)
class Contest:
    """A backend against PyTorch, in a dtype that both take.

    bars: PyTorch's time / ours, at least, by pass; for cuda there is none, as it multiplies without tensor cores
    """

    backend: str
    dtype: torch.dtype
    lengths: tuple[int, ...]
    bars: Mapping[str, float] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"{self.backend}, {str(self.dtype).removeprefix('torch.')}"


CONTESTS = (
    Contest("triton", torch.bfloat16, (2048, 4096, 8192, 16384), {"forward": 1.0, "backward": 0.9}),
    Contest("cuda", torch.float16, (2048, 4096)),
)


@dataclass(frozen=True)
class Shape:
    n: int
    d: int
    causal: bool

    @property
    def size(self) -> tuple[int, int, int, int]:
        return (max(1, TOKENS // self.n), MODEL // self.d, self.n, self.d)

    @property
    def forward_flops(self) -> float:
        batch, heads, n, d = self.size
        return 4 * batch * heads * n * n * d / (2 if self.causal else 1)

    def __str__(self) -> str:
        return f"{self.size!s:>20} {'causal' if self.causal else '':6}"


def ours(backend: str) -> Attention:
    return lambda q, k, v, causal: tilewise.attention(q, k, v, causal=causal, backend=backend)


def theirs(q: Tensor, k: Tensor, v: Tensor, causal: bool) -> Tensor:
    with sdpa_kernel(SDPBackend.FLASH_ATTENTION):
        return scaled_dot_product_attention(q, k, v, is_causal=causal)


def draw(shape: Shape, dtype: torch.dtype, requires_grad: bool) -> tuple[Tensor, Tensor, Tensor]:
    q, k, v = (torch.randn(shape.size, dtype=dtype, device="cuda", requires_grad=requires_grad) for _ in range(3))
    return q, k, v


def times_ms(attend: Attention, shape: Shape, dtype: torch.dtype) -> dict[str, float]:
    """Time both passes. -> milliseconds by pass"""
    q, k, v = draw(shape, dtype, requires_grad=True)
    o = attend(q, k, v, shape.causal)
    do = torch.randn_like(o)
    return {
        "forward": median_ms(lambda: attend(q.detach(), k.detach(), v.detach(), shape.causal)),
        "backward": median_ms(lambda: torch.autograd.grad(o, (q, k, v), do, retain_graph=True)),
    }


def median_ms(run: Callable[[], object]) -> float:
    for _ in range(WARM_UP):
        run()
    times = []
    for _ in range(RUNS):
        start, stop = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        start.record()
        run()
        stop.record()
        torch.cuda.synchronize()
        times.append(start.elapsed_time(stop))
    return statistics.median(times)


def line(shape: Shape, what: str, mine: float, other: float, bar: float = 0.0) -> str:
    """Make one line of a table. what: a pass, or a rung of the forward one   mine, other: milliseconds"""
    flops, ratio = shape.forward_flops * (2.5 if what == "backward" else 1), other / mine
    missed = "" if ratio >= bar else f"   below {bar}"
    return f"{shape} {what:8} {mine:9.2f} ms {other:9.2f} ms {flops / mine / 1e9:8.1f} {ratio:13.3f}{missed}"


def heading(title: str) -> str:
    ours_, theirs_ = "ours", "PyTorch's"
    columns = f"{'(B, H, N, D)':>20} {'':6} {'':8} {ours_:>12} {theirs_:>12} {'TFLOP/s':>8} {'theirs / ours':>13}"
    return f"\n{title}; PyTorch's flash attention in the same dtype\n{columns}"


def compare(contest: Contest) -> bool:
    """Print one line for each shape and pass. Says whether every bar is held."""
    held = True
    bars = ", ".join(f"{name} at least {bar}" for name, bar in contest.bars.items())
    print(heading(f"{contest}, {f'theirs / ours {bars}' if bars else 'no bar'}"))
    for d, n, causal in itertools.product((64, 128), contest.lengths, (False, True)):
        shape = Shape(n, d, causal)
        mine = times_ms(ours(contest.backend), shape, contest.dtype)
        other = times_ms(theirs, shape, contest.dtype)
        for name in PASSES:
            bar = contest.bars.get(name, 0.0)
            held &= other[name] / mine[name] >= bar
            print(line(shape, name, mine[name], other[name], bar), flush=True)
    return held


def climb(contest: Contest) -> None:
    """Print what each rung of cuda's forward kernels takes, at the shortest length: the lowest ones are slow."""
    print(heading(f"{contest}, the rungs of the forward pass"))
    forward = backends.load("cuda").forward
    for d, causal in itertools.product((64, 128), (False, True)):
        shape = Shape(contest.lengths[0], d, causal)
        q, k, v = draw(shape, contest.dtype, requires_grad=False)
        spec = make_spec(q, k, v, causal=causal)
        other = median_ms(lambda: theirs(q, k, v, causal))  # noqa: B023
        for rung in RUNGS:
            mine = median_ms(lambda: forward(q, k, v, spec, kernel=rung))  # noqa: B023
            print(line(shape, rung, mine, other), flush=True)


def sweep() -> None:
    """Print what each kernel's pass takes with other tiles, the fastest first. The other kernels keep theirs."""
    for d, (kernel, item_bytes) in itertools.product((64, 128), COMPILED):
        if kernel == "delta" or item_bytes != 2:
            continue
        shape, name = Shape(4096, d, causal=True), "forward" if kernel == "forward" else "backward"
        of_width, found = COMPILED[kernel, item_bytes], []
        before = of_width[d]
        for blocks in (before, *candidates()):
            of_width[d] = blocks
            try:
                found.append((times_ms(ours("triton"), shape, torch.bfloat16)[name], blocks))
            except TritonError as error:  # most often: more shared memory than there is
                print(f"  {kernel} {blocks}: {type(error).__name__}")
        of_width[d] = before
        print(f"{kernel}, {shape}: {name} in")
        for time, blocks in sorted(found, key=lambda pair: pair[0])[:8]:
            print(f"  {time:6.3f} ms {blocks}{'   the one in use' if blocks == before else ''}", flush=True)


def candidates() -> Iterator[Blocks]:
    for tile, launch in itertools.product(TILES, WARPS_AND_STAGES):
        yield Blocks(*tile, *launch)


def main(arguments: Sequence[str] | None = None) -> int:
    """-> 0: every bar is held   1: one is missed   2: what was asked for cannot be measured here"""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    names = [contest.backend for contest in CONTESTS]
    parser.add_argument("--backend", action="append", choices=names, help="this contest only; may be given twice")
    parser.add_argument("--sweep", action="store_true", help="try other tiles for triton")
    asked = parser.parse_args(arguments)
    if not torch.cuda.is_available():
        print(
            "gpu-bench needs a GPU that PyTorch can use, and there is none here: nothing was measured", file=sys.stderr
        )
        return 2
    print(f"{torch.cuda.get_device_name()}, torch {torch.__version__}, median of {RUNS} runs after {WARM_UP}")
    if asked.sweep:
        sweep()
        return 0
    statuses, held, measured = tilewise.backends(), True, True
    for contest in CONTESTS:
        if asked.backend and contest.backend not in asked.backend:
            continue
        if not statuses[contest.backend].available:
            print(f"\n{contest}: not measured: {statuses[contest.backend].reason}", file=sys.stderr)
            measured = False
            continue
        held &= compare(contest)
        if contest.backend == "cuda":
            climb(contest)
    if not held:
        return 1
    return 0 if measured else 2


if __name__ == "__main__":
    sys.exit(main())
