"""What counts against the time limit: the processor's time, and time in which nobody wanted the processor."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest

from autograder.judge.client import Judge
from autograder.judge.verdict import Kind, Verdict

from .conftest import ask

LIMIT = 1.0  # seconds, of the exercise toy.twice
RIVALS = 6
SPENT = re.compile(r"([\d.]+) s of the processor, ([\d.]+) s wasted")


def spent(verdict: Verdict) -> tuple[float, float]:
    """Seconds of the processor, and wasted ones, of the call that the verdict shows."""
    assert verdict.kind is Kind.TIME_LIMIT, verdict
    assert verdict.counterexample is not None
    found = SPENT.search(verdict.counterexample.error)
    assert found, verdict.counterexample.error
    return float(found[1]), float(found[2])


@pytest.fixture
def crowded() -> Iterator[int]:
    """A processor that other programs keep busy, each in a session of its own so that no grouping favours anyone."""
    number = max(os.sched_getaffinity(0))
    loop = f"import os; os.sched_setaffinity(0, {{{number}}})\nwhile True: pass"
    rivals = [subprocess.Popen([sys.executable, "-I", "-S", "-c", loop], start_new_session=True) for _ in range(RIVALS)]
    yield number
    for rival in rivals:
        rival.kill()
        rival.wait()


def test_time_spent_waiting_for_the_processor_is_not_held_against_an_answer(judge: Judge, crowded: int) -> None:
    source = f"""
        import os, time
        def twice(x, shift):
            os.sched_setaffinity(0, {{{crowded}}})
            began = time.process_time()
            while x.numel() == 2 and time.process_time() - began < {0.6 * LIMIT}:
                pass
            return 2 * x + shift
        """
    began = time.monotonic()
    assert ask(judge, source).kind is Kind.PASSED
    assert time.monotonic() - began > 1.5 * LIMIT, "it did not have to wait, so this proves nothing"


SWALLOWS = """
        import signal
        def twice(x, shift):
            if x.numel() != 2:
                return 2 * x + shift
            for number in range(1, 65):
                try: signal.signal(number, signal.SIG_IGN)
                except (OSError, ValueError): pass
            while True:
                try:
                    while True: pass
                except BaseException: pass
        """
LOOPS = """
        def twice(x, shift):
            while x.numel() == 2: pass
            return 2 * x + shift
        """


@pytest.mark.parametrize("source", [LOOPS, SWALLOWS], ids=["plain", "swallows every signal"])
def test_an_endless_loop_ends_at_its_processor_time(judge: Judge, source: str) -> None:
    verdict = ask(judge, source)
    processor, _ = spent(verdict)
    assert processor > LIMIT / 2
    assert "1 s" in verdict.headline.en
    # The other property was still looked at: one loop is not the end.
    assert [result.kind for result in verdict.properties] == [Kind.TIME_LIMIT, Kind.PASSED]


WAITS = {
    "sleep": "time.sleep(1000)",
    "short sleeps": "while True: time.sleep(0.001)",
    "a child that sleeps": "import os; os.fork() or time.sleep(1000); os.wait()",
    "a lock": "import threading; lock = threading.Lock(); lock.acquire(); lock.acquire()",
}


@pytest.mark.parametrize("wait", WAITS.values(), ids=WAITS.keys())
def test_what_waits_for_ever_ends_at_its_limit_once_and_for_all(walled: Judge, wait: str) -> None:
    verdict = ask(walled, f"import time\ndef twice(x, shift):\n    {wait}\n")
    processor, wasted = spent(verdict)
    assert wasted > processor
    assert "it waited" in verdict.headline.en
    assert "一直在等待" in verdict.headline.zh
    assert sorted(result.kind for result in verdict.properties) == [Kind.NOT_RUN, Kind.TIME_LIMIT]


def test_the_processor_time_of_children_is_the_answers_own(walled: Judge) -> None:
    source = """
        import os
        def twice(x, shift):
            for _ in range(3):
                if os.fork() == 0:
                    while True: pass
            while True:
                os.sched_yield()
        """
    processor, wasted = spent(ask(walled, source))
    assert processor > wasted
