"""What a student's code wrote: read as it comes, kept within bounds, made harmless to show."""

from __future__ import annotations

import os

from autograder.judge.printable import printable

HEAD_BYTES = TAIL_BYTES = 16 * 1024
CHUNK = 1 << 16
MOST_AHEAD = 1 << 20
NO_MARK = b"\0"
WIDTH = LINES = HEAD_BYTES + TAIL_BYTES  # the bytes are bound enough; a reader's width is for `report` to know


class Capture:
    """Keeps the head and the tail of what one call writes to an endless stream, up to the mark that ends it.

    The worker may be calls ahead of the judge. What comes after the mark is kept for the next call; past MOST_AHEAD
    the stream is no longer read, and so the worker waits.
    """

    def __init__(self) -> None:
        self._head, self._tail, self._dropped = bytearray(), bytearray(), 0
        self._mark = NO_MARK
        self._is_over = False
        self._edge, self._ahead = bytearray(), bytearray()

    @property
    def wants_more(self) -> bool:
        return len(self._ahead) < MOST_AHEAD

    def expect(self, mark: bytes) -> None:
        """Start with the next call, which ends at this mark."""
        ahead = self._ahead
        self._mark, self._is_over, self._ahead = mark, False, bytearray()
        self.add(ahead)

    def drain(self, descriptor: int) -> bool:
        """Read what is there now from a non-blocking descriptor, and tell whether more can come.

        At most a few chunks at a time, so that a flood cannot keep the judge from its clock.
        """
        for _ in range(16):
            if not self.wants_more:
                return True
            try:
                data = os.read(descriptor, CHUNK)
            except BlockingIOError:
                return True
            if not data:
                return False
            self.add(data)
        return True

    def add(self, data: bytes | bytearray) -> None:
        if self._is_over:
            self._ahead += data
            return
        window = self._edge + data
        place = window.find(self._mark)
        if place >= 0:
            self._is_over = True
            self._ahead += window[place + len(self._mark) :]
        else:  # a mark may have been cut in two
            place = max(0, len(window) - len(self._mark) + 1)
        self._edge = bytearray() if self._is_over else window[place:]
        self._keep(window[:place])

    def _keep(self, data: bytearray) -> None:
        room = HEAD_BYTES - len(self._head)
        self._head += data[:room]
        self._tail += data[room:]
        if len(self._tail) > TAIL_BYTES:
            self._dropped += len(self._tail) - TAIL_BYTES
            del self._tail[:-TAIL_BYTES]

    def take(self) -> str:
        """Give what this call wrote, as far as it came, and forget it."""
        self._keep(self._edge)
        if self._dropped:
            gap = f"\n[... {self._dropped} bytes left out ...]\n"
            text = _shown(self._head) + gap + _shown(self._tail)
        else:
            text = _shown(self._head + self._tail)
        for part in (self._head, self._tail, self._edge):
            part.clear()
        self._dropped = 0
        return text


def _shown(data: bytes | bytearray) -> str:
    text = printable(data.decode(errors="replace"), width=WIDTH, lines=LINES)
    return f"{text}\n" if text else ""
