"""Workers as the judge sees them: start one, call it under a deadline, see it dead.

Which walls stand around it is the rung. Each rung is probed by trying to get out (`probe.py`); one that was asked for
and cannot be had is an error, never a lower one in silence.
"""

from __future__ import annotations

import os
import secrets
import select
import signal
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from pydantic import ValidationError

from autograder.judge import protocol
from autograder.judge.capture import Capture
from autograder.judge.outcome import End, Outcome, Reply, from_reply
from autograder.judge.printable import one_line
from autograder.judge.rungs import Launcher, Rung, SandboxError, Wires
from autograder.judge.watch import Clock, Deadline, Watch

START_SECONDS = 30.0
END_SECONDS = 10.0
# The kernel's own limit on a process, should the watch from outside ever fail.
BACKSTOP = 4.0
GOING_SECONDS = 2.0
FILE_BYTES = 16 * 1024 * 1024
CHUNK = 1 << 18


class WorkerGone(Exception):
    """The worker ended, or had to be ended, in the middle of a call."""

    def __init__(self, end: End, detail: str = "") -> None:
        super().__init__(detail or end)
        self.end, self.detail = end, detail


@dataclass(frozen=True)
class Limits:
    """What one worker, with all that it starts, may use: `Watch` says how that is counted.

    seconds: of one call   memory_mib: on top of what torch itself takes   calls: how many it is expected to answer
    switched_off: torch's operators that raise in it, each with the dispatch keys under which it has something
    """

    seconds: float
    memory_mib: int
    calls: int = 1
    switched_off: tuple[tuple[str, tuple[str, ...]], ...] = ()

    @property
    def memory_bytes(self) -> int:
        return self.memory_mib << 20

    def as_job(self) -> dict[str, Any]:
        return {
            "memory_bytes": self.memory_bytes,
            "cpu_seconds": BACKSTOP * self.seconds * self.calls + 1,
            "file_bytes": FILE_BYTES,
            "switched_off": self.switched_off,
        }


@dataclass(frozen=True)
class Call:
    """One call: function of the numbered source, on tensors, plain values and tuples of them; "" only runs the cell."""

    source: int
    function: str
    arguments: tuple[Any, ...] = ()
    meter: bool = False


class Worker:
    """One disposable process. Used in a `with`: on leaving, it is dead."""

    def __init__(self, wires: Wires, sources: Sequence[str], limits: Limits, given: Sequence[str] = ()) -> None:
        self._wires, self._limits = wires, limits
        self._capture = Capture()
        texts = [torch.frombuffer(bytearray(s.encode()), dtype=torch.uint8) for s in (*sources, *given)]
        self._job = protocol.encode({"limits": limits.as_job(), "given": len(given)}, texts)
        self._requests: deque[bytes] = deque()
        self._pending = memoryview(b"")
        self._output_open = True
        self._watch: Watch | None = None
        self._ended = False

    def __enter__(self) -> Worker:
        return self

    def __exit__(self, *_: object) -> None:
        self.end()

    def call(self, call: Call) -> Outcome:
        """Make one call; the outcome tells how it ended. After a deadly end the worker takes no more."""
        return next(self.calls([call]))

    def calls(self, calls: Sequence[Call]) -> Iterator[Outcome]:
        """Make calls one after the other, and give each outcome as it comes; a deadly end is the last one.

        All requests are on their way at once, for waiting in turn for each other costs more than the calls. A call's
        time is counted from the reply before it.
        """
        nonces = [secrets.token_hex(8) for _ in calls]
        watch = self._watch = self._watch or self._start()
        self._requests.extend(_encoded(call, nonce) for call, nonce in zip(calls, nonces, strict=True))
        for call, nonce in zip(calls, nonces, strict=True):
            outcome = self._reply(call.function, nonce, watch)
            yield outcome
            if self._ended:
                return

    def _start(self) -> Watch:
        """Wait for the worker to stand ready, on the judge's time and not on the student's, and hand over the job."""
        try:
            self._frame(Deadline(START_SECONDS))
        except (WorkerGone, protocol.ProtocolError) as error:
            raise SandboxError(f"a worker did not start: {error}") from error
        watch = Watch(self._wires.life.root, self._limits.seconds, self._limits.memory_bytes)
        if not watch.sees_the_worker:
            raise SandboxError(
                "what a worker uses cannot be seen: /proc must show its own user's processes, and their children"
            )
        self._requests.append(self._job)
        return watch

    def _reply(self, function: str, nonce: str, watch: Watch) -> Outcome:
        self._capture.expect(b"\0%s\0" % nonce.encode())
        watch.begin()
        try:
            frame = self._frame(watch)
            reply = Reply.model_validate(frame.header)
            if reply.call != nonce:
                raise WorkerGone(End.GARBLED, "the reply answers another call")
        except (protocol.ProtocolError, ValidationError) as error:
            self.end()
            return Outcome(End.GARBLED, function, detail=one_line(str(error)), printed=self._capture.take())
        except WorkerGone as gone:
            self.end()
            printed = self._capture.take()
            return Outcome(gone.end, function, detail=gone.detail, printed=printed, swarm=watch.saw_a_swarm)
        self._drain()  # printed before the reply was sent, so it is here by now
        return from_reply(reply, frame.tensors, function, self._capture.take())

    def _frame(self, clock: Clock) -> protocol.Frame:
        """Read one frame, and write what there is to write meanwhile."""

        def read(count: int) -> bytearray:
            data, got = bytearray(count), 0
            while got < count:
                if self._wait(clock):
                    got += self._receive(memoryview(data)[got:])
            return data

        return protocol.decode(read)

    def _receive(self, view: memoryview) -> int:
        try:
            size = self._wires.channel.recv_into(view[:CHUNK])
        except BlockingIOError:
            return 0
        except ConnectionResetError:
            size = 0
        if size == 0:
            raise self._why_gone()
        return size

    def _wait(self, clock: Clock) -> bool:
        """Move what can be moved, and tell whether the channel has something to read."""
        wires = self._wires
        over = clock.ask()
        if not self._pending and self._requests:
            self._pending = memoryview(self._requests.popleft())
        reading: list[Any] = [wires.channel]
        if self._output_open and self._capture.wants_more:
            reading.append(wires.output)
        writing = [wires.channel] if self._pending else []
        readable, writable, _ = select.select(reading, writing, [], 0.0 if over else clock.pause)
        # What is here by now was sent in time, however late a busy machine let this process see it.
        if over and wires.channel not in readable:
            raise WorkerGone(*over)
        if writable:
            try:
                self._pending = self._pending[wires.channel.send(self._pending[:CHUNK]) :]
            except BlockingIOError:
                pass  # the buffer filled up between the two calls; select will tell
            except (BrokenPipeError, ConnectionResetError):
                raise self._why_gone() from None
        if wires.output in readable:
            self._drain()
        return wires.channel in readable

    def _drain(self) -> None:
        self._output_open = self._capture.drain(self._wires.output)

    def _why_gone(self) -> WorkerGone:
        status = self._wires.life.status(GOING_SECONDS)
        if status is None:
            return WorkerGone(End.QUIT, "the process closed the channel and went on")
        if problem := status.get("problem"):
            raise SandboxError(f"a worker could not be shut in: {problem}")
        if (number := status.get("signal")) is None:
            return WorkerGone(End.QUIT, f"exit code {status.get('code')}")
        if number == signal.SIGXCPU:
            return WorkerGone(End.TOO_SLOW)
        if number == signal.SIGKILL:
            return WorkerGone(End.OUT_OF_MEMORY, "the system killed the process")
        return WorkerGone(End.CRASHED, f"signal {number}")

    def end(self) -> None:
        """Kill the worker and all that it started, and wait until that is done. May be called twice."""
        if self._ended:
            return
        self._ended = True
        try:
            self._wires.channel.close()
            self._wires.life.let_go()
            if self._wires.life.status(END_SECONDS) is None:
                raise SandboxError(f"a worker did not end within {END_SECONDS:.0f} s")
            self._drain()
        finally:
            os.close(self._wires.output)
            self._wires.life.close()


class Sandbox:
    """Workers of one rung, one kept ready ahead."""

    def __init__(self, launcher: Launcher, *, ahead: int = 1) -> None:
        self._launcher, self._ahead = launcher, ahead
        self._ready: list[Wires] = []

    @property
    def rung(self) -> Rung:
        return self._launcher.rung

    def worker(self, sources: Sequence[str], limits: Limits, given: Sequence[str] = ()) -> Worker:
        """Take a fresh worker for these sources; `given` are the texts behind the module of that name.

        What was made ahead has not run any student's code.
        """
        wires = self._ready.pop(0) if self._ready else self._launcher.launch()
        self.prepare()
        return Worker(wires, sources, limits, given)

    def prepare(self) -> None:
        while len(self._ready) < self._ahead:
            self._ready.append(self._launcher.launch())

    def close(self) -> None:
        for wires in self._ready:
            Worker(wires, (), Limits(1, 256)).end()
        self._ready.clear()
        self._launcher.close()


def _encoded(call: Call, nonce: str) -> bytes:
    tensors: list[torch.Tensor] = []
    header = {
        "call": nonce,
        "source": call.source,
        "function": call.function or None,
        "arguments": [_spec(argument, tensors) for argument in call.arguments],
        "meter": call.meter,
    }
    return protocol.encode(header, tensors)


def _spec(argument: Any, tensors: list[torch.Tensor]) -> dict[str, Any]:
    if isinstance(argument, torch.Tensor):
        tensors.append(argument)
        return {"tensor": len(tensors) - 1}
    if isinstance(argument, tuple):
        return {"tuple": [_spec(entry, tensors) for entry in argument]}
    return {"value": argument}
