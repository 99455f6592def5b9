"""Time a backend on a GPU against PyTorch's flash attention: forward and backward, bfloat16, causal and not.

    make gpu-bench                  every shape; says where the bar is missed, and exits with 1 then
    make gpu-bench ARGS=--sweep     times other tiles, for one shape of each head width: what should stand in blocks.py

A time is the median of single runs, each between two events on the device, after the first runs, which compile.
"""

from __future__ import annotations

import argparse
import itertools
import statistics
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.functional import scaled_dot_product_attention
from triton.runtime.errors import TritonError

import tilewise
from tilewise.backends.triton.blocks import COMPILED, Blocks

BARS = {"forward": 1.0, "backward": 0.9}  # PyTorch's time / ours, at least
TOKENS, MODEL = 16384, 2048  # batch x length, and heads x width, of every shape: how FlashAttention-2 is measured
WARM_UP, RUNS = 5, 20
TILES = ((64, 64), (64, 128), (128, 64), (128, 128), (32, 128))
WARPS_AND_STAGES = ((4, 2), (4, 3), (8, 2), (8, 3))

Attention = Callable[[Tensor, Tensor, Tensor, bool], Tensor]


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


def times_ms(attend: Attention, shape: Shape) -> dict[str, float]:
    """Time both passes. -> milliseconds by the names of `BARS`"""
    q, k, v = (torch.randn(shape.size, dtype=torch.bfloat16, device="cuda", requires_grad=True) for _ in range(3))
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


def compare(backend: str) -> bool:
    """Print one line for each shape and pass. Says whether every bar is held."""
    held = True
    print(f"{'(B, H, N, D)':>20} {'':6} {'pass':8} {'ours':>9} {'theirs':>9}   TFLOP/s, ours   theirs / ours")
    for d, n, causal in itertools.product((64, 128), (2048, 4096, 8192, 16384), (False, True)):
        shape = Shape(n, d, causal)
        mine, other = times_ms(ours(backend), shape), times_ms(theirs, shape)
        for name, bar in BARS.items():
            flops = shape.forward_flops * (2.5 if name == "backward" else 1)
            ratio = other[name] / mine[name]
            held &= ratio >= bar
            missed = "" if ratio >= bar else f"   below {bar}"
            print(
                f"{shape} {name:8} {mine[name]:6.2f} ms {other[name]:6.2f} ms {flops / mine[name] / 1e9:12.0f}"
                f" {ratio:17.2f}{missed}",
                flush=True,
            )
    return held


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
                found.append((times_ms(ours("triton"), shape)[name], blocks))
            except TritonError as error:  # most often: more shared memory than there is
                print(f"  {kernel} {blocks}: {type(error).__name__}")
        of_width[d] = before
        print(f"{kernel}, {shape}: {name} in")
        for time, blocks in sorted(found, key=lambda pair: pair[0])[:8]:
            print(f"  {time:6.3f} ms {blocks}{'   the one in use' if blocks == before else ''}", flush=True)


def candidates() -> Iterator[Blocks]:
    for tile, launch in itertools.product(TILES, WARPS_AND_STAGES):
        yield Blocks(*tile, *launch)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--backend", default="triton")
    parser.add_argument("--sweep", action="store_true", help="try other tiles for triton")
    arguments = parser.parse_args()
    if not torch.cuda.is_available():
        print(
            "gpu-bench needs a GPU that PyTorch can use, and there is none here: nothing was measured", file=sys.stderr
        )
        return 2
    print(f"{torch.cuda.get_device_name()}, torch {torch.__version__}, {tilewise.backends()[arguments.backend].reason}")
    print(f"bfloat16, median of {RUNS} runs after {WARM_UP}")
    if arguments.sweep:
        sweep()
        return 0
    return 0 if compare(arguments.backend) else 1


if __name__ == "__main__":
    sys.exit(main())
