"""Make text that came out of student code fit to be shown: no control characters, no spoofing, no flood."""

from __future__ import annotations

import re

# Terminal sequences: CSI (colours, cursor), OSC and the other string commands (titles, links), and two-byte escapes.
# An unfinished string command runs to the end of its line at most, so that it cannot swallow what follows.
_TERMINAL = re.compile(
    r"\x1b\[[0-?]*[ -/]*[@-~]?|\x9b[0-?]*[ -/]*[@-~]?"
    r"|(?:\x1b[\]PX^_]|[\x90\x98\x9d-\x9f])[^\x07\x1b\x9c\n]*(?:\x07|\x1b\\|\x9c)?"
    r"|\x1b[ -/]*[0-~]?"
)
# What reorders or hides text: bidirectional controls, zero-width characters, line and paragraph separators, tags.
_HIDDEN = re.compile(
    "[\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb"
    "\U000e0000-\U000e007f]"
)
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")
_SURROGATE = re.compile("[\ud800-\udfff]")
# More than a few combining marks on one letter climb over the lines above ("zalgo").
_STACKED = re.compile(
    "([\u0300-\u036f\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20ff\ufe20-\ufe2f]{3})[\u0300-\u036f\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20ff\ufe20-\ufe2f]+"
)

WIDTH, LINES, LIMIT = 160, 120, 20_000


def printable(text: str, *, width: int = WIDTH, lines: int = LINES) -> str:
    """Strip what a terminal or a browser would act on; cut long lines, many lines, and anything past LIMIT characters.

    What is cut is said in its place, in symbols that need no translation: `… +42` stands for 42 characters more and
    `⋮ +42` for 42 lines more.
    """
    left_out = len(text) - LIMIT
    text = text[:LIMIT].replace("\r\n", "\n").replace("\r", "\n")
    for pattern, replacement in (
        (_TERMINAL, ""), (_HIDDEN, ""), (_CONTROL, ""), (_SURROGATE, "\ufffd"), (_STACKED, r"\1")
    ):  # fmt: skip
        text = pattern.sub(replacement, text)
    rows = text.expandtabs(4).rstrip().split("\n")
    shown = [row if len(row) <= width else f"{row[:width]} … +{len(row) - width}" for row in rows[:lines]]
    if len(rows) > lines:
        shown.append(f"⋮ +{len(rows) - lines}")
    if left_out > 0:
        shown.append(f"… +{left_out}")
    return "\n".join(shown)


def one_line(text: str, *, width: int = WIDTH) -> str:
    """The same for a text that belongs on one line."""
    return printable(" ".join(text[:LIMIT].split()), width=width, lines=1)
