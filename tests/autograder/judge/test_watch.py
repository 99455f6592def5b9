"""What counts as a call's time and memory, on looks that are written down here instead of taken."""

from __future__ import annotations

import pytest

from autograder.judge import watch
from autograder.judge.outcome import End
from autograder.judge.processes import Look, Wish
from autograder.judge.watch import TICK_SECONDS, Overrun, Spent, Watch

MIB = 1 << 20
LIMIT = 2.0
WORKER = (100, 7)


def spent(*looks: Look, longest: float = 10.0) -> Spent:
    account = Spent()
    for now in looks:
        account.add(now, longest)
    return account


def at(moment: float, used: float = 0.0, wish: Wish = Wish.REST, queued: float = 0.0) -> Look:
    """The worker alone, `moment` seconds after the start."""
    return Look(moment, wish, {WORKER: used}, used, queued)


def test_what_was_used_before_the_first_look_is_not_counted() -> None:
    assert spent(at(0.0, used=5.0)).seconds == 0.0


def test_a_busy_process_is_charged_for_the_processor_alone() -> None:
    account = spent(at(0.0, 1.0, Wish.RUN), at(1.0, 2.0, Wish.RUN))
    assert (account.processor, account.wasted) == (pytest.approx(1.0), 0.0)


def test_a_sleeping_process_is_charged_for_the_clock() -> None:
    account = spent(at(0.0), at(1.0), at(2.0))
    assert (account.processor, account.wasted) == (0.0, pytest.approx(2.0))


def test_short_sleeps_between_short_bursts_are_charged_for_both() -> None:
    assert spent(at(0.0), at(1.0, used=0.25)).seconds == pytest.approx(1.0)


def test_waiting_for_its_turn_costs_a_process_next_to_nothing() -> None:
    starved = [at(moment, 0.0, Wish.RUN) for moment in range(11)]
    assert spent(*starved).seconds < 1.0


def test_a_turn_that_came_between_two_looks_is_no_sleep() -> None:
    assert spent(at(0.0), at(1.0, used=0.25, queued=0.75)).seconds == pytest.approx(0.25)


def test_what_seems_to_want_the_processor_for_ever_ends_too() -> None:
    account = Spent()
    for moment in range(100):
        account.add(at(moment, 0.0, Wish.RUN), longest=10.0)
    assert account.seconds > LIMIT


def test_a_stalled_process_is_charged_less_than_a_sleeping_one_and_more_than_a_starved_one() -> None:
    charged = [spent(at(0.0), at(1.0, wish=wish)).seconds for wish in (Wish.RUN, Wish.STALLED, Wish.REST)]
    assert charged == sorted(charged)
    assert len(set(charged)) == 3


def test_a_judge_that_looks_late_charges_no_more_than_one_that_is_on_time() -> None:
    assert spent(at(0.0), at(60.0), longest=0.05).seconds == pytest.approx(0.05)


def test_processes_at_once_are_charged_together() -> None:
    first = Look(0.0, Wish.RUN, {WORKER: 0.0, (101, 8): 0.0}, 0.0)
    second = Look(1.0, Wish.RUN, {WORKER: 1.0, (101, 8): 1.0}, 2.0)
    assert spent(first, second).processor == pytest.approx(2.0)


def test_children_that_nobody_waits_for_are_charged_although_they_are_gone() -> None:
    looks = [Look(float(n), Wish.RUN, {WORKER: 0.0, (200 + n, n): 0.5}, 0.5) for n in range(4)]
    assert spent(*looks).processor == pytest.approx(1.5)


def test_children_that_lived_between_two_looks_are_charged_by_their_parents_account() -> None:
    looks = [at(0.0), Look(1.0, Wish.RUN, {WORKER: 0.0}, 0.75)]
    assert spent(*looks).processor == pytest.approx(0.75)


class Scene:
    """A worker whose looks come from a list, and a clock that stands still between them."""

    def __init__(self, *looks: Look, memory_bytes: int = 100 * MIB) -> None:
        self._looks, self._now = iter(looks), 0.0
        self.watch = Watch(1, LIMIT, memory_bytes, look=self._next, clock=lambda: self._now)

    def _next(self, root: int, moment: float) -> Look:
        return next(self._looks)

    def ask(self) -> Overrun | None:
        self._now += 2 * TICK_SECONDS
        return self.watch.ask()


def holding(moment: float, *held: int, used: float = 0.0) -> Look:
    """So many bytes in each process, none of them a file's."""
    resident = dict(enumerate(held, 100))
    return Look(moment, Wish.RUN, {WORKER: used}, used, 0.0, resident, max(held))


FRESH = holding(0.0, 50 * MIB)


@pytest.fixture
def exact(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """What the exact account finds, to be set by the test."""
    found = [0]
    monkeypatch.setattr(watch, "exact_bytes", lambda pids: found[0])
    return found


def test_between_two_ticks_nobody_looks() -> None:
    scene = Scene(FRESH)
    assert scene.watch.ask() is None
    assert 0 < scene.watch.pause <= TICK_SECONDS


def test_a_call_that_sleeps_ends_as_idle_and_one_that_computes_as_too_slow() -> None:
    sleeping = Scene(FRESH, *(at(float(n)) for n in range(100)))
    busy = Scene(FRESH, *(at(n, used=float(n), wish=Wish.RUN) for n in range(100)))
    for scene, end in ((sleeping, End.IDLE), (busy, End.TOO_SLOW)):
        overruns = [over for _ in range(99) if (over := scene.ask())]
        assert overruns[0].end is end


def test_each_call_has_the_time_to_itself() -> None:
    scene = Scene(FRESH, *(at(n, used=float(n), wish=Wish.RUN) for n in range(100)))
    for _ in range(20):
        assert scene.ask() is None
        assert scene.ask() is None
        scene.watch.begin()


def test_memory_is_counted_on_top_of_what_a_fresh_worker_has(exact: list[int]) -> None:
    for exact[0], end in ((149 * MIB, None), (151 * MIB, End.OUT_OF_MEMORY)):
        over = Scene(FRESH, holding(1.0, 100 * MIB, 100 * MIB)).ask()
        assert (over and over.end) is end


def test_what_a_process_by_itself_may_hold_is_left_to_the_kernel(exact: list[int]) -> None:
    """It counts addresses; pages that were reserved at the start and are touched now are within the limit."""
    exact[0] = 151 * MIB
    assert Scene(FRESH, holding(1.0, 151 * MIB)).ask() is None


def test_processes_that_share_their_pages_are_not_charged_twice(exact: list[int]) -> None:
    exact[0] = 120 * MIB
    assert Scene(FRESH, holding(1.0, 90 * MIB, 90 * MIB, 90 * MIB)).ask() is None


def test_processes_are_charged_together(exact: list[int]) -> None:
    exact[0] = 170 * MIB
    over = Scene(FRESH, holding(1.0, 90 * MIB, 90 * MIB)).ask()
    assert over == Overrun(End.OUT_OF_MEMORY, "2 processes held 120 MiB together")


def test_memory_files_count_as_memory(exact: list[int]) -> None:
    exact[0] = 60 * MIB
    filled = Look(1.0, Wish.RUN, {WORKER: 0.0}, 0.0, 0.0, {100: 60 * MIB}, 60 * MIB, files=110 * MIB)
    over = Scene(FRESH, filled).ask()
    assert over is not None
    assert over.end is End.OUT_OF_MEMORY


def test_files_in_memory_fill_it_too() -> None:
    filled = [
        Look(n, Wish.RUN, {WORKER: float(n)}, float(n), 0.0, {100: 50 * MIB}, 50 * MIB, files=90 * MIB)
        for n in range(9)
    ]
    scene = Scene(FRESH, *filled)
    overruns = [over for _ in range(9) if (over := scene.ask())]
    assert overruns[0].end is End.OUT_OF_MEMORY


@pytest.mark.parametrize(("held", "end"), [(140, End.OUT_OF_MEMORY), (60, End.TOO_SLOW)])
def test_who_runs_out_of_time_with_the_memory_full_ran_out_of_memory(held: int, end: End) -> None:
    """A loop that swallows MemoryError gives some of it back, and takes it again."""
    full, free = holding(0.0, held * MIB), (holding(n, 55 * MIB, used=float(n)) for n in range(1, 9))
    scene = Scene(FRESH, full, *free)
    overruns = [over for _ in range(9) if (over := scene.ask())]
    assert overruns[0].end is end
