"""What the library takes besides time in `torch_fa2`: memory, Triton's interpreter, and its import.

Tables of `python -m benchmarks.library`.
"""

from __future__ import annotations

import subprocess
import sys
from functools import partial

import torch

import tilewise
from benchmarks.figures import MS, Bar, Figure, Spread, Table, interleaved
from tests.tilewise.memory import Memory

MIB = 1 << 20
LENGTHS = (2048, 4096, 8192, 16384)
DOUBLES = (Bar(1.8, at_least=True), Bar(2.2))
INTERPRETED = {"forward": Bar(80.0), "backward": Bar(150.0)}
IMPORT = Bar(50.0)
INTERPRETED_ROUNDS, IMPORT_ROUNDS = 31, 31
STEPS = ("import torch", "import tilewise", "tilewise.attention")
# Prints the seconds of the processor that each of the STEPS took.
STARTED = "import time\n" + "\n".join(
    f"began = time.process_time()\n{step}\nprint(time.process_time() - began)" for step in STEPS
)


def extra_bytes(size: tuple[int, ...], causal: bool, backend: str = "torch_fa2") -> dict[str, int]:
    """Give the most bytes alive at once that were not there before, results included: (B, H, N, D), float32."""
    q, k, v, do = (torch.randn(size) for _ in range(4))
    leaves = [x.requires_grad_() for x in (q, k, v)]
    with Memory() as used:
        o = tilewise.attention(*leaves, causal=causal, backend=backend)
        forward = used.peak_bytes
        torch.autograd.grad(o, leaves, do)
    return {"forward": forward, "forward + backward": used.peak_bytes}


def memory(lengths: tuple[int, ...] = LENGTHS, batch: int = 4, heads: int = 8, width: int = 64) -> Table:
    figures = []
    for causal in (False, True):
        found = [extra_bytes((batch, heads, n, width), causal) for n in lengths]
        for name in found[0]:
            for shorter, n, less, more in zip(lengths, lengths[1:], found, found[1:], strict=False):
                what = f"N {shorter} to {n}{', causal' if causal else ''}, {name}"
                parts = {"before, MiB": less[name] / MIB, "after, MiB": more[name] / MIB}
                value = Spread.of([more[name] / less[name]])
                figures.append(Figure(what, value, "after / before", DOUBLES, _exact(parts)))
    return Table(
        "Memory over the inputs",
        "The most bytes alive at once of all that PyTorch's operators made, results and gradients included, by a"
        " `TorchDispatchMode` that follows every storage until it is freed (`tests/tilewise/memory.py`)."
        f" `torch_fa2` through `tilewise.attention`, B={batch} H={heads} D={width}, float32; exact, so measured once."
        " Of it, some 2 MiB are the tiles', whatever N is: where all else is small, memory grows by less than double.",
        tuple(figures),
    )


def _exact(parts: dict[str, float]) -> dict[str, Spread]:
    return {name: Spread.of([value]) for name, value in parts.items()}


def interpreter(rounds: int = INTERPRETED_ROUNDS) -> Table:
    figures = []
    for causal in (False, True):
        q, k, v, do = (torch.randn(1, 1, 256, 64) for _ in range(4))
        leaves = [x.requires_grad_() for x in (q, k, v)]
        attend = partial(tilewise.attention, *leaves, causal=causal, backend="triton")
        backward = partial(torch.autograd.grad, attend(), leaves, do, retain_graph=True)
        for name, taken in interleaved({"forward": attend, "backward": backward}, rounds).items():
            what = f"{name}{', causal' if causal else ''}"
            figures.append(Figure(what, Spread.of(taken), "ms", (INTERPRETED[name],), {}))
    return Table(
        "triton in its interpreter",
        f'`tilewise.attention(..., backend="triton")` and autograd, B=1 H=1 N=256 D=64, float32, {rounds} rounds.',
        tuple(figures),
    )


def imports(rounds: int = IMPORT_ROUNDS) -> Table:
    taken: dict[str, list[float]] = {name: [] for name in STEPS}
    for _ in range(rounds):
        done = subprocess.run([sys.executable, "-c", STARTED], check=True, capture_output=True, text=True)
        for name, used in zip(STEPS, done.stdout.split(), strict=True):
            taken[name].append(float(used) * MS)
    torch_alone, *beyond = (Spread.of(taken[name]) for name in STEPS)
    both = Spread.of([a + b for a, b in zip(*(taken[name] for name in STEPS[1:]), strict=True)])
    parts = {"import torch before it, ms": torch_alone}
    figures = (
        Figure("import tilewise", beyond[0], "ms beyond torch", (IMPORT,), parts),
        Figure("import tilewise, and the first use of attention", both, "ms beyond torch", (IMPORT,), parts),
    )
    return Table("Imports", f"Each in a fresh interpreter, {rounds} times, files in the system's cache.", figures)
