"""Find the best rung that this machine gives, by trying to get out of it."""

from __future__ import annotations

import contextlib
import os
import socket
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from autograder.judge import filter as syscalls
from autograder.judge.outcome import Outcome
from autograder.judge.rungs import ForkServerLost, Launcher, Rung, SandboxError
from autograder.judge.sandbox import Call, Limits, Sandbox

# Workers kept ready: as many as hide the time that a fork, or an import of torch, takes.
AHEAD = {Rung.NAMESPACES: 1, Rung.BUBBLEWRAP: 2, Rung.LANDLOCK: 1, Rung.CHILD: 1}

# Each attempt's name, in the order in which `attempts` reports; True means that it succeeded.
ESCAPES = (
    "read the judge's own files",
    "import the reference library",
    "read a file outside its root",
    "change a file outside its root",
    "write beside Python",
    "see or steer other processes",
    "open a network socket",
    "reach a local socket outside",
    "make a namespace of its own",
    "make a system call that the filter denies",
    "find a file that an earlier call left",
)
# With arguments that mean nothing, this one would make a queue that stays, where no filter stands.
NOT_TRIED = "msgget"

ATTEMPTS = """
import ctypes, errno, importlib, os, resource, signal, socket
import torch

libc = ctypes.CDLL(None, use_errno=True)

def tried(action):
    try:
        return action() is not False
    except (OSError, ImportError):
        return False

def connect(family, address):
    with socket.socket(family, socket.SOCK_STREAM) as wire:
        wire.settimeout(1)
        wire.connect(address)

def open_socket(family, kind):
    socket.socket(family, kind).close()

def create(path):
    with open(path, "x"):
        pass

def create_and_remove(path):
    create(path)
    os.unlink(path)

def was_allowed(number):
    ctypes.set_errno(0)
    return libc.syscall(number, *[-1] * 6) != -1 or ctypes.get_errno() not in (errno.EPERM, errno.ENOSYS)

def clone(number):
    new_user_namespace = 0x10000000
    pid = libc.syscall(number, new_user_namespace | signal.SIGCHLD, 0, 0, 0, 0)
    if pid == 0:
        os._exit(0)
    return pid > 0

def steers(pid):
    return any([
        tried(lambda: os.kill(pid, 0)),
        tried(lambda: open(f"/proc/{pid}/status").read()),
        tried(lambda: os.sched_setaffinity(pid, os.sched_getaffinity(0))),
        tried(lambda: resource.prlimit(pid, resource.RLIMIT_CORE, (0, 0))),
    ])

def changes(path):
    return any([
        tried(lambda: open(path, "a").close()),
        tried(lambda: os.truncate(path, 1)),
        tried(lambda: os.utime(path)),
        tried(lambda: os.chmod(path, 0o600)),
    ])

def nothing():
    return torch.empty(0)

def attempts(judge_file, outside, port, local, mark, parent, denied, clone_number):
    found_mark = os.path.exists(mark)
    tried(lambda: create(mark))
    kinds = socket.SOCK_STREAM, socket.SOCK_DGRAM, socket.SOCK_RAW
    return torch.tensor([
        tried(lambda: open(judge_file).read()),
        any(tried(lambda: importlib.import_module(name)) for name in ("tilewise", "autograder", "tilewise_lab")),
        tried(lambda: open(outside).read()),
        changes(outside),
        tried(lambda: create_and_remove(os.path.join(os.path.dirname(os.__file__), "tilewise-probe"))),
        steers(parent),
        tried(lambda: connect(socket.AF_INET, ("127.0.0.1", port)))
        or any(tried(lambda: open_socket(family, kind)) for family in range(2, 50) for kind in kinds),
        any(tried(lambda: connect(socket.AF_UNIX, address)) for address in (local, "\\0" + local)),
        libc.unshare(0x10000000) == 0 or clone(clone_number),
        any(was_allowed(number) for number in denied),
        found_mark,
    ])
"""


class RungRefused(Exception):
    """A rung cannot be had here: the reason, rung by rung."""


@dataclass(frozen=True)
class Chosen:
    """The sandbox to use, and why each better rung is not it."""

    sandbox: Sandbox
    refused: dict[Rung, str]


def choose(wanted: Rung | None, make: Callable[[Rung], Launcher]) -> Chosen:
    """Give the wanted rung, or the best that holds; raise RungRefused when there is none.

    Nor is a lower one given for a fork server that was killed, when memory was short for a moment, say: that would take
    walls, and marks, from a whole class. It is started once more.
    """
    refused: dict[Rung, str] = {}
    for rung in [wanted] if wanted else list(Rung):
        try:
            return Chosen(_holding(rung, make), refused)
        except ForkServerLost as loss:
            try:
                return Chosen(_holding(rung, make), refused)
            except SandboxError as error:
                raise RungRefused(
                    f"{rung}: {loss}; started again: {error}. See to it that some 500 MiB of memory are free and that "
                    "nothing ends processes here, and try again"
                ) from error
        except SandboxError as error:
            refused[rung] = str(error)
    raise RungRefused("; ".join(f"{rung}: {reason}" for rung, reason in refused.items()))


def _holding(rung: Rung, make: Callable[[Rung], Launcher]) -> Sandbox:
    sandbox = Sandbox(make(rung), ahead=AHEAD[rung])
    try:
        sandbox.prepare()
        if weakness := weaknesses(sandbox):
            raise SandboxError(f"the probe could {' and '.join(weakness)}")
    except SandboxError:
        sandbox.close()
        raise
    return sandbox


def weaknesses(sandbox: Sandbox) -> list[str]:
    """Try to get out of two workers, one after the other; tell what worked.

    The lowest rung promises no walls, so there it is enough that a worker answers.
    """
    with tempfile.TemporaryDirectory(prefix="tilewise-probe-") as folder, _listening(folder) as (port, local):
        # /tmp is where every worker may write, whatever this process takes for its temporary folder.
        outside, mark = Path(folder, "outside"), Path("/tmp", f"{Path(folder).name}-mark")
        outside.write_text("seen", encoding="utf-8")
        arguments = (__file__, str(outside), port, local, str(mark), os.getpid(), *_calls_to_try(sandbox.rung))
        try:
            for _ in range(2):
                succeeded = _attempt(sandbox, arguments)
                if any(succeeded):
                    return [name for name, worked in zip(ESCAPES, succeeded, strict=True) if worked]
        finally:
            mark.unlink(missing_ok=True)
    return []


def _attempt(sandbox: Sandbox, arguments: tuple[Any, ...]) -> list[bool]:
    with sandbox.worker([ATTEMPTS], Limits(seconds=10, memory_mib=512)) as worker:
        if sandbox.rung.isolates:
            return _read(worker.call(Call(0, "attempts", arguments)), len(ESCAPES))
        return _read(worker.call(Call(0, "nothing")), 0)


def _read(outcome: Outcome, count: int) -> list[bool]:
    if not outcome.returned or len(outcome.values) != 1 or outcome.values[0].shape != (count,):
        said = outcome.traceback or outcome.detail or outcome.error_type
        raise SandboxError(f"the probe itself did not run: {outcome.end}, {said}")
    return [bool(value) for value in outcome.values[0]]


def _calls_to_try(rung: Rung) -> tuple[tuple[int, ...], int]:
    """Give the numbers of the calls that the rung's filter denies, and that of clone; nothing where none stands."""
    if not rung.isolates:
        return (), 0
    _, column = syscalls.machine()
    denied = syscalls.numbers(syscalls.DENIED, column) | syscalls.numbers(syscalls.STARTING_PROGRAMS, column)
    if rung is Rung.LANDLOCK:
        denied |= syscalls.numbers(syscalls.DENIED_WITHOUT_NAMESPACES, column)
    del denied[NOT_TRIED]
    return tuple(denied.values()), syscalls.numbers(syscalls.CONDITIONAL, column)["clone"]


@contextlib.contextmanager
def _listening(folder: str) -> Iterator[tuple[int, str]]:
    """Listen on this machine: on a port, and on one name in two ways, as a file and without one."""
    local = os.path.join(folder, "listening")
    with socket.create_server(("127.0.0.1", 0)) as server, contextlib.ExitStack() as stack:
        for address in (local, "\0" + local):
            wire = stack.enter_context(socket.socket(socket.AF_UNIX))
            wire.bind(address)
            wire.listen()
        yield server.getsockname()[1], local
