"""The judge stays small and quick: bounds that no busy machine breaks, and the benchmark that measures the rest."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from autograder.course.model import Exercise
from autograder.course.reading import load_course
from autograder.judge.client import Judge
from benchmarks.judge import SETUP, Kernel, answers, memory, percentile, timings

GIBIBYTE = 1024  # MiB
# The judge's own processor time for a check, workers apart: a fifth of a second where it was measured, half a second on
# the same machine when others fill its caches.
OWN_SECONDS = 1.5
TRIES = 3
EXERCISES = load_course().exercises


@pytest.fixture(scope="module")
def judge() -> Iterator[Judge]:
    with Judge() as judge:
        yield judge


def processor_seconds(judge: Judge) -> float:
    """What the judge's process has used so far."""
    assert judge._child is not None
    fields = Path(f"/proc/{judge._child._process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@pytest.mark.parametrize("exercise", EXERCISES.values(), ids=EXERCISES.keys())
def test_drawing_comparing_and_diagnosing_cost_the_judge_little(judge: Judge, exercise: Exercise) -> None:
    for name, source in list(answers(exercise))[:2]:
        used = []
        for seed in range(TRIES):
            before = processor_seconds(judge)
            judge.verdict(exercise.id, source, seed=seed)
            used.append(processor_seconds(judge) - before)
        assert min(used) < OWN_SECONDS, f"{name}: {used}"


@pytest.mark.slow
def test_kernel_judge_and_fork_server_together_take_less_than_a_gibibyte() -> None:
    exercise = EXERCISES["blockwise_attention.blockwise_attention"]
    with Kernel() as kernel:
        kernel.run(SETUP)
        right = next(timings(kernel, exercise, rounds=1))
        held = memory(kernel.pid)
    assert right.verdict == "OK"
    assert {"kernel", "judge", "fork server"} <= held.keys()
    assert sum(held.values()) < GIBIBYTE, held


def test_a_percentile_is_one_of_the_measurements() -> None:
    assert percentile([3.0, 1.0, 2.0], 0.5) == 2.0
    assert percentile([float(n) for n in range(1, 101)], 0.95) == 95.0
    assert percentile([7.0], 0.95) == 7.0


def test_a_cell_that_fails_in_the_kernel_fails_the_benchmark() -> None:
    with Kernel() as kernel, pytest.raises(RuntimeError, match="ZeroDivisionError"):
        kernel.run("1 / 0")
