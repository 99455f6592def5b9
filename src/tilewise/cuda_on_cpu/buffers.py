"""Tensors and arrays as ranges of memory; in a checked build, as copies that stand apart from each other."""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from tilewise.cuda_on_cpu.runtime import Runtime

# cudaMalloc aligns to this; where a buffer begins within such a piece decides which sectors it touches.
ALIGNMENT = 256


@dataclass(frozen=True)
class Buffer:
    """The bytes [begin, end) that an argument may reach, and where it points (inside them for negative strides).

    offset: how far `begin` lies past an aligned address, on a device
    """

    name: str
    pointer: int
    begin: int
    end: int
    offset: int
    writable: bool


def buffer_of(name: str, value: Any, *, writable: bool) -> Buffer:
    """Describe a torch tensor on the CPU or an object with `__array_interface__`. Raises TypeError for others."""
    if hasattr(value, "data_ptr"):
        if value.device.type != "cpu":
            raise TypeError(f"{name}: the executor runs on the CPU, got a tensor on {value.device}; call .cpu() first")
        pointer, itemsize = value.data_ptr(), value.element_size()
        extents = [(size, stride * itemsize) for size, stride in zip(value.shape, value.stride(), strict=True)]
        base = value.untyped_storage().data_ptr()
    elif hasattr(value, "__array_interface__"):
        described = value.__array_interface__
        pointer, itemsize = described["data"][0], int(described["typestr"][2:])
        strides = described.get("strides") or _packed(described["shape"], itemsize)
        extents = list(zip(described["shape"], strides, strict=True))
        base = pointer - pointer % 16
        if writable and described["data"][1]:
            raise TypeError(f"{name}: the kernel takes a pointer that it may write through, got a read-only array")
    else:
        raise TypeError(f"{name}: expected a tensor, an array or None for a pointer, got {type(value).__name__}")
    if any(size == 0 for size, _ in extents):
        return Buffer(name, pointer, pointer, pointer, 0, writable)
    begin = pointer + sum(min(0, (size - 1) * stride) for size, stride in extents)
    end = pointer + sum(max(0, (size - 1) * stride) for size, stride in extents) + itemsize
    return Buffer(name, pointer, begin, end, (begin - base) % ALIGNMENT, writable)


def _packed(shape: tuple[int, ...], itemsize: int) -> list[int]:
    strides = []
    for size in reversed(shape):
        strides.append(itemsize)
        itemsize *= size
    return strides[::-1]


def _joined(buffers: list[Buffer]) -> list[list[Buffer]]:
    """Group buffers that share bytes: views of one packed tensor must stay views of one copy."""
    groups: list[list[Buffer]] = []
    for buffer in sorted(buffers, key=lambda b: b.begin):
        if groups and buffer.begin < max(b.end for b in groups[-1]):
            groups[-1].append(buffer)
        else:
            groups.append([buffer])
    return groups


@contextmanager
def standing_apart(runtime: Runtime, buffers: list[Buffer]) -> Iterator[dict[int, int]]:
    """Copy buffers to memory of the runtime's, with nothing near on either side; copy back what may have been written.

    -> from each original pointer to that into the copy
    """
    moved: dict[int, int] = {}
    copies: list[tuple[int, int, int, bool]] = []
    try:
        for group in _joined(buffers):
            begin, end = group[0].begin, max(b.end for b in group)
            name = ", ".join(dict.fromkeys(b.name for b in group))
            copy = runtime.allocate(name, end - begin, group[0].offset)
            copies.append((copy, begin, end - begin, any(b.writable for b in group)))
            ctypes.memmove(copy, begin, end - begin)
            moved |= {b.pointer: copy + b.pointer - begin for b in group}
        yield moved
        for copy, begin, size, writable in copies:
            if writable:
                ctypes.memmove(begin, copy, size)
    finally:
        for copy, *_ in copies:
            runtime.release(copy)
