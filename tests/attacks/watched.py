"""Run a command and say what it left running: `python -m tests.attacks.watched REPORT COMMAND...`.

This process becomes the one to which orphans are given, so whatever outlives the command, daemons included, is found
among its descendants. Writes {"left": [names], "status": exit status, "seconds": wall time} to the file REPORT.
"""

from __future__ import annotations

import ctypes
import json
import os
import subprocess
import sys
import time
from pathlib import Path

PR_SET_CHILD_SUBREAPER = 36
# The judge ends its children as it goes; the kernel needs a moment to take them off the list.
GRACE_S = 3.0


def descendants() -> dict[int, str]:
    """Give the processes below this one: id -> name. Zombies do not count, they only wait to be read."""
    parents, names = {}, {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            name, _, rest = stat.read_text().partition("(")[2].rpartition(")")
        except (FileNotFoundError, ProcessLookupError):
            continue
        state, parent = rest.split()[:2]
        if state != "Z":
            pid = int(stat.parent.name)
            parents[pid], names[pid] = int(parent), name
    found: set[int] = set()
    while more := {pid for pid, parent in parents.items() if parent in found | {os.getpid()}} - found:
        found |= more
    return {pid: names[pid] for pid in found}


def main() -> None:
    report, command = Path(sys.argv[1]), sys.argv[2:]
    if ctypes.CDLL(None, use_errno=True).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "orphans cannot be watched")
    started = time.monotonic()
    status = subprocess.run(command, check=False).returncode
    seconds = time.monotonic() - started
    deadline = time.monotonic() + GRACE_S
    while (left := descendants()) and time.monotonic() < deadline:
        time.sleep(0.05)
    report.write_text(json.dumps({"left": sorted(left.values()), "status": status, "seconds": seconds}))


if __name__ == "__main__":
    main()
