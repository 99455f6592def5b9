"""The rungs, best first, and the wires between the judge and a worker on any of them. Cheap to import."""

from __future__ import annotations

import os
import socket
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Protocol


class Rung(StrEnum):
    """What stands between the student's code and the machine, best first.

    namespaces: a fork of the zygote in fresh namespaces, with a root of its own, no privileges, and the filter.
    bubblewrap: the same walls built by `bwrap`, and a fresh interpreter each time: slow, and for where only bubblewrap
    may make namespaces.   landlock: a fork under Landlock and a stricter filter, for where nobody may make them: it
    reads Python and its packages, writes in a folder of its own, and reaches no network and no other process; but it
    sees the names, sizes and times of files.   child: a fork with limits, an empty environment and a folder of its own,
    killed with all that it started. That is no isolation: it sees the files of its user. A learner's own code may run
    so.
    """

    NAMESPACES = "namespaces"
    BUBBLEWRAP = "bubblewrap"
    LANDLOCK = "landlock"
    CHILD = "child"

    @property
    def isolates(self) -> bool:
        """Whether the code is kept from the machine's files, network and processes, so that strangers' may run."""
        return self is not Rung.CHILD

    @property
    def separates_calls(self) -> bool:
        """Whether two calls can share nothing but what the judge hands over; else a state contract proves nothing.

        Under Landlock they could: who reads a file sets the time of its last reading, and anyone may ask for that.
        """
        return self in (Rung.NAMESPACES, Rung.BUBBLEWRAP)


class SandboxError(Exception):
    """A worker could not be started; says why."""


class ForkServerLost(SandboxError):
    """The fork server was killed, or hangs. That says nothing against its rung."""


class Life(Protocol):
    """Who sees a worker dead. root: the process from which it and all that it starts descend."""

    @property
    def root(self) -> int: ...

    def let_go(self) -> None:
        """Have the worker and all that it started killed."""

    def status(self, seconds: float) -> dict[str, Any] | None:
        """Tell how it ended ({"code"}, {"signal"} or {"problem"}), waiting so long at most; None: it still runs."""

    def close(self) -> None: ...


@dataclass(frozen=True)
class Wires:
    """The judge's ends of what leads to one worker."""

    channel: socket.socket
    output: int
    life: Life


class Launcher(Protocol):
    """Starts workers on one rung."""

    rung: Rung

    def launch(self) -> Wires: ...

    def close(self) -> None: ...


def open_wires() -> tuple[socket.socket, int, tuple[int, int]]:
    """Make the channel and the output pipe; give the judge's ends, and the two descriptors for the worker."""
    channel, channel_end = socket.socketpair()
    output, output_end = os.pipe2(os.O_CLOEXEC)
    os.set_blocking(output, False)
    channel.setblocking(False)
    return channel, output, (channel_end.detach(), output_end)
