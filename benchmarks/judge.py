"""How long a check takes and how much memory it needs, as a learner has it: in a real kernel, cell by cell.

Run from the repository's root, on a machine that does nothing else:
.venv/bin/python -m benchmarks.judge                          every exercise, right and wrong, in a table of Markdown
.venv/bin/python -m benchmarks.judge --only online_softmax    those whose id holds this      --rounds 20   more of each
"""

from __future__ import annotations

import argparse
import contextlib
import datetime
import math
import os
import platform
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from types import TracebackType

from jupyter_client.manager import KernelManager

from autograder.course.model import Exercise
from autograder.course.reading import course_root, load_course
from autograder.judge.processes import descendants

MIB = 1 << 20
CELL_SECONDS = 300
FIRST_CHECKS = 3
SETUP = "from tilewise_lab import check, verdict"
PACKAGES = ("torch", "ipykernel", "jupyterlab", "nbgrader")
# What a call may do instead of returning. Each is the body of a function that takes anything.
NEVER_ENDING = {
    "an endless loop": "while True: pass",
    "one that ignores all signals and catches all exceptions": (
        "import signal\n"
        "    for number in range(1, 65):\n"
        "        try: signal.signal(number, signal.SIG_IGN)\n"
        "        except (OSError, ValueError): pass\n"
        "    while True:\n"
        "        try:\n"
        "            while True: pass\n"
        "        except BaseException: pass"
    ),
    "a sleep": "import time; time.sleep(1000)",
    "memory taken until there is none, and MemoryError swallowed": (
        "held = []\n    while True:\n        try: held.append(bytearray(1 << 20))\n        except MemoryError: pass"
    ),
    "sixty children with 200 MiB each": (
        "import os, time\n"
        "    for _ in range(60):\n"
        "        if os.fork() == 0:\n"
        "            held = b'x' * (200 << 20); time.sleep(1000)\n"
        "    time.sleep(1000)"
    ),
}


class Kernel:
    """An IPython kernel in an empty folder; to be used in a `with`."""

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="tilewise-benchmark-")
        self._manager = KernelManager(kernel_name="python3")
        # It warns that its ports are not encrypted; they are this machine's own.
        self._manager.start_kernel(cwd=self._folder.name, stderr=subprocess.DEVNULL)
        self._client = self._manager.blocking_client()
        self._client.start_channels()
        self._client.wait_for_ready(timeout=CELL_SECONDS)
        self.pid = int(self.run("import os; print(os.getpid())")[1])

    def __enter__(self) -> Kernel:
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self._client.stop_channels()
        self._manager.shutdown_kernel()
        self._folder.cleanup()

    def run(self, source: str) -> tuple[float, str]:
        """Run a cell; give the seconds from its sending to its end, and what it printed. Raises what it raised."""
        printed: list[str] = []

        def take(message: dict) -> None:
            if message["msg_type"] == "stream":
                printed.append(message["content"]["text"])

        began = time.perf_counter()
        reply = self._client.execute_interactive(source, timeout=CELL_SECONDS, output_hook=take)["content"]
        seconds = time.perf_counter() - began
        if reply["status"] != "ok":
            raise RuntimeError(f"the kernel failed on {source[:60]!r}: {reply.get('ename')}: {reply.get('evalue')}")
        return seconds, "".join(printed)

    def answer(self, exercise: Exercise, source: str) -> None:
        """Run the exercise's cell with this text, as the learner does before checking it."""
        self.run(f"# exercise: {exercise.id}\n{source}")

    def check(self, exercise: Exercise) -> float:
        return self.run(f"check({exercise.id!r})")[0]


@dataclass(frozen=True)
class Timing:
    """One answer to one exercise, checked several times."""

    exercise: str
    answer: str
    verdict: str
    seconds: tuple[float, ...]


def percentile(seconds: Sequence[float], share: float) -> float:
    """Give the smallest that at least such a share of them does not pass."""
    return sorted(seconds)[max(0, math.ceil(share * len(seconds)) - 1)]


def spread(seconds: Sequence[float]) -> list[str]:
    """Give the least, which other programs disturb least, the median and the 95th percentile."""
    return [f"{number:.2f}" for number in (min(seconds), statistics.median(seconds), percentile(seconds, 0.95))]


def memory(kernel: int) -> dict[str, float]:
    """Give the MiB (PSS: shared pages in parts) of the kernel and of what descends from it, by role."""
    found: dict[str, float] = defaultdict(float)
    for pid in (kernel, *descendants(kernel)):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            text = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="utf-8")
            pss = re.search(r"^Pss:\s+(\d+) kB", text, re.MULTILINE)
            assert pss, text
            found[_role(pid, kernel)] += int(pss[1]) / 1024
    return dict(found)


def _role(pid: int, kernel: int) -> str:
    if pid == kernel:
        return "kernel"
    command = Path(f"/proc/{pid}/cmdline").read_bytes()
    if b"autograder.judge.service" in command:
        return "judge"
    parent = int(Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[1])
    if b"zygote.py" in command:
        of_parent = Path(f"/proc/{parent}/cmdline").read_bytes()
        return "worker kept ready, and its supervisor" if b"zygote.py" in of_parent else "fork server"
    return "other"


def first_checks(exercise: Exercise, source: str) -> list[tuple[float, float]]:
    """In fresh kernels, give the seconds of the first check and of all from the setup cell to its end."""
    found = []
    for _ in range(FIRST_CHECKS):
        with Kernel() as kernel:
            began = time.perf_counter()
            kernel.run(SETUP)
            kernel.answer(exercise, source)
            seconds = kernel.check(exercise)
            found.append((seconds, time.perf_counter() - began))
    return found


def answers(exercise: Exercise) -> Iterator[tuple[str, str]]:
    """Give the solution and the known-wrong ones: name and text."""
    yield "right", exercise.solution_path.read_text(encoding="utf-8")
    for name, path in exercise.variants("wrong").items():
        yield name, path.read_text(encoding="utf-8")


def timings(kernel: Kernel, exercise: Exercise, rounds: int) -> Iterator[Timing]:
    for name, source in answers(exercise):
        kernel.answer(exercise, source)
        verdict = kernel.run(f"print(verdict({exercise.id!r}).kind)")[1].strip()  # warm-up, not counted
        yield Timing(exercise.id, name, verdict, tuple(kernel.check(exercise) for _ in range(rounds)))


def endings(kernel: Kernel, exercise: Exercise) -> Iterator[tuple[str, str, float]]:
    """Give what never ends, how the verdict calls it, and the seconds from check to verdict."""
    for name, body in NEVER_ENDING.items():
        functions = "\n".join(f"def {function}(*arguments):\n    {body}" for function in exercise.functions)
        kernel.answer(exercise, functions)
        seconds, said = kernel.run(f"print(verdict({exercise.id!r}).kind)")
        yield name, said.strip(), seconds


def row(*cells: object) -> str:
    return f"| {' | '.join(str(cell) for cell in cells)} |"


def header(*cells: str) -> str:
    return f"{row(*cells)}\n{row(*('---' for _ in cells))}"


def machine() -> str:
    with open("/proc/cpuinfo", encoding="utf-8") as file:
        model = next((line.partition(":")[2].strip() for line in file if line.startswith("model name")), "unknown")
    with open("/proc/meminfo", encoding="utf-8") as file:
        total = int(file.readline().split()[1]) >> 20
    packages = ", ".join(f"{name} {version(name)}" for name in PACKAGES)
    return "\n".join(
        [
            f"- date: {datetime.datetime.now(datetime.UTC):%Y-%m-%d %H:%M} UTC",
            f"- device: {model}, {os.cpu_count()} cores, {total} GiB; no GPU is used",
            f"- system: {platform.system()} {platform.release()}, Python {platform.python_version()}, {packages}",
            "- threads: 1 in the judge and in each worker",
            f"- load (1, 5, 15 minutes) before: {load()}",
        ]
    )


def load() -> str:
    return ", ".join(f"{average:.2f}" for average in os.getloadavg())


def report_timings(exercises: Sequence[Exercise], rounds: int) -> list[Timing]:
    """Print every answer's timings as they come, then what the memory is at the end, then all that never ends."""
    found: list[Timing] = []
    with Kernel() as kernel:
        kernel.run(SETUP)
        kernel.answer(exercises[0], next(answers(exercises[0]))[1])
        isolation = kernel.run(f"print(verdict({exercises[0].id!r}).rung)")[1].strip()
        print(f"\n## Warm checks ({rounds} of each; isolation: {isolation})\n")
        print(header("exercise", "answer", "verdict", "least s", "median s", "p95 s"), flush=True)
        for exercise in exercises:
            for timing in timings(kernel, exercise, rounds):
                found.append(timing)
                print(row(timing.exercise, timing.answer, timing.verdict, *spread(timing.seconds)), flush=True)
        held = memory(kernel.pid)
        print(f"\n## Memory after these checks (PSS)\n\n{header('process', 'MiB')}")
        for role, mib in held.items():
            print(row(role, f"{mib:.0f}"))
        print(row("**together**", f"**{sum(held.values()):.0f}**"), flush=True)
        print(f"\n## What never ends ({exercises[0].id}, {exercises[0].limits.seconds:g} s a call)\n")
        print(header("the answer does", "verdict", "seconds"), flush=True)
        for name, verdict, seconds in endings(kernel, exercises[0]):
            print(row(name, verdict, f"{seconds:.1f}"), flush=True)
    return found


def report_summary(found: Sequence[Timing]) -> None:
    print(f"\n## Together\n\n{header('exercise', 'answers', 'least s', 'median s', 'p95 s')}")
    for exercise in dict.fromkeys(timing.exercise for timing in found):
        for answer, is_right in (("right", True), ("wrong", False)):
            of_all = [
                s for t in found if t.exercise == exercise and (t.answer == "right") is is_right for s in t.seconds
            ]
            print(row(exercise, answer, *spread(of_all)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="", help="a part of the exercises' ids")
    parser.add_argument("--rounds", type=int, default=10, help="how often each answer is checked")
    options = parser.parse_args()
    exercises = [e for e in load_course(course_root()).exercises.values() if options.only in e.id]
    if not exercises or options.rounds < 1:
        sys.exit("no exercise has such an id, or there is no round to run")
    print(f"# The judge, measured by `python -m benchmarks.judge`\n\n{machine()}")
    print(f"\n## The first check, in {FIRST_CHECKS} fresh kernels\n")
    print(header("exercise", "the check alone, s", "from the setup cell on, s"), flush=True)
    for alone, whole in first_checks(exercises[0], exercises[0].solution_path.read_text(encoding="utf-8")):
        print(row(exercises[0].id, f"{alone:.2f}", f"{whole:.2f}"), flush=True)
    report_summary(report_timings(exercises, options.rounds))
    print(f"\nLoad after: {load()}")


if __name__ == "__main__":
    main()
