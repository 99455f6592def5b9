"""Frames between the judge and a worker: a length, a JSON header, then raw numbers. The judge's end of it.

    4 bytes, little endian: the length of the header
    the header, UTF-8 JSON: an object whose "buffers" is a list of [dtype, shape] or [dtype, shape, strides]
    the buffers' bytes, one after another, C order

Everything that a worker sends is hostile until it is decoded here: no pickle, dtypes from a whitelist, byte counts
that follow from dtype and shape alone, and a cap on every length. `worker.py` has the other end, written again,
because it must run where this package cannot be seen.
"""

from __future__ import annotations

import ctypes
import json
import math
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch

MAX_HEADER_BYTES = 256 * 1024
MAX_BUFFERS = 256
MAX_DIMENSIONS = 8
MAX_BYTES = 128 * 1024 * 1024
LENGTH = struct.Struct("<I")

DTYPES: dict[str, torch.dtype] = {
    name: getattr(torch, name)
    for name in ("float16", "bfloat16", "float32", "float64", "uint8", "int8", "int16", "int32", "int64", "bool")
}
NAMES = {dtype: name for name, dtype in DTYPES.items()}


class ProtocolError(Exception):
    """What came is not a frame of this protocol."""


@dataclass(frozen=True)
class Frame:
    header: dict[str, Any]
    tensors: tuple[torch.Tensor, ...]


def encode(header: dict[str, Any], tensors: Sequence[torch.Tensor] = ()) -> bytes:
    """Write one frame. Strides tell of gaps between a tensor's elements, so that the worker can rebuild them."""
    buffers, chunks = [], []
    for tensor in tensors:
        spec: list[Any] = [NAMES[tensor.dtype], list(tensor.shape)]
        if not tensor.is_contiguous() and _has_room_for_every_element(tensor):
            spec.append(list(tensor.stride()))
        buffers.append(spec)
        chunks.append(_raw(tensor))
    text = json.dumps(header | {"buffers": buffers}, allow_nan=False).encode()
    if len(text) > MAX_HEADER_BYTES:
        raise ProtocolError(f"a header may hold {MAX_HEADER_BYTES} bytes, this one holds {len(text)}")
    return b"".join([LENGTH.pack(len(text)), text, *chunks])


def decode(read: Callable[[int], bytearray]) -> Frame:
    """Read one frame from an untrusted end. read(n) gives exactly n bytes or raises."""
    (length,) = LENGTH.unpack(read(LENGTH.size))
    if length > MAX_HEADER_BYTES:
        raise ProtocolError(f"the header claims {length} bytes, at most {MAX_HEADER_BYTES} are taken")
    header = _header(bytes(read(length)))
    specs = [_spec(entry) for entry in _list_of(header.pop("buffers", None), MAX_BUFFERS)]
    total = sum(math.prod(shape) * dtype.itemsize for dtype, shape in specs)
    if total > MAX_BYTES:
        raise ProtocolError(f"the buffers claim {total} bytes, at most {MAX_BYTES} are taken")
    return Frame(header, tuple(_tensor(read, dtype, shape) for dtype, shape in specs))


def _header(text: bytes) -> dict[str, Any]:
    def refuse(constant: str) -> Any:
        raise ProtocolError(f"the header holds {constant}, which is not JSON")

    try:
        header = json.loads(text, parse_constant=refuse)
    except (ValueError, RecursionError) as error:
        raise ProtocolError(f"the header is not JSON: {type(error).__name__}") from None
    if type(header) is not dict:
        raise ProtocolError(f"the header is a {type(header).__name__}, expected an object")
    return header


def _list_of(value: Any, longest: int) -> list[Any]:
    if type(value) is not list or len(value) > longest:
        raise ProtocolError(f"expected a list of at most {longest} entries")
    return value


def _spec(entry: Any) -> tuple[torch.dtype, list[int]]:
    if type(entry) is not list or len(entry) != 2 or type(entry[0]) is not str or entry[0] not in DTYPES:
        raise ProtocolError("a buffer needs [dtype, shape] with a dtype of the whitelist")
    shape = _list_of(entry[1], MAX_DIMENSIONS)
    if not all(type(size) is int and 0 <= size <= MAX_BYTES for size in shape):
        raise ProtocolError("a shape needs whole numbers that fit")
    # Sizes beside a 0 hold nothing, and yet torch works out strides from them.
    if math.prod(max(size, 1) for size in shape) > MAX_BYTES:
        raise ProtocolError("a shape needs sizes whose product fits")
    return DTYPES[entry[0]], shape


def _tensor(read: Callable[[int], bytearray], dtype: torch.dtype, shape: list[int]) -> torch.Tensor:
    count = math.prod(shape)
    if count == 0:
        return torch.empty(shape, dtype=dtype)
    raw = read(count * dtype.itemsize)
    if dtype is torch.bool:  # a bool made of any byte but 0 and 1 has no defined meaning
        return torch.frombuffer(raw, dtype=torch.uint8).reshape(shape) != 0
    return torch.frombuffer(raw, dtype=dtype).reshape(shape)


def _raw(tensor: torch.Tensor) -> bytes:
    whole = tensor.detach().contiguous()
    return ctypes.string_at(whole.data_ptr(), whole.numel() * whole.element_size()) if whole.numel() else b""


def _has_room_for_every_element(tensor: torch.Tensor) -> bool:
    """Tell strides that can be written through from those of an expanded tensor, where elements share a place."""
    reach = 1
    for stride, size in sorted(zip(tensor.stride(), tensor.shape, strict=True)):
        if size > 1 and stride < reach:
            return False
        reach += stride * (size - 1)
    return tensor.numel() > 0 and reach * tensor.element_size() <= MAX_BYTES
