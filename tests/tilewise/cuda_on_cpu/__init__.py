"""Where the kernels of these tests are, and where in them a line is marked."""

from __future__ import annotations

from pathlib import Path

KERNELS = Path(__file__).resolve().parent / "kernels"


def marked_lines(file: Path, function: str, mark: str) -> list[int]:
    """Give the lines that end in a mark, from the line that names a function to the next blank line."""
    lines = file.read_text(encoding="utf-8").splitlines()
    start = next(i for i, line in enumerate(lines) if f" {function}(" in line and "__" in line)
    end = next((i for i in range(start, len(lines)) if not lines[i].strip()), len(lines))
    return [i + 1 for i in range(start, end) if mark in lines[i].partition("//")[2].split()]
