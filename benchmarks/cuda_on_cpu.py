"""How long the CPU executor takes with the library's own kernel files: to compile them, and to run the forward pass.

Run from the repository's root, on a machine that does nothing else:
python -m benchmarks.cuda_on_cpu [--rounds 20]      as Markdown; exits with 1 where a bar is missed
Times are processor time, of all threads and, for compiling, of the compiler, so a busy machine changes them little.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import get_args

import torch

from benchmarks.figures import Bar, Figure, Spread, Table, interleaved, load, machine
from tilewise.backends.cuda import on_cpu
from tilewise.backends.cuda.build import KERNELS
from tilewise.backends.cuda.passes import Kernel
from tilewise.cuda_on_cpu import compile, find_compiler
from tilewise.spec import make_spec

RUNGS = tuple(name for name in get_args(Kernel) if name != "decode")
HEADS, D = 4, 64
COMPILED = Bar(3.0)
PLAIN_N, CHECKED_N = 256, 64
# A shuffle is a meeting of 32 threads, which on a processor take turns: the rung of shuffles has no bar.
PLAIN = {"thread": (Bar(15.0),), "warp": (), "tiled": (Bar(15.0),)}
CHECKED = (Bar(5000.0),)


def processor_seconds(work: Callable[[], object]) -> float:
    """Time some work, on all threads and in all children that end within it."""
    before = os.times()
    work()
    after = os.times()
    return sum(after[:4]) - sum(before[:4])


def compilation(cache: Path) -> Table:
    """Compile every forward kernel file into an empty cache."""

    def seconds(file: Path, checked: bool) -> Spread:
        return Spread.of([processor_seconds(lambda: compile(file, checked=checked, cache=cache))])

    files = {rung: KERNELS / f"{rung}_forward.cu" for rung in RUNGS}
    first = seconds(files[RUNGS[0]], False)
    figures = [Figure(f"{RUNGS[0]}_forward.cu, and the runtime, once on a machine", first, "s", (), {})]
    for checked, name in ((False, "plain"), (True, "checked")):
        for rung in RUNGS[not checked :]:
            figures.append(Figure(f"{rung}_forward.cu, {name}", seconds(files[rung], checked), "s", (COMPILED,), {}))
    return Table("Compilation", "Each once, the cache empty before the first.", tuple(figures))


def forward(rounds: int, n: int, *, checked: bool) -> Table:
    """Run the forward pass by every rung."""
    q, k, v = torch.randn(3, 1, HEADS, n, D, generator=torch.Generator().manual_seed(0))
    spec = make_spec(q, k, v)
    where = on_cpu.CHECKED if checked else on_cpu.MACHINE
    taken = interleaved({r: lambda r=r: on_cpu.forward(q, k, v, spec, kernel=r, machine=where) for r in RUNGS}, rounds)
    figures = tuple(
        Figure(rung, Spread.of(taken[rung]), "ms", CHECKED if checked else PLAIN[rung], {}) for rung in RUNGS
    )
    title = f"The forward pass, {'checked' if checked else 'plain'}"
    return Table(title, f"B=1 H={HEADS} N={n} D={D}, float32, not causal, {rounds} rounds.", figures)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=20)
    rounds = parser.parse_args(arguments).rounds
    compiler = subprocess.run([find_compiler(), "--version"], capture_output=True, text=True, check=True).stdout
    print("# CUDA kernels on a CPU, measured by `python -m benchmarks.cuda_on_cpu`")
    print("\nTime is the processor's, of all threads; each figure is a median, with the quartiles in brackets.\n")
    about = machine() | {"threads": f"{len(os.sched_getaffinity(0))}", "compiler": compiler.splitlines()[0]}
    print("\n".join(f"- {name}: {value}" for name, value in about.items()), flush=True)
    with tempfile.TemporaryDirectory() as cache:
        tables = [compilation(Path(cache))]
    tables += [forward(rounds, PLAIN_N, checked=False), forward(rounds, CHECKED_N, checked=True)]
    for table in tables:
        print(f"\n{table.markdown()}", flush=True)
    print(f"\nLoad at the end: {load()}")
    missed = [f"{table.title}: {figure.what}" for table in tables for figure in table.figures if not figure.met]
    print("\n".join(["\nMissed:", *missed]) if missed else "\nEvery bar is met.")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
