"""The wire: what is sent comes back the same, and nothing but a well-formed frame gets through."""

from __future__ import annotations

import io
import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from autograder.judge import protocol
from autograder.judge.protocol import LENGTH, MAX_HEADER_BYTES, ProtocolError, decode, encode

WORKER = Path(protocol.__file__).with_name("worker.py")


def reader(data: bytes):
    """Read from bytes as the judge does from a worker; running out is an error there too."""
    stream = io.BytesIO(data)

    def read(count: int) -> bytearray:
        got = stream.read(count)
        if len(got) < count:
            raise EOFError("the stream ended")
        return bytearray(got)

    return read


def frame(header: object, body: bytes = b"") -> bytes:
    text = json.dumps(header).encode()
    return LENGTH.pack(len(text)) + text + body


@pytest.mark.parametrize("name", protocol.DTYPES)
def test_every_dtype_of_the_whitelist_survives_the_wire(name: str) -> None:
    tensor = torch.tensor([[0, 1, 2], [3, 0, 1]]).to(protocol.DTYPES[name])
    got = decode(reader(encode({"a": 1}, [tensor])))
    assert got.header == {"a": 1}
    assert torch.equal(got.tensors[0], tensor)
    assert got.tensors[0].dtype == tensor.dtype


@pytest.mark.parametrize("shape", [(), (0,), (3, 0, 2), (1, 2, 3, 4)])
def test_scalars_and_empty_tensors_keep_their_shape(shape: tuple[int, ...]) -> None:
    (got,) = decode(reader(encode({}, [torch.ones(shape)]))).tensors
    assert got.shape == shape
    assert bool((got == 1).all())


BAD_BUFFERS = {
    "missing": {},
    "not a list": {"buffers": 3},
    "too many": {"buffers": [["float32", [1]]] * 1000},
    "unknown dtype": {"buffers": [["complex64", [1]]]},
    "dtype is a list": {"buffers": [[["float32"], [1]]]},
    "shape is a number": {"buffers": [["float32", 4]]},
    "strides of nothing overflow": {"buffers": [["float32", [0, *[1 << 27] * 7]]]},
    "negative size": {"buffers": [["float32", [-1]]]},
    "size is a bool": {"buffers": [["float32", [True]]]},
    "size is a float": {"buffers": [["float32", [1.0]]]},
    "too many dimensions": {"buffers": [["float32", [1] * 9]]},
    "more bytes than allowed": {"buffers": [["float64", [1 << 26]]]},
    "sizes that multiply to more": {"buffers": [["uint8", [1 << 20, 1 << 20]]]},
    "strides from a worker": {"buffers": [["float32", [2, 2], [1 << 40, 1]]]},
}


@pytest.mark.parametrize("header", BAD_BUFFERS.values(), ids=BAD_BUFFERS.keys())
def test_bad_buffers_are_refused_before_anything_is_read(header: dict[str, object]) -> None:
    with pytest.raises(ProtocolError):
        decode(reader(frame(header)))


@pytest.mark.parametrize(
    "data",
    [
        LENGTH.pack(MAX_HEADER_BYTES + 1),
        LENGTH.pack(0xFFFFFFFF),
        frame([1, 2]),
        frame("text"),
        LENGTH.pack(3) + b"{a}",
        LENGTH.pack(2) + b"\xff\xfe",
        LENGTH.pack(100_000) + b"[" * 100_000,
        LENGTH.pack(25) + b'{"buffers": [], "x": NaN}',
    ],
    ids=["long", "longest", "list", "string", "not JSON", "not UTF-8", "deep", "NaN"],
)
def test_a_header_that_is_not_a_plain_object_is_refused(data: bytes) -> None:
    with pytest.raises(ProtocolError):
        decode(reader(data))


def test_bytes_that_do_not_follow_from_the_shape_are_never_taken_for_numbers() -> None:
    with pytest.raises(EOFError):
        decode(reader(frame({"buffers": [["float32", [4]]]}, b"\0" * 15)))


def test_a_bool_made_of_odd_bytes_becomes_true() -> None:
    (got,) = decode(reader(frame({"buffers": [["bool", [3]]]}, b"\x00\x02\xff"))).tensors
    assert got.tolist() == [False, True, True]
    assert got.view(torch.uint8).tolist() == [0, 1, 1]


@given(st.binary(max_size=300))
def test_no_bytes_at_all_can_do_more_than_be_refused(data: bytes) -> None:
    try:
        got = decode(reader(data))
    except (ProtocolError, EOFError):
        return
    assert isinstance(got.header, dict)


def test_a_header_too_large_to_send_is_an_error_here_and_not_in_the_worker() -> None:
    with pytest.raises(ProtocolError, match="may hold"):
        encode({"text": "x" * MAX_HEADER_BYTES})


@pytest.fixture
def bare_worker():
    """The worker alone, with no sandbox around it: its end of the protocol is the subject here."""
    mine, theirs = socket.socketpair()
    reading, writing = os.pipe()
    packages = [path for path in sys.path if path.endswith("site-packages")]
    process = subprocess.Popen(
        [sys.executable, "-I", "-S", str(WORKER), str(theirs.fileno()), str(writing), "4000", *packages],
        pass_fds=[theirs.fileno(), writing],
    )
    theirs.close()
    os.close(writing)
    mine.settimeout(60)

    def read(count: int) -> bytearray:
        data = bytearray()
        while len(data) < count:
            got = mine.recv(count - len(data))
            assert got, "the worker ended"
            data += got
        return data

    yield mine, read
    mine.close()
    os.close(reading)
    assert process.wait(10) == 0


def test_both_ends_speak_one_protocol(bare_worker) -> None:
    wire, read = bare_worker
    assert decode(read).header == {"ready": True}
    source = b"def f(x, pair):\n    return x, pair[1]\n"
    limits = {"memory_bytes": 1 << 29, "seconds": 5, "cpu_seconds": 9, "file_bytes": 1 << 20, "switched_off": []}
    wire.sendall(encode({"limits": limits, "given": 0}, [torch.frombuffer(bytearray(source), dtype=torch.uint8)]))
    gaps = torch.arange(12.0).reshape(3, 4)[:, ::2]
    for name, dtype in protocol.DTYPES.items():
        sent = gaps.to(dtype) if name == "float32" else torch.tensor([[1, 0], [0, 1]]).to(dtype)
        arguments = [{"tensor": 0}, {"tuple": [{"value": 3}, {"tensor": 1}]}]
        call = {"call": name, "source": 0, "function": "f", "arguments": arguments, "meter": False}
        wire.sendall(encode(call, [sent, torch.zeros(0, 2)]))
        reply = decode(read)
        assert (reply.header["call"], reply.header["outcome"]) == (name, "returned")
        assert torch.equal(reply.tensors[0], sent)
        assert reply.tensors[1].shape == (0, 2)


def test_gaps_between_elements_arrive_as_gaps(bare_worker) -> None:
    wire, read = bare_worker
    decode(read)
    source = b"import torch\ndef f(x):\n    return torch.tensor(x.stride())\n"
    limits = {"memory_bytes": 1 << 29, "seconds": 5, "cpu_seconds": 9, "file_bytes": 1 << 20, "switched_off": []}
    wire.sendall(encode({"limits": limits, "given": 0}, [torch.frombuffer(bytearray(source), dtype=torch.uint8)]))
    whole = torch.arange(24.0).reshape(4, 6)
    for sent in (whole[:, ::2], whole.T, whole[1:, :3], whole[:1].expand(4, 6)):
        call = {"call": "c", "source": 0, "function": "f", "arguments": [{"tensor": 0}], "meter": False}
        wire.sendall(encode(call, [sent]))
        strides = tuple(decode(read).tensors[0].tolist())
        # An expanded tensor shares places between elements, which no copy can keep.
        assert strides == (sent.contiguous() if 0 in sent.stride() else sent).stride()


def test_the_worker_imports_nothing_of_ours() -> None:
    for name in ("worker", "zygote", "isolation", "filter", "landlock"):
        text = WORKER.with_name(f"{name}.py").read_text(encoding="utf-8")
        for package in ("autograder", "tilewise"):
            assert f"import {package}" not in text
            assert f"from {package}" not in text
