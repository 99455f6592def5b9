"""C++'s numbers as ctypes has them, and whether a tensor's numbers are those that a pointer points to."""

from __future__ import annotations

import ctypes
import re
import struct
from typing import Any

from tilewise.cuda_on_cpu.source import Parameter

SCALARS: dict[str, Any] = {
    "bool": ctypes.c_bool,
    "char": ctypes.c_char,
    "signed char": ctypes.c_byte,
    "unsigned char": ctypes.c_ubyte,
    "int8_t": ctypes.c_int8,
    "uint8_t": ctypes.c_uint8,
    "short": ctypes.c_short,
    "unsigned short": ctypes.c_ushort,
    "int16_t": ctypes.c_int16,
    "uint16_t": ctypes.c_uint16,
    "int": ctypes.c_int,
    "int32_t": ctypes.c_int32,
    "unsigned": ctypes.c_uint,
    "unsigned int": ctypes.c_uint,
    "uint32_t": ctypes.c_uint32,
    "long": ctypes.c_long,
    "unsigned long": ctypes.c_ulong,
    "long long": ctypes.c_longlong,
    "unsigned long long": ctypes.c_ulonglong,
    "int64_t": ctypes.c_int64,
    "uint64_t": ctypes.c_uint64,
    "size_t": ctypes.c_size_t,
    "float": ctypes.c_float,
    "double": ctypes.c_double,
    "half": lambda value: ctypes.c_uint16(int.from_bytes(struct.pack("<e", value), "little")),
    "cudaStream_t": ctypes.c_void_p,
}

# What a dtype is called: by torch, with the number of bits, and in an array interface, with that of bytes.
DTYPE = re.compile(r"torch\.(bool|bfloat|float|complex|uint|int)(\d*)")
TYPESTR = re.compile(r"[<|]([bfciu])(\d+)")
KINDS = {"b": "bool", "f": "float", "c": "complex", "i": "int", "u": "int", "uint": "int"}
# A vector of these is read as numbers; the others carry bits of anything.
VECTOR = re.compile(r"(float|double|half)[234]")
BYTES = {"char", "unsigned char", "uint8_t"}  # point to whatever it is: a structure, too
# torch's names, and how a tensor becomes one.
DTYPES = {
    ("float", 2): ("float16", "half"),
    ("float", 4): ("float32", "float"),
    ("float", 8): ("float64", "double"),
    ("int", 1): ("int8", "char"),
    ("int", 2): ("int16", "short"),
    ("int", 4): ("int32", "int"),
    ("int", 8): ("int64", "long"),
    ("bool", 1): ("bool", "bool"),
}


def check_elements(parameter: Parameter, value: Any) -> None:
    """Refuse a tensor or array whose numbers have another kind or size than what a parameter points to.

    Passes: pointers to void, to bytes, to pointers and to the file's own types; signed for unsigned of the same size
    (torch hardly computes with unsigned); integers of one byte for bool. Raises TypeError.
    """
    expected, got = _pointee(parameter), _element(value)
    if expected is None or expected == got or (expected == ("bool", 1) and got == ("int", 1)):
        return
    wanted, method = DTYPES[expected]
    if not parameter.is_read_only:
        advice = f"give it {wanted}, as the kernel writes there"
    else:
        advice = f"call .{method}()" if hasattr(value, "data_ptr") else f'call .astype("{wanted}")'
    name = str(value.dtype) if hasattr(value, "dtype") else value.__array_interface__["typestr"]
    raise TypeError(
        f"{parameter.name}: the kernel takes {parameter.type.replace(' *', '*')}, "
        f"got {name.removeprefix('torch.')}; {advice}"
    )


def _pointee(parameter: Parameter) -> tuple[str, int] | None:
    """-> the kind and bytes of what a parameter points to, or None where they are not known or do not matter"""
    name = parameter.bare_type.removesuffix(" *")
    vector = VECTOR.fullmatch(name)
    name = vector[1] if vector else name
    if name == "half":
        return "float", 2
    if name in BYTES or name not in SCALARS or name == "cudaStream_t":
        return None
    scalar = SCALARS[name]
    kind = {"f": "float", "d": "float", "?": "bool"}.get(scalar._type_, "int")
    return kind, ctypes.sizeof(scalar)


def _element(value: Any) -> tuple[str, int]:
    """-> the kind and bytes of a tensor's or an array's numbers; what is no number, or swapped, has no kind"""
    if hasattr(value, "data_ptr"):
        found, size = DTYPE.match(str(value.dtype)), value.element_size()
    else:
        found = TYPESTR.fullmatch(value.__array_interface__["typestr"])
        size = int(found[2]) if found else 0
    return (KINDS.get(found[1], found[1]) if found else "", size)
