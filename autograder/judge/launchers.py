"""The ways to start a worker: a fork of the zygote (namespaces, landlock, child), or a fresh bubblewrap process."""

from __future__ import annotations

import contextlib
import json
import os
import re
import select
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from autograder.judge import filter as syscalls
from autograder.judge import landlock
from autograder.judge.isolation import NOBODY
from autograder.judge.rungs import ForkServerLost, Launcher, Rung, SandboxError, Wires, open_wires
from autograder.judge.view import View, view

HERE = Path(__file__).resolve().parent
READY_SECONDS = 60.0
CHILD_PID = re.compile(rb'"child-pid":\s*(\d+)')
PROCESSES = 64
# Chapter 07 proves that 48 MiB of scores were never held: what can be written must not hold a quarter of them.
TEMPORARY_BYTES = 12 * 1024 * 1024
NOTHING = "65536"  # bytes; room for the folders on the way to what is shown
# All that a worker's environment holds; it tells nothing about the machine or its user.
ENVIRONMENT = {
    "PATH": "/usr/bin:/bin",
    "HOME": "/tmp",
    "LANG": "C.UTF-8",
    "OMP_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "MALLOC_ARENA_MAX": "1",
    "PYTHONHASHSEED": "0",
    "TORCHINDUCTOR_CACHE_DIR": "/tmp",
}


class SupervisedLife:
    """A worker with a supervisor at the other end of a socket, which first tells who it is."""

    def __init__(self) -> None:
        self._socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.their_end = theirs.detach()
        self._root: int | None = None
        self._status: dict[str, Any] | None = None

    @property
    def root(self) -> int:
        if self._root is None:
            told = self._message(READY_SECONDS) or {}
            if "supervisor" not in told:
                raise SandboxError(f"a worker's supervisor did not start: {told.get('problem', 'it said nothing')}")
            self._root = int(told["supervisor"])
        return self._root

    def let_go(self) -> None:
        self._socket.shutdown(socket.SHUT_WR)

    def status(self, seconds: float) -> dict[str, Any] | None:
        if self._root is None:  # what it tells first is not how the worker ended
            self._root = (self._message(seconds) or {}).get("supervisor")
        if self._status is None:
            self._status = self._message(seconds)
        return self._status

    def _message(self, seconds: float) -> dict[str, Any] | None:
        if not select.select([self._socket], [], [], seconds)[0]:
            return None
        message = self._socket.recv(4096)
        return dict(json.loads(message)) if message else {"problem": "its supervisor died"}

    def close(self) -> None:
        self._socket.close()


class ZygoteLauncher:
    """Owns the fork server. It starts at once; the first launch waits until torch is in."""

    def __init__(self, rung: Rung, view: View) -> None:
        self.rung = rung
        self._control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-S", "-B", str(HERE / "zygote.py"), str(theirs.fileno())],
            pass_fds=[theirs.fileno()],
            env=ENVIRONMENT,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            start_new_session=True,
            cwd="/",
        )
        theirs.close()
        settings = {
            "rung": str(rung),
            "shown": view.shown,
            "hidden": view.hidden,
            "packages": view.packages,
            "temporary_bytes": TEMPORARY_BYTES,
            "processes": PROCESSES,
        }
        self._control.send(json.dumps(settings).encode())
        self._is_ready = False

    def launch(self) -> Wires:
        if not self._is_ready:
            self._wait_until_ready()
        channel, output, worker_ends = open_wires()
        life = SupervisedLife()
        ends = [life.their_end, *worker_ends]
        try:
            # A fork server that stayed root makes the worker a process of this user's, and never one of root's.
            socket.send_fds(self._control, [b"%d" % (os.getuid() or NOBODY)], ends)
        except OSError as error:
            raise ForkServerLost(f"the fork server is gone: {error}") from error
        finally:
            for end in ends:
                os.close(end)
        return Wires(channel, output, life)

    def _wait_until_ready(self) -> None:
        self._control.settimeout(READY_SECONDS)
        try:
            self._is_ready = self._control.recv(16) == b"ready"
        except TimeoutError as error:
            raise ForkServerLost(f"the fork server did not start within {READY_SECONDS:.0f} s") from error
        except ConnectionError:
            self._is_ready = False  # it ended with a message unread
        if not self._is_ready:
            code = self._process.wait()
            if code < 0:
                raise ForkServerLost(f"the fork server was killed at its start, by signal {-code}")
            raise SandboxError(f"the fork server ended at its start, with code {code}")

    def close(self) -> None:
        self._control.close()  # which ends it
        with contextlib.suppress(PermissionError):  # it was started by root, and we are root no more
            self._process.kill()  # for it may be busy, importing torch
        self._process.wait()


class ProcessLife:
    """A worker inside a bubblewrap process that this process started."""

    def __init__(self, process: subprocess.Popen[bytes], information: int) -> None:
        self._process, self._information = process, information

    @property
    def root(self) -> int:
        return self._process.pid

    def let_go(self) -> None:
        """Kill bubblewrap, which takes the first process of the namespace with it, and wait for that one."""
        inner = self._open_inner()
        self._process.kill()
        if inner is not None:
            select.select([inner], [], [], READY_SECONDS)
            os.close(inner)

    def _open_inner(self) -> int | None:
        pid = CHILD_PID.search(self._told())
        try:
            return os.pidfd_open(int(pid[1])) if pid else None
        except ProcessLookupError:
            return None

    def _told(self) -> bytes:
        """Read what bubblewrap tells of its child; it writes that in pieces, and the closing brace is the last."""
        told, deadline = b"", time.monotonic() + READY_SECONDS
        while b"}" not in told:
            if not select.select([self._information], [], [], max(0.0, deadline - time.monotonic()))[0]:
                break
            chunk = os.read(self._information, 4096)
            if not chunk:
                break
            told += chunk
        return told

    def status(self, seconds: float) -> dict[str, Any] | None:
        try:
            code = self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            return None
        if complaint := self._complaint():
            return {"problem": complaint}
        if code < 0:
            return {"signal": -code}
        return {"signal": code - 128} if code > 128 else {"code": code}

    def _complaint(self) -> str:
        assert self._process.stderr is not None
        if self._process.stderr.closed or not select.select([self._process.stderr], [], [], 0)[0]:
            return ""
        return os.read(self._process.stderr.fileno(), 2000).decode(errors="replace").strip()

    def close(self) -> None:
        os.close(self._information)
        if self._process.stderr is not None:
            self._process.stderr.close()


class BubblewrapLauncher:
    """Starts every worker anew inside `bwrap`: slow, for torch is imported each time, and independent of the zygote."""

    rung = Rung.BUBBLEWRAP

    def __init__(self, view: View) -> None:
        found = shutil.which("bwrap")
        if found is None:
            raise SandboxError("`bwrap` is not installed; on Debian: apt install bubblewrap")
        self._bwrap, self._view, self._program = found, view, syscalls.build(starts_programs=True)

    def launch(self) -> Wires:
        channel, output, (channel_end, output_end) = open_wires()
        information, information_end = os.pipe2(os.O_CLOEXEC)
        program = self._program_pipe()
        kept = [channel_end, output_end, information_end, program]
        try:
            process = subprocess.Popen(
                self._command(channel_end, output_end, information_end, program),
                pass_fds=kept,
                env=ENVIRONMENT,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                start_new_session=True,
                cwd="/",
            )
        finally:
            for end in kept:
                os.close(end)
        return Wires(channel, output, ProcessLife(process, information))

    def _program_pipe(self) -> int:
        reading, writing = os.pipe2(os.O_CLOEXEC)
        os.write(writing, self._program)  # some kilobytes: less than a pipe holds
        os.close(writing)
        return reading

    def _command(self, channel: int, output: int, information: int, program: int) -> list[str]:
        command = [self._bwrap, "--unshare-all", "--unshare-user", "--disable-userns"]
        command += ["--die-with-parent"]
        command += ["--new-session", "--clearenv", "--uid", "65534", "--gid", "65534", "--hostname", "tilewise"]
        for name, value in ENVIRONMENT.items():
            command += ["--setenv", name, value]
        command += ["--size", str(TEMPORARY_BYTES), "--tmpfs", "/tmp"]
        for path in self._view.from_the_top():
            if path in self._view.hidden:
                command += (
                    ["--size", NOTHING, "--tmpfs", path] if os.path.isdir(path) else ["--ro-bind", "/dev/null", path]
                )
            elif os.path.islink(path):
                command += ["--symlink", os.readlink(path), path]
            else:
                command += ["--ro-bind", path, path]
        for file in ("worker.py", "filter.py"):
            command += ["--ro-bind", str(HERE / file), f"/{file}"]
        command += ["--proc", "/proc", "--dev", "/dev"]
        # What covers the hidden and what holds the devices are memory too: nothing is to be written there.
        for folder in ("/dev", *filter(os.path.isdir, self._view.hidden), "/"):
            command += ["--remount-ro", folder]
        command += ["--chdir", "/tmp"]
        command += ["--cap-drop", "ALL", "--info-fd", str(information), "--seccomp", str(program)]
        python = os.path.realpath(sys.executable)
        command += [python, "-I", "-S", "-B", "/worker.py", str(channel), str(output), str(PROCESSES)]
        return [*command, *self._view.packages]

    def close(self) -> None:
        """Nothing outlives its worker."""


def launcher(rung: Rung, course: Path) -> Launcher:
    """Make the launcher of a rung; raise SandboxError when this machine lacks what it needs."""
    try:
        if rung is not Rung.CHILD:
            syscalls.machine()
        if rung is Rung.LANDLOCK:
            landlock.version()
    except (syscalls.FilterError, OSError) as error:
        raise SandboxError(str(error)) from error
    return BubblewrapLauncher(view(course)) if rung is Rung.BUBBLEWRAP else ZygoteLauncher(rung, view(course))
