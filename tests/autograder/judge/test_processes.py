"""What can be read of processes from outside, on some that are started here."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator

import pytest

from autograder.judge import processes
from autograder.judge.processes import Look, Wish, descendants, exact_bytes, look

MIB = 1 << 20
Start = Callable[[str], int]
# What is looked at lies below a process of its own, for others below this one come and go.
PARENT = "import os\nif os.fork():\n    os.wait()\n    os._exit(0)\n"


@pytest.fixture
def start() -> Iterator[Start]:
    """Run a text in a new Python, and wait until it prints a line; gives the process that it descends from."""
    started: list[subprocess.Popen[bytes]] = []

    def run(source: str) -> int:
        child = subprocess.Popen([sys.executable, "-I", "-S", "-c", PARENT + source], stdout=subprocess.PIPE)
        started.append(child)
        assert child.stdout is not None
        assert child.stdout.readline(), "it ended before it was ready"
        return child.pid

    yield run
    for child in started:
        for pid in [*descendants(child.pid), child.pid]:
            try:
                os.kill(pid, 9)
            except ProcessLookupError:
                continue
        child.communicate()


def seen(root: int, condition: Callable[[Look], bool]) -> Look:
    """Look until what is looked for is there: a process needs its time to get there."""
    deadline = time.monotonic() + 20
    while not condition(now := look(root, time.monotonic())):
        assert time.monotonic() < deadline, f"it did not come about within 20 s: {now}"
        time.sleep(0.02)
    return now


def test_who_sleeps_rests_and_who_loops_wants_to_run(start: Start) -> None:
    root = start("import time; print('ready', flush=True); time.sleep(60)")
    seen(root, lambda now: now.wish is Wish.REST)
    root = start("print('ready', flush=True)\nwhile True: pass")
    seen(root, lambda now: now.wish is Wish.RUN)


def test_a_thread_that_runs_beside_one_that_waits_is_seen(start: Start) -> None:
    root = start(
        "import threading\nprint('ready', flush=True)\n"
        "def loop():\n    while True: pass\nthread = threading.Thread(target=loop)\nthread.start()\nthread.join()"
    )
    seen(root, lambda now: now.wish is Wish.RUN)


def test_who_asked_to_be_served_last_does_not_count_as_waiting_for_its_turn(start: Start) -> None:
    root = start("import os; os.nice(5); print('ready', flush=True)\nwhile True: pass")
    used = seen(root, lambda now: now.in_all > 0.1)
    assert used.wish is Wish.REST


def test_processor_time_and_memory_of_grandchildren_count(start: Start) -> None:
    root = start(
        "import os, time\nif os.fork() == 0:\n    held = b'x' * (64 << 20)\n    began = time.process_time()\n"
        "    while time.process_time() - began < 0.2: pass\n    print('ready', flush=True)\ntime.sleep(60)"
    )
    now = seen(root, lambda now: len(now.processor) == 2)
    assert now.in_all > 0.1
    assert now.anonymous >= 64 * MIB
    assert sum(now.resident.values()) >= 64 * MIB


def test_pages_that_processes_share_count_once_in_the_exact_account(start: Start) -> None:
    root = start(
        "import os, time\nheld = b'x' * (64 << 20)\nfor _ in range(3):\n    if os.fork() == 0: time.sleep(60)\n"
        "print('ready', flush=True)\ntime.sleep(60)"
    )
    now = seen(root, lambda now: len(now.resident) == 4)
    assert sum(now.resident.values()) >= 4 * 64 * MIB
    assert 64 * MIB <= exact_bytes(list(now.resident)) < 128 * MIB


def test_a_process_that_hides_its_memory_counts_with_all_its_pages(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = start("import time\nheld = b'x' * (64 << 20)\nprint('ready', flush=True); time.sleep(60)")
    now = seen(root, lambda now: len(now.resident) == 1)
    reading = processes._read

    def refuse(path: str) -> bytes:
        if path.endswith("smaps_rollup"):
            raise PermissionError(path)
        return reading(path)

    monkeypatch.setattr(processes, "_read", refuse)
    assert exact_bytes(list(now.resident)) >= 64 * MIB


def test_a_file_in_memory_counts_once_however_many_hold_it(start: Start) -> None:
    root = start(
        "import os, time\nf = os.memfd_create('x')\nos.write(f, b'x' * (32 << 20))\nos.fork()\n"
        "print('ready', flush=True)\ntime.sleep(60)"
    )
    now = seen(root, lambda now: len(now.resident) == 2)
    assert now.files == 32 * MIB


def test_what_has_ended_is_left_out(start: Start) -> None:
    gone = subprocess.Popen([sys.executable, "-I", "-S", "-c", ""])
    gone.wait()
    assert exact_bytes([gone.pid]) == 0
    assert descendants(gone.pid) == []
    assert look(gone.pid, 0.0) == Look(0.0)
