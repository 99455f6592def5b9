"""What a student's code wrote: read as it comes, kept within bounds, made harmless to show."""

from __future__ import annotations

import os

from autograder.judge.printable import printable

HEAD_BYTES = TAIL_BYTES = 16 * 1024
CHUNK = 1 << 16
WIDTH = LINES = HEAD_BYTES + TAIL_BYTES  # the bytes are bound enough; a reader's width is for `report` to know


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
        if self._dropped:
            gap = f"\n[... {self._dropped} bytes left out ...]\n"
            text = _shown(self._head) + gap + _shown(self._tail)
        else:
            text = _shown(self._head + self._tail)
        self._head.clear()
        self._tail.clear()
        self._dropped = 0
        return text


def _shown(data: bytes | bytearray) -> str:
    text = printable(data.decode(errors="replace"), width=WIDTH, lines=LINES)
    return f"{text}\n" if text else ""
