"""Check the library on a GPU: every case against float64, then every kernel under compute-sanitizer. `make gpu-check`

Adds a line to benchmarks/results/gpu-check.md, to be committed: when, on what, and what came out. Exits with 1 where a
test fails or a tool finds a fault, with 2 where something could not be run, and says what.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import torch

import tilewise

ROOT = Path(__file__).resolve().parents[1]
RECORD = ROOT / "benchmarks" / "results" / "gpu-check.md"
BACKENDS = ("cuda", "triton")
TOOLS = ("memcheck", "racecheck", "synccheck", "initcheck")
FOUND = 86  # the exit code of the sanitizer where it found a fault; programs that fail by themselves end with others
SHOWN = 40  # lines of its output, of a tool that did not stay silent


@dataclass(frozen=True)
class Outcome:
    """verdict: for the record   status: 0, 1 for a fault, 2 for what could not be run"""

    verdict: str
    status: int
    output: str = ""


def find_sanitizer() -> str | None:
    """Give compute-sanitizer: of the PATH, else of the CUDA toolkit."""
    homes = [os.environ.get("CUDA_HOME"), os.environ.get("CUDA_PATH"), "/usr/local/cuda"]
    places = [os.environ.get("PATH", os.defpath), *(str(Path(home) / "bin") for home in homes if home)]
    return shutil.which("compute-sanitizer", path=os.pathsep.join(places))


def sanitize(sanitizer: str | None, tool: str, program: Sequence[str]) -> Outcome:
    """Run a program under one tool of compute-sanitizer, and read what came out from its exit code."""
    if sanitizer is None:
        return Outcome("not run: no compute-sanitizer", 2)
    done = subprocess.run(
        [sanitizer, "--tool", tool, "--error-exitcode", str(FOUND), *program],
        # One allocation of the driver's for each tensor: else an overrun would land in torch's own cache of memory.
        env={**os.environ, "PYTORCH_NO_CUDA_MEMORY_CACHING": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        cwd=ROOT,
    )
    if done.returncode == FOUND:
        return Outcome("FAULTS", 1, done.stdout)
    if done.returncode != 0:
        return Outcome(f"not run: exit code {done.returncode}", 2, done.stdout)
    if "SUMMARY:" not in done.stdout:
        return Outcome("not run: it summed nothing up", 2, done.stdout)
    return Outcome("clean", 0, done.stdout)


def run_tests(jobs: str) -> Outcome:
    with tempfile.TemporaryDirectory() as folder:
        results = Path(folder) / "results.xml"
        command = [sys.executable, "-m", "pytest", "-n", jobs, "tests/tilewise/test_on_gpu.py", f"--junitxml={results}"]
        code = subprocess.run(command, cwd=ROOT).returncode
        if not results.is_file():
            return Outcome(f"not run: pytest's exit code {code}", 2)
        return read_tests(results.read_text(encoding="utf-8"))


def read_tests(xml: str) -> Outcome:
    """Read pytest's report in JUnit's form."""
    suites = ElementTree.fromstring(xml).iter("testsuite")
    counts = dict.fromkeys(("tests", "failures", "errors", "skipped"), 0)
    for suite in suites:
        for name in counts:
            counts[name] += int(suite.get(name, 0))
    failed = counts["failures"] + counts["errors"]
    passed = counts["tests"] - failed - counts["skipped"]
    verdict = f"{passed} passed, {failed} failed, {counts['skipped']} skipped"
    return Outcome(verdict, 1 if failed else 0 if passed else 2)


def commit() -> str:
    done = subprocess.run(["git", "describe", "--always", "--dirty"], cwd=ROOT, capture_output=True, text=True)
    return done.stdout.strip() or "unknown"


def note(record: Path, cells: Sequence[str]) -> None:
    """Add a line to the table that the file ends with."""
    text = record.read_text(encoding="utf-8")
    columns = len(re.findall(r"\|", text.splitlines()[-1])) - 1
    if columns != len(cells):
        raise ValueError(f"{record} ends with a table of {columns} columns, and there are {len(cells)} cells")
    record.write_text(f"{text.rstrip()}\n| {' | '.join(cells)} |\n", encoding="utf-8")


def sanitize_all(names: Sequence[str]) -> dict[str, dict[str, Outcome]]:
    """Run all tools over the kernels of each backend, and print what is not clean. -> by tool and backend"""
    sanitizer, found = find_sanitizer(), {}
    for tool in TOOLS:
        found[tool] = {
            name: sanitize(sanitizer, tool, [sys.executable, "-m", "scripts.every_cuda_kernel", name]) for name in names
        }
        for name, outcome in found[tool].items():
            print(f"{tool}, {name}: {outcome.verdict}", flush=True)
            if outcome.status:
                print("\n".join(outcome.output.splitlines()[-SHOWN:]), flush=True)
    return found


def worst(statuses: Iterable[int]) -> int:
    """A fault that was found weighs more than what could not be run."""
    found = set(statuses)
    return 1 if 1 in found else 2 if 2 in found else 0


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--jobs", default="2", help="test processes")
    jobs = parser.parse_args(arguments).jobs
    if not torch.cuda.is_available():
        print("gpu-check: PyTorch finds no GPU here, so nothing was checked", file=sys.stderr)
        return 2
    backends = {name: status for name, status in tilewise.backends().items() if name in BACKENDS}
    names = [name for name, status in backends.items() if status.available]
    for name in backends.keys() - names:
        print(f"gpu-check: {name} is not checked: {backends[name].reason}", file=sys.stderr)
    if "cuda" in names:
        tilewise.compile_cuda_extension()  # else every process of the tests would wait for it
    tests, tools = run_tests(jobs), sanitize_all(names)
    cells = ["; ".join(f"{name} {outcome.verdict}" for name, outcome in tools[tool].items()) for tool in TOOLS]
    date, device = datetime.now(UTC).strftime("%Y-%m-%d"), torch.cuda.get_device_name()
    note(RECORD, [date, device, str(torch.__version__), commit(), tests.verdict, *cells])
    print(f"noted in {RECORD.relative_to(ROOT)}; commit it")
    ran = [tests.status, *(outcome.status for of_tool in tools.values() for outcome in of_tool.values())]
    return worst([*ran, 0 if len(names) == len(BACKENDS) else 2])


if __name__ == "__main__":
    sys.exit(main())
