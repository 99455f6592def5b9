"""Find the best rung that this machine gives, by trying to get out of it."""

from __future__ import annotations

import contextlib
import os
import socket
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

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

def leave_a_mark():
    with open(mark, "x") as file:
        file.write("here")

def attempts(judge_file, outside, port_number, mark_path, parent):
    global port, mark
    port, mark = port_number, mark_path
    found_mark = os.path.exists(mark)
    tried(leave_a_mark)
    return torch.tensor([
        tried(lambda: open(judge_file).read()),
        any(tried(lambda: importlib.util.find_spec(name)) for name in ("tilewise", "autograder", "tilewise_lab")),
        tried(lambda: open(outside).read()),
        tried(lambda: open(os.path.join(os.path.dirname(os.__file__), "tilewise-was-here"), "w")),
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
    """Try to get out of two workers, one after the other; tell what worked. The lowest rung promises no walls."""
    with tempfile.NamedTemporaryFile("w", prefix="tilewise-probe-") as outside, _listener() as port:
        outside.write("seen")
        outside.flush()
        arguments = (str(Path(__file__)), outside.name, port, "/tmp/tilewise-mark", os.getpid())
        for _ in range(2):
            with sandbox.worker([ATTEMPTS], Limits(seconds=10, memory_mib=512)) as worker:
                outcome = worker.call(Call(0, "attempts", arguments))
            succeeded = _read(outcome)
            if sandbox.rung.isolates and any(succeeded):
                return [name for name, worked in zip(ESCAPES, succeeded, strict=True) if worked]
    return []


def _read(outcome: Outcome) -> list[bool]:
    if not outcome.returned or len(outcome.values) != 1 or outcome.values[0].shape != (len(ESCAPES),):
        said = outcome.traceback or outcome.detail or outcome.error_type
        raise SandboxError(f"the probe itself did not run: {outcome.end}, {said}")
    return [bool(value) for value in outcome.values[0]]


@contextlib.contextmanager
def _listener() -> Iterator[int]:
    """Listen on a port of this machine, so that reaching it tells a shared network from one of its own."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]
