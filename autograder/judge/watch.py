"""Hold a worker and all that it started to its limits, from outside: what it uses, and what it wastes.

A correct answer may wait for its turn on a busy machine as long as that takes; a sleeping one wastes its own time. So
a call's time is what its processes used of the processor, and the time in which none of them wanted it.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import NamedTuple, Protocol

from autograder.judge.outcome import End
from autograder.judge.processes import Look, Wish, exact_bytes, look

TICK_SECONDS = 0.025
# Looking may take so large a part of the judge's time; a tree of many processes is looked at less often.
LOOKING = 0.1
# Of a second between two looks in which nothing was used, what counts as wasted. Who is stalled may be waiting for a
# disk, who wants to run for its turn; but a tree can also be made to look so, and must end too.
WASTED = {Wish.REST: 1.0, Wish.STALLED: 0.25, Wish.RUN: 0.05}
# Who dies by time with so much of its memory taken has looped over a MemoryError.
FULL = 0.75
# More processes at once than any answer needs.
SWARM = 30


class Overrun(NamedTuple):
    """Which limit is passed, and the numbers."""

    end: End
    detail: str = ""


class Clock(Protocol):
    """Says how long to wait for a worker. pause: seconds until it wants to be asked again."""

    @property
    def pause(self) -> float: ...

    def ask(self) -> Overrun | None:
        """Tell what is over, if anything."""


class Deadline:
    """So many seconds on the wall."""

    def __init__(self, seconds: float) -> None:
        self._end = time.monotonic() + seconds

    @property
    def pause(self) -> float:
        return max(0.0, self._end - time.monotonic())

    def ask(self) -> Overrun | None:
        return None if self.pause else Overrun(End.TOO_SLOW)


class Spent:
    """What one call has used: `processor` and `wasted` seconds. `add` takes the looks as they come."""

    def __init__(self) -> None:
        self.processor = self.wasted = 0.0
        self._first: Look | None = None
        self._last: Look | None = None
        self._own = 0.0

    @property
    def seconds(self) -> float:
        return self.processor + self.wasted

    def add(self, now: Look, longest: float) -> None:
        """Count what happened since the look before. longest: seconds of that time to count as wasted at most, for a
        judge that looks late is on a busy machine."""
        last, self._last = self._last, now
        if last is None or self._first is None:
            self._first = now
            return
        # Both are too low in cases of their own: time of processes that ended, and of those that nobody waited for.
        self._own += sum(used - last.processor.get(process, 0.0) for process, used in now.processor.items())
        before, self.processor = self.processor, max(self.processor, self._own, now.in_all - self._first.in_all)
        queued = max(0.0, now.queued - last.queued)
        unused = min(now.at - last.at, longest) - (self.processor - before) - queued
        self.wasted += WASTED[now.wish] * max(0.0, unused)


class Watch:
    """Watches what descends from the process `root`, which must be a worker that has not run any student's code yet."""

    def __init__(
        self,
        root: int,
        seconds: float,
        memory_bytes: int,
        *,
        look: Callable[[int, float], Look] = look,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._root, self._seconds, self._memory = root, seconds, memory_bytes
        self._look, self._clock = look, clock
        self._fresh = look(root, clock())
        self._most_held = 0
        self.saw_a_swarm = False
        self.begin()

    @property
    def sees_the_worker(self) -> bool:
        return bool(self._fresh.resident)

    def begin(self) -> None:
        """Start to count for the next call."""
        self._spent = Spent()
        self._pace = TICK_SECONDS
        self._next = self._clock() + self._pace

    @property
    def pause(self) -> float:
        return max(0.0, self._next - self._clock())

    def ask(self) -> Overrun | None:
        """Look, when it is time to, and tell what is over."""
        if self.pause:
            return None
        began = self._clock()
        now = self._look(self._root, began)
        self._spent.add(now, longest=2 * self._pace)
        self.saw_a_swarm |= len(now.resident) > SWARM
        over = self._memory_over(now) or self._time_over()
        ended = self._clock()
        self._pace = max(TICK_SECONDS, (ended - began) / LOOKING)
        self._next = ended + self._pace
        return over

    def _memory_over(self, now: Look) -> Overrun | None:
        """Compare what processes hold together with the limit; the kernel holds each by itself to it.

        First what cannot be too low is compared, and only where that is over, what they hold exactly.
        """
        self._most_held = max(self._most_held, now.anonymous + now.files - self._fresh.anonymous)
        most = sum(now.resident.values()) + now.files - sum(self._fresh.resident.values())
        if most <= self._memory or not (now.files or len(now.resident) > 1):
            return None
        held = exact_bytes(list(now.resident)) + now.files - self._fresh.anonymous
        self._most_held = max(self._most_held, held)
        if held <= self._memory:
            return None
        return Overrun(End.OUT_OF_MEMORY, f"{len(now.resident)} processes held {held >> 20} MiB together")

    def _time_over(self) -> Overrun | None:
        spent = self._spent
        if spent.seconds < self._seconds:
            return None
        told = f"{spent.processor:.1f} s of the processor, {spent.wasted:.1f} s wasted"
        if self._most_held >= FULL * self._memory:
            return Overrun(End.OUT_OF_MEMORY, f"{told}, with {self._most_held >> 20} MiB held")
        return Overrun(End.IDLE if spent.wasted > spent.processor else End.TOO_SLOW, told)
