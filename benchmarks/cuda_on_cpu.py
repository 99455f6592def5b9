"""How long the CPU executor takes: to compile, and to run flash forward in its plain and its checked build.

Run from the repository's root: .venv/bin/python -m benchmarks.cuda_on_cpu [--rounds 10]
Times are processor time of the process and the compilers that it starts, so a busy machine changes them little.
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import torch

from tilewise.cuda_on_cpu import Program, compile, find_compiler

KERNELS = Path(__file__).resolve().parents[1] / "tests" / "tilewise" / "cuda_on_cpu" / "kernels"
HEADS, D = 4, 64
# (what, kernel, checked, N, the most it may take in milliseconds or None)
RUNS = (
    ("plain, a thread per row", "thread_per_row", False, 256, 15.0),
    ("plain, a warp per row with shuffles", "warp_per_row", False, 256, None),
    ("checked, a thread per row", "thread_per_row", True, 64, 5000.0),
    ("checked, a warp per row with shuffles", "warp_per_row", True, 64, 5000.0),
)
COMPILE_SECONDS = 3.0


def processor_seconds(work: Callable[[], object]) -> float:
    """Time some work, on all threads and in all children that end within it."""
    before = os.times()
    work()
    after = os.times()
    return sum(after[:4]) - sum(before[:4])


def flash_forward(program: Program, kernel: str, n: int) -> Callable[[], object]:
    q, k, v = torch.randn(3, HEADS, n, D, generator=torch.Generator().manual_seed(0))
    o, lse = torch.full_like(q, torch.nan), torch.full((HEADS, n), torch.nan)
    return lambda: program.call(f"flash_forward_{kernel}", q, k, v, o, lse, HEADS, n, D**-0.5, False, None)


def row(what: str, seconds: float, most_ms: float | None) -> str:
    allowed = "" if most_ms is None else f"{most_ms:,.0f} ms"
    return f"| {what} | {seconds * 1e3:,.1f} ms | {allowed} |"


def measure(rounds: int, cache: Path) -> list[str]:
    """Measure everything with an empty cache. -> the rows of a table"""
    file = KERNELS / "correct.cu"
    first = processor_seconds(lambda: compile(KERNELS / "counts.cu", cache=cache))
    plain = processor_seconds(lambda: compile(file, cache=cache))
    checked = processor_seconds(lambda: compile(file, checked=True, cache=cache))
    again = processor_seconds(lambda: compile(file, cache=cache))
    most = COMPILE_SECONDS * 1e3
    rows = [
        row("first compilation on a machine, with the runtime", first, None),
        row("compile seven kernels, plain", plain, most),
        row("compile seven kernels, checked", checked, most),
        row("the same from the cache", again, None),
    ]
    for what, kernel, is_checked, n, allowed in RUNS:
        run = flash_forward(compile(file, checked=is_checked, cache=cache), kernel, n)
        run()
        # The clock of a process ticks in hundredths of a second: time some rounds together.
        times = [processor_seconds(lambda: [run() for _ in range(rounds)]) / rounds for _ in range(5)]  # noqa: B023
        rows.append(row(f"flash forward float32 N={n} H={HEADS} D={D}, {what}", statistics.median(times), allowed))
    return rows


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--rounds", type=int, default=10, help="runs a measurement; the median of 5 measurements is shown"
    )
    rounds = parser.parse_args(arguments).rounds
    compiler = subprocess.run([find_compiler(), "--version"], capture_output=True, text=True, check=True).stdout
    print(f"{platform.machine()}, {len(os.sched_getaffinity(0))} processors, {compiler.splitlines()[0]}\n")
    print("| processor time | median | at most |\n|---|---|---|")
    with tempfile.TemporaryDirectory() as cache:
        print("\n".join(measure(rounds, Path(cache))))


if __name__ == "__main__":
    main()
