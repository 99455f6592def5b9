"""From machine code to lines of the source, by the debugging information of the compiler."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterable

from tilewise.cuda_on_cpu.report import Place
from tilewise.cuda_on_cpu.runtime import Code
from tilewise.cuda_on_cpu.toolchain import INCLUDE


def lines_of(codes: Iterable[Code]) -> dict[Code, Place]:
    """Give the line of each address: where functions are inlined, the innermost that is not of the executor's headers.

    Raises RuntimeError where addr2line is missing; it comes with the linker (Debian: binutils).
    """
    found: dict[Code, Place] = {}
    by_library: dict[str, set[int]] = {}
    for code in codes:
        by_library.setdefault(code.library, set()).add(code.offset)
    for library, offsets in by_library.items():
        for offset, frames in _frames(library, sorted(offsets)).items():
            own = [frame for frame in frames if not _is_foreign(frame[0])]
            found[Code(library, offset)] = (own or frames or [("", 0)])[0]
    return found


def _is_foreign(file: str) -> bool:
    return file.startswith((str(INCLUDE), "/usr/", "??"))


def _frames(library: str, offsets: list[int]) -> dict[int, list[Place]]:
    """Ask addr2line, which prints each address and then its lines, innermost first."""
    tool = shutil.which("addr2line") or shutil.which("llvm-addr2line")
    if tool is None:
        raise RuntimeError("naming the lines of a fault needs addr2line; install binutils")
    asked = "\n".join(hex(offset) for offset in offsets)
    answer = subprocess.run([tool, "-a", "-i", "-e", library], input=asked, capture_output=True, text=True, check=True)
    frames: dict[int, list[Place]] = {}
    for line in answer.stdout.splitlines():
        if line.startswith("0x"):
            current = frames.setdefault(int(line, 16), [])
        else:
            file, _, number = line.split(" (discriminator", 1)[0].rpartition(":")
            current.append((os.path.normpath(file), int(number) if number.isdigit() else 0))
    return frames
