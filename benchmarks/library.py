"""The figures of the library, with the bars that they must reach: time, memory, the interpreter and the import.

Run from the repository's root, on a machine that does nothing else:
make bench                                                  all, as Markdown; exits with 1 where a bar is missed
python -m benchmarks.library --only attention               a part: attention, memory, interpreter or imports
python -m benchmarks.library --lengths 1024 --rounds 0.2    attention in short    --json FILE   for machines, too
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import torch

from benchmarks import attention, footprint
from benchmarks.figures import Table, load, machine

# NumPy, in which Triton's interpreter runs, asks for its threads when it is imported.
ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
PARTS = ("attention", "memory", "interpreter", "imports")


def measured(part: str, lengths: tuple[int, ...], share: float) -> Iterator[Table]:
    if part == "attention":
        yield from attention.tables(lengths, share)
    elif part == "memory":
        yield footprint.memory()
    elif part == "interpreter":
        yield footprint.interpreter()
    else:
        yield footprint.imports()


def command(options: argparse.Namespace) -> str:
    """Name the command that measures the same, wherever its figures go."""
    words = ["python -m benchmarks.library", *(f"--only {part}" for part in options.only or ())]
    if tuple(options.lengths) != tuple(attention.ROUNDS):
        words.append(f"--lengths {' '.join(map(str, options.lengths))}")
    if options.rounds != 1.0:
        words.append(f"--rounds {options.rounds:g}")
    return " ".join(words)


def main() -> int:
    if not ONE_THREAD.items() <= os.environ.items():
        again = [sys.executable, "-m", "benchmarks.library", *sys.argv[1:]]
        os.execve(sys.executable, again, {**os.environ, **ONE_THREAD})
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=PARTS, action="append", help="this part, and those given likewise")
    parser.add_argument("--lengths", type=int, nargs="+", choices=attention.ROUNDS, default=tuple(attention.ROUNDS))
    parser.add_argument("--rounds", type=float, default=1.0, help="this share of attention's usual number of rounds")
    parser.add_argument("--json", type=Path, help="write all figures to this file, too")
    options = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    about = machine()
    print(f"# The library, measured by `{command(options)}`")
    print("\nTime is the processor's, of one thread; each figure is a median, with the quartiles in brackets.\n")
    print("\n".join(f"- {name}: {value}" for name, value in about.items()), flush=True)
    found = []
    for part in options.only or PARTS:
        for table in measured(part, tuple(options.lengths), options.rounds):
            print(f"\n{table.markdown()}", flush=True)
            found.append(table)
    about["load at the end"] = load()
    print(f"\nLoad at the end: {about['load at the end']}")
    if options.json:
        data = {"machine": about, "tables": [table.data() for table in found]}
        options.json.write_text(json.dumps(data, indent=2) + "\n", encoding="utf-8")
    missed = [f"{table.title}: {figure.what}" for table in found for figure in table.figures if not figure.met]
    print("\n".join(["\nMissed:", *missed]) if missed else "\nEvery bar is met.")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
