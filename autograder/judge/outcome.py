"""How one call of a student's function ended, as the judge sees it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Literal

import torch
from pydantic import BaseModel, ConfigDict, Field

from autograder.judge.verdict import Kind


class End(StrEnum):
    """How a call ended, finer than the verdict's `Kind`."""

    RETURNED = "returned"
    RAISED = "raised"
    NOT_WRITTEN = "not written"
    MISSING = "missing"
    REFUSED = "refused"
    TOO_SLOW = "too slow"
    IDLE = "idle"
    OUT_OF_MEMORY = "out of memory"
    STATE_TOO_LARGE = "state too large"
    STATE_MISSHAPEN = "state misshapen"
    QUIT = "quit"
    CRASHED = "crashed"
    GARBLED = "garbled"
    SKIPPED = "skipped"


KINDS: dict[End, Kind] = {
    End.RETURNED: Kind.PASSED,
    End.RAISED: Kind.RAISED,
    End.NOT_WRITTEN: Kind.NOT_STARTED,
    End.MISSING: Kind.RAISED,
    End.REFUSED: Kind.RAISED,
    End.TOO_SLOW: Kind.TIME_LIMIT,
    End.IDLE: Kind.TIME_LIMIT,
    End.OUT_OF_MEMORY: Kind.MEMORY_LIMIT,
    End.STATE_TOO_LARGE: Kind.MEMORY_LIMIT,
    End.STATE_MISSHAPEN: Kind.WRONG,
    End.QUIT: Kind.PROTOCOL,
    End.CRASHED: Kind.RAISED,
    End.GARBLED: Kind.PROTOCOL,
    End.SKIPPED: Kind.NOT_RUN,
}
# After these the worker is gone, and what was still to be called needs a fresh one.
DEADLY = {End.TOO_SLOW, End.IDLE, End.OUT_OF_MEMORY, End.QUIT, End.CRASHED, End.GARBLED}


class Reply(BaseModel):
    """The header of a worker's reply; anything else in it is an error of the protocol."""

    model_config = ConfigDict(extra="forbid", strict=True)

    call: str = Field(max_length=64)
    outcome: Literal["returned", "raised", "missing", "refused"]
    single: bool = False
    type: str = Field("", max_length=100)
    message: str = Field("", max_length=2000)
    traceback: str = Field("", max_length=8000)
    memory: bool = False
    operators: list[str] = Field(default_factory=list, max_length=300)
    largest: int = Field(0, ge=0)


@dataclass(frozen=True)
class Outcome:
    """One call's end.

    values: what it returned; `single` tells a lone tensor from a tuple of one.   error_type, message, traceback: what
    it raised, untrusted text.   operators, largest: what the meter saw.   printed: what the call wrote, untrusted text.
    detail: for a person who looks for the reason, untrusted too.   loading: it ended while the cell itself ran, before
    the call; printed_loading: what the cell wrote then.   swarm: it ended among far more processes than answers need.
    """

    end: End
    function: str
    values: tuple[torch.Tensor, ...] = ()
    single: bool = False
    error_type: str = ""
    message: str = ""
    traceback: str = ""
    detail: str = ""
    operators: frozenset[str] = frozenset()
    largest: int = 0
    printed: str = ""
    loading: bool = False
    printed_loading: str = ""
    swarm: bool = False

    @property
    def kind(self) -> Kind:
        return KINDS[self.end]

    @property
    def returned(self) -> bool:
        return self.end is End.RETURNED

    def but(self, end: End, detail: str = "") -> Outcome:
        """The same call, ended in another way."""
        return replace(self, end=end, values=(), detail=detail)


def from_reply(reply: Reply, tensors: tuple[torch.Tensor, ...], function: str, printed: str) -> Outcome:
    """Read a reply whose form is already checked."""
    match reply.outcome:
        case "returned":
            end = End.RETURNED
        case "missing":
            end = End.MISSING
        case "refused":
            end = End.REFUSED
        case "raised" if reply.memory:
            end = End.OUT_OF_MEMORY
        case "raised" if reply.type == "NotImplementedError":
            end = End.NOT_WRITTEN
        case "raised" if reply.type == "SystemExit":
            end = End.QUIT
        case _:
            end = End.RAISED
    return Outcome(
        end,
        function,
        values=tensors,
        single=reply.single,
        error_type=reply.type,
        message=reply.message,
        traceback=reply.traceback,
        operators=frozenset(reply.operators),
        largest=reply.largest,
        printed=printed,
    )
