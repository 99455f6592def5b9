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

from autograder.judge.outcome import Outcome
from autograder.judge.rungs import Launcher, Rung, SandboxError
from autograder.judge.sandbox import Call, Limits, Sandbox

# Workers kept ready: as many as hide the time that a fork, or an import of torch, takes.
AHEAD = {Rung.NAMESPACES: 1, Rung.BUBBLEWRAP: 2, Rung.CHILD: 1}

# Each attempt's name, in the order in which `attempts` reports; True means that it succeeded.
ESCAPES = (
    "read the judge's own files",
    "import the reference library",
    "read a file outside its root",
    "write beside Python",
    "see other processes",
    "open a network socket",
    "make a namespace of its own",
    "find a file that an earlier call left",
)

ATTEMPTS = """
import ctypes, importlib.util, os, socket, sys
import torch

def tried(action):
    try:
        return bool(action())
    except (OSError, ImportError, ValueError):
        return False

def connect():
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as wire:
        wire.settimeout(1)
        return wire.connect_ex(("127.0.0.1", port)) == 0

def create(path):
    with open(path, "x"):
        return True

def create_and_remove(path):
    create(path)
    os.unlink(path)
    return True

def nothing():
    return torch.empty(0)

def attempts(judge_file, outside, port_number, mark_path, parent):
    global port, mark
    port, mark = port_number, mark_path
    found_mark = os.path.exists(mark)
    tried(lambda: create(mark))
    return torch.tensor([
        tried(lambda: open(judge_file).read()),
        any(tried(lambda: importlib.util.find_spec(name)) for name in ("tilewise", "autograder", "tilewise_lab")),
        tried(lambda: open(outside).read()),
        tried(lambda: create_and_remove(os.path.join(os.path.dirname(os.__file__), "tilewise-probe"))),
        tried(lambda: os.kill(parent, 0) is None),
        tried(connect),
        tried(lambda: ctypes.CDLL(None).unshare(0x10000000) == 0),
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
    """Give the wanted rung, or the best that holds; raise RungRefused when there is none."""
    refused: dict[Rung, str] = {}
    for rung in [wanted] if wanted else list(Rung):
        try:
            sandbox = Sandbox(make(rung), ahead=AHEAD[rung])
        except SandboxError as error:
            refused[rung] = str(error)
            continue
        try:
            sandbox.prepare()
            if weakness := weaknesses(sandbox):
                raise SandboxError(f"the probe could {' and '.join(weakness)}")
            return Chosen(sandbox, refused)
        except SandboxError as error:
            sandbox.close()
            refused[rung] = str(error)
    raise RungRefused("; ".join(f"{rung}: {reason}" for rung, reason in refused.items()))


def weaknesses(sandbox: Sandbox) -> list[str]:
    """Try to get out of two workers, one after the other; tell what worked.

    The lowest rung promises no walls, so there it is enough that a worker answers.
    """
    with tempfile.TemporaryDirectory(prefix="tilewise-probe-") as folder, _listener() as port:
        # /tmp is where every worker may write, whatever this process takes for its temporary folder.
        outside, mark = Path(folder, "outside"), Path("/tmp", f"{Path(folder).name}-mark")
        outside.write_text("seen", encoding="utf-8")
        arguments = (str(Path(__file__)), str(outside), port, str(mark), os.getpid())
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


@contextlib.contextmanager
def _listener() -> Iterator[int]:
    """Listen on a port of this machine, so that reaching it tells a shared network from one of its own."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]
