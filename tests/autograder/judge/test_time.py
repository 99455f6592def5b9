"""What counts against the time limit: processor time, with a wider bound on the wall clock."""

from __future__ import annotations

import time

from autograder.judge.client import Judge
from autograder.judge.sandbox import WALL_FACTOR
from autograder.judge.verdict import Kind

from .conftest import ask

LIMIT = 1.0  # seconds, of the exercise toy.twice


def test_time_spent_waiting_for_the_processor_is_not_held_against_an_answer(judge: Judge) -> None:
    source = f"""
        import time
        def twice(x, shift):
            time.sleep({1.3 * LIMIT})
            return 2 * x + shift
        """
    assert ask(judge, source).kind is Kind.PASSED


def test_a_busy_loop_ends_by_its_processor_time_before_the_wall_clock(walled: Judge) -> None:
    source = """
        def twice(x, shift):
            if x.numel() == 2:
                while True: pass
            return 2 * x + shift
        """
    began = time.process_time(), time.monotonic()
    verdict = ask(walled, source)
    assert verdict.kind is Kind.TIME_LIMIT
    assert "1 s" in verdict.headline.en
    assert time.monotonic() - began[1] < 3 * WALL_FACTOR * LIMIT


def test_what_sleeps_for_ever_ends_by_the_wall_clock(walled: Judge) -> None:
    source = """
        import time
        def twice(x, shift):
            time.sleep(1000)
        """
    began = time.monotonic()
    assert ask(walled, source).kind is Kind.TIME_LIMIT
    assert time.monotonic() - began >= WALL_FACTOR * LIMIT
