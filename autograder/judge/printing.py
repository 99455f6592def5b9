"""What a student's code printed: read as it comes, kept within bounds, made harmless to show."""

from __future__ import annotations

import os
import re

HEAD_BYTES = TAIL_BYTES = 32 * 1024
CHUNK = 1 << 16

ESCAPES = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[PX^_][^\x1b]*(?:\x1b\\)?|.)?", re.S)
# Control characters, and those that reorder the text around them.
HIDDEN = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069\ufeff]")


def clean(text: str, longest: int) -> str:
    """Strip terminal escapes and invisible characters, and cap the length."""
    text = HIDDEN.sub("", ESCAPES.sub("", text.replace("\r\n", "\n").replace("\r", "\n")))
    return text if len(text) <= longest else text[: longest - 1] + "…"


class Capture:
    """Keeps the head and the tail of an endless stream."""

    def __init__(self) -> None:
        self._head, self._tail, self._dropped = bytearray(), bytearray(), 0

    def drain(self, descriptor: int) -> bool:
        """Read what is there now from a non-blocking descriptor, and tell whether more can come.

        At most a few chunks at a time, so that a flood cannot keep the judge from its clock.
        """
        for _ in range(16):
            try:
                data = os.read(descriptor, CHUNK)
            except BlockingIOError:
                return True
            if not data:
                return False
            self.add(data)
        return True

    def add(self, data: bytes) -> None:
        room = HEAD_BYTES - len(self._head)
        self._head += data[:room]
        self._tail += data[room:]
        if len(self._tail) > TAIL_BYTES:
            self._dropped += len(self._tail) - TAIL_BYTES
            del self._tail[:-TAIL_BYTES]

    def take(self) -> str:
        """Give what came since the last time, and start anew."""
        gap = f"\n[... {self._dropped} bytes ...]\n".encode() if self._dropped else b""
        text = bytes(self._head + gap + self._tail).decode(errors="replace")
        self._head.clear()
        self._tail.clear()
        self._dropped = 0
        return clean(text, HEAD_BYTES + TAIL_BYTES + 100)
