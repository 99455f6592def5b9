"""What a run of kernels gives beside its results: faults and counts, as data."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, fields

Place = tuple[str, int]  # file, line; ("", 0) where it is not known
Index = tuple[int, int, int]

FAULT_KINDS = {
    "divergent_barrier": "threads of a block wait at different barriers",
    "missed_barrier": "some threads of a block returned before a barrier that others wait at",
    "wrong_mask": "the mask of a shuffle or vote does not name the lanes that take part",
    "deadlock": "lanes wait for others that will not come",
    "out_of_bounds_global": "an access to global memory outside every buffer",
    "out_of_bounds_shared": "an access to shared memory outside that of the block",
    "out_of_bounds_array": "an index outside an array of the thread's own",
    "misaligned": "a vector access at an address that is no multiple of its size",
    "uninitialised_shared": "a read of shared memory that the block has not written",
    "race_shared": "two threads of a block touch one place in shared memory with no barrier between, one writing",
    "race_global": "the same in global memory",
    "race_between_blocks": "two blocks touch one place in global memory, one writing, not both atomically",
    "too_many_threads": "a block larger than a GPU runs",
    "too_much_shared_memory": "more shared memory than the kernel may have",
    "invalid_launch": "a grid or block that no GPU accepts",
    "trap": "a kernel's assert() failed, or it called __trap()",
}


@dataclass(frozen=True)
class Fault:
    """One thing that a kernel did wrong, at the line that did it.

    kind: a key of `FAULT_KINDS`   block, thread: None for a fault of a launch
    other_*: the second access of a race, the thread that waits elsewhere or has returned (then without a line)
    """

    kind: str
    message: str
    file: str
    line: int
    block: Index | None = None
    thread: Index | None = None
    other_file: str = ""
    other_line: int = 0
    other_block: Index | None = None
    other_thread: Index | None = None

    def __str__(self) -> str:
        text = f"{self.file}:{self.line}: {self.message} [{self.kind}]"
        if self.thread is not None:
            text += f"\n    block {self.block}, thread {self.thread}"
        if self.other_thread is not None:
            where = f" at {self.other_file}:{self.other_line}" if self.other_line else ""
            text += f"\n    and block {self.other_block}, thread {self.other_thread}{where}"
        return text


@dataclass(frozen=True)
class Counts:
    """What the threads of some launches moved; of a checked build only.

    A request is one instruction of one warp. Bytes are those that threads asked for; a request to global memory moves
    whole sectors of 32 bytes. Bank conflicts are the turns of the 32 banks of shared memory beyond those that the width
    of an access needs. Atomic operations are counted apart from loads and stores.
    """

    global_load_bytes: int = 0
    global_load_requests: int = 0
    global_load_sectors: int = 0
    global_store_bytes: int = 0
    global_store_requests: int = 0
    global_store_sectors: int = 0
    global_atomic_bytes: int = 0
    global_atomic_requests: int = 0
    global_atomic_sectors: int = 0
    shared_load_bytes: int = 0
    shared_load_requests: int = 0
    shared_load_conflicts: int = 0
    shared_store_bytes: int = 0
    shared_store_requests: int = 0
    shared_store_conflicts: int = 0
    shared_atomic_bytes: int = 0
    shared_atomic_requests: int = 0
    shared_atomic_conflicts: int = 0

    def __add__(self, other: Counts) -> Counts:
        return Counts(*(getattr(self, f.name) + getattr(other, f.name) for f in fields(self)))

    def __str__(self) -> str:
        moved = {f.name: getattr(self, f.name) for f in fields(self) if getattr(self, f.name)}
        return ", ".join(f"{name} {number}" for name, number in moved.items()) or "nothing moved"

    @property
    def bank_conflicts(self) -> int:
        return self.shared_load_conflicts + self.shared_store_conflicts + self.shared_atomic_conflicts

    @property
    def sectors_per_load(self) -> float:
        """Give the mean number of sectors that a request to load moves: 4 for neighbouring floats, 32 at worst."""
        return self.global_load_sectors / self.global_load_requests if self.global_load_requests else 0.0

    @property
    def sectors_per_store(self) -> float:
        return self.global_store_sectors / self.global_store_requests if self.global_store_requests else 0.0


@dataclass
class Report:
    """Faults and counts of the launches under `Program.watch`, complete when its block ends.

    lines: the counts of each line of the source that moves anything
    """

    faults: list[Fault] = field(default_factory=list)
    lines: dict[Place, Counts] = field(default_factory=dict)

    @property
    def counts(self) -> Counts:
        return sum(self.lines.values(), Counts())

    def kinds(self) -> set[str]:
        return {fault.kind for fault in self.faults}


class CudaFault(RuntimeError):
    """A kernel did something wrong; `faults` holds all that was found, the text the first few."""

    SHOWN = 4

    def __init__(self, faults: Iterable[Fault]) -> None:
        self.faults = list(faults)
        shown = [str(fault) for fault in self.faults[: self.SHOWN]]
        if len(self.faults) > self.SHOWN:
            shown.append(f"... and {len(self.faults) - self.SHOWN} more")
        super().__init__("\n".join(shown))
