"""The compiled runtime through ctypes: memory, faults and tallies."""

from __future__ import annotations

import ctypes
import functools
from ctypes import POINTER, Structure, c_char, c_char_p, c_int, c_size_t, c_uint, c_uint64, c_void_p
from dataclasses import dataclass
from pathlib import Path


class _Place(Structure):
    _fields_ = [("file", c_char_p), ("line", c_int), ("code", c_void_p)]


class _FaultRecord(Structure):
    _fields_ = [
        ("kind", c_char_p),
        ("message", c_char * 480),
        ("at", _Place),
        ("other_at", _Place),
        ("block", c_uint * 3),
        ("thread", c_uint * 3),
        ("other_block", c_uint * 3),
        ("other_thread", c_uint * 3),
        ("has_thread", c_int),
        ("has_other", c_int),
    ]


class _Tally(Structure):
    _fields_ = [
        ("at", _Place),
        ("access", c_int),
        ("space", c_int),
        ("bytes", c_uint64),
        ("requests", c_uint64),
        ("sectors", c_uint64),
        ("wavefronts", c_uint64),
        ("conflicts", c_uint64),
    ]


@dataclass(frozen=True)
class Code:
    """An address of machine code: the library that holds it, and how far into it."""

    library: str
    offset: int


Spot = tuple[str, int] | Code  # a line, or what will become one


@dataclass(frozen=True)
class RawFault:
    kind: str
    message: str
    at: Spot
    other_at: Spot
    block: tuple[int, int, int] | None
    thread: tuple[int, int, int] | None
    other_block: tuple[int, int, int] | None
    other_thread: tuple[int, int, int] | None


@dataclass(frozen=True)
class RawTally:
    """access: "load", "store" or "atomic"   space: "global" or "shared" """

    at: Spot
    access: str
    space: str
    bytes: int
    requests: int
    sectors: int
    conflicts: int


class Runtime:
    """One loaded runtime library; `load_runtime` gives it."""

    def __init__(self, path: Path) -> None:
        self._library = library = ctypes.CDLL(str(path))
        library.tw_allocate.restype, library.tw_allocate.argtypes = c_void_p, [c_char_p, c_size_t, c_size_t]
        library.tw_release.argtypes = [c_void_p]
        library.tw_fault_count.restype = library.tw_tally_count.restype = c_size_t
        library.tw_fault.restype, library.tw_fault.argtypes = POINTER(_FaultRecord), [c_size_t]
        library.tw_tally.restype, library.tw_tally.argtypes = POINTER(_Tally), [c_size_t]
        library.tw_locate.restype, library.tw_locate.argtypes = c_char_p, [c_void_p, POINTER(c_size_t)]
        library.tw_use_workers.argtypes = [c_uint]

    def allocate(self, name: str, size: int, offset: int) -> int:
        address = self._library.tw_allocate(name.encode(), size, offset)
        if not address:
            raise MemoryError(f"{name}: no room for a copy of {size} bytes")
        return int(address)

    def release(self, address: int) -> None:
        self._library.tw_release(address)

    def use_workers(self, count: int) -> None:
        """Run blocks on this many operating-system threads; 0 for as many as the process may use."""
        self._library.tw_use_workers(count)

    def forget(self) -> None:
        """Begin a new report, with no error left from before."""
        self._library.tw_forget_faults()
        self._library.tw_forget_counts()
        self._library.cudaGetLastError()

    def faults(self) -> list[RawFault]:
        records = [self._library.tw_fault(i).contents for i in range(self._library.tw_fault_count())]
        return [
            RawFault(
                kind=r.kind.decode(),
                message=r.message.decode(errors="replace"),
                at=self._spot(r.at),
                other_at=self._spot(r.other_at),
                block=tuple(r.block) if r.has_thread else None,
                thread=tuple(r.thread) if r.has_thread else None,
                other_block=tuple(r.other_block) if r.has_other else None,
                other_thread=tuple(r.other_thread) if r.has_other else None,
            )
            for r in records
        ]

    def tallies(self) -> list[RawTally]:
        tallies = [self._library.tw_tally(i).contents for i in range(self._library.tw_tally_count())]
        return [
            RawTally(
                self._spot(t.at),
                ("load", "store", "atomic")[t.access],
                ("global", "shared")[t.space],
                t.bytes,
                t.requests,
                t.sectors,
                t.conflicts,
            )
            for t in tallies
        ]

    def _spot(self, place: _Place) -> Spot:
        if not place.code:
            return (place.file or b"").decode(), place.line
        offset = c_size_t()
        library = self._library.tw_locate(place.code, ctypes.byref(offset))
        # A return address is where the next instruction begins; one byte less lies inside the call.
        return Code(library.decode(), offset.value - 1) if library else ("", 0)


@functools.cache
def load_runtime(path: Path) -> Runtime:
    """Load a runtime once in a process: its memory and its reports are the process's."""
    return Runtime(path)
