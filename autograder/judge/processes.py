"""What a worker and all that it started use, read from outside, in /proc, where no answer can touch it."""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass, field
from enum import IntEnum

PAGE = os.sysconf("SC_PAGE_SIZE")
TICK = 1 / os.sysconf("SC_CLK_TCK")
NANOSECOND = 1e-9
NORMAL_POLICY = 0
EXACT = ("Pss_Anon:", "Pss_Shmem:")
# What ended while we looked has no files any more; what belongs to another user or hides has none for us.
GONE = (FileNotFoundError, ProcessLookupError)


class Wish(IntEnum):
    """What a process does, the busiest of its threads: nothing; wait for the machine; run, or wait for its turn to."""

    REST = 0
    STALLED = 1
    RUN = 2


@dataclass(frozen=True)
class Look:
    """What the processes below one of ours had used at one moment.

    at: seconds, monotonic   processor: seconds, each living process's own   in_all: the same in sum, with what ended
    and was waited for   queued: seconds that living threads have waited for their turn   resident: bytes, each one's,
    shared pages included   anonymous: bytes of the largest one that no file backs   files: bytes of memory files
    """

    at: float
    wish: Wish = Wish.REST
    processor: dict[tuple[int, int], float] = field(default_factory=dict)
    in_all: float = 0.0
    queued: float = 0.0
    resident: dict[int, int] = field(default_factory=dict)
    anonymous: int = 0
    files: int = 0


def look(root: int, at: float) -> Look:
    """Look at what descends from the process `root`, itself left out. at: the time to note"""
    processor: dict[tuple[int, int], float] = {}
    resident: dict[int, int] = {}
    files: dict[tuple[int, int], int] = {}
    wish, in_all, queued, anonymous = Wish.REST, 0.0, 0.0, 0
    for pid in descendants(root):
        with contextlib.suppress(*GONE):
            fields = _stat(f"/proc/{pid}/stat")
            own = (int(fields[11]) + int(fields[12])) * TICK
            processor[pid, int(fields[19])] = own
            in_all += own + (int(fields[13]) + int(fields[14])) * TICK
            _, pages, shared, *_ = _read(f"/proc/{pid}/statm").split()
            resident[pid] = int(pages) * PAGE
            anonymous = max(anonymous, (int(pages) - int(shared)) * PAGE)
            files |= _memory_files(pid)
            for thread in [pid] if fields[17] == b"1" else _threads(pid):
                with contextlib.suppress(*GONE):
                    wish = max(wish, _wish(fields if thread == pid else _stat(f"/proc/{pid}/task/{thread}/stat")))
                    queued += _queued(pid, thread)
    return Look(at, wish, processor, in_all, queued, resident, anonymous, sum(files.values()))


def exact_bytes(pids: list[int]) -> int:
    """Give what these processes hold in memory that no file on a disk backs, each shared page counted once.

    Costs milliseconds for a process with torch. One that may not be read counts with all its pages.
    """
    total = 0
    for pid in pids:
        with contextlib.suppress(*GONE):
            try:
                lines = _read(f"/proc/{pid}/smaps_rollup").decode().splitlines()
            except PermissionError:
                total += int(_read(f"/proc/{pid}/statm").split()[1]) * PAGE
            else:
                total += sum(int(line.split()[1]) << 10 for line in lines if line.startswith(EXACT))
    return total


def descendants(root: int) -> list[int]:
    """Give the processes that descend from `root`. Children of what has ended count where they were adopted."""
    found, left = [], [root]
    while left:
        try:
            below = _children(left.pop())
        except GONE:
            continue
        found += below
        left += below
    return found


def _children(pid: int) -> list[int]:
    return [int(child) for thread in _threads(pid) for child in _read(f"/proc/{pid}/task/{thread}/children").split()]


def _threads(pid: int) -> list[int]:
    return [int(name) for name in os.listdir(f"/proc/{pid}/task")]


def _stat(path: str) -> list[bytes]:
    """Give the fields from the third on: the second is a name, which may hold anything."""
    return _read(path).rpartition(b")")[2].split()


def _wish(fields: list[bytes]) -> Wish:
    if fields[0] == b"D":
        return Wish.STALLED
    # Who asked to be served last may not blame the machine for it.
    stepped_back = int(fields[16]) > os.getpriority(os.PRIO_PROCESS, 0) or int(fields[38]) != NORMAL_POLICY
    return Wish.RUN if fields[0] == b"R" and not stepped_back else Wish.REST


def _queued(pid: int, thread: int) -> float:
    try:
        return int(_read(f"/proc/{pid}/task/{thread}/schedstat").split()[1]) * NANOSECOND
    except FileNotFoundError:
        return 0.0  # a kernel that does not count it: what a thread does when we look decides alone


def _memory_files(pid: int) -> dict[tuple[int, int], int]:
    """Give the sizes of the files without a name that a process has open: memory, though no mapping shows it."""
    found = {}
    try:
        for name in os.listdir(f"/proc/{pid}/fd"):
            with contextlib.suppress(*GONE):
                if os.readlink(path := f"/proc/{pid}/fd/{name}").startswith("/memfd:"):
                    status = os.stat(path)
                    found[status.st_dev, status.st_ino] = status.st_blocks * 512
    except PermissionError:
        return {}
    return found


def _read(path: str) -> bytes:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        chunks = []
        while chunk := os.read(descriptor, 1 << 16):
            chunks.append(chunk)
        return b"".join(chunks)
    finally:
        os.close(descriptor)
