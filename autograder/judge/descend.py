"""Stop being root: the judge compares numbers, and so do its workers; no right of root's is needed for that.

Another user may be unable to reach the interpreter or the course (a home folder of mode 0700), so the way there is
opened first, in a view of the machine that only this process and its children have. What cannot be left behind is told
(`leave_root`), never kept in silence.

The user that it becomes has nothing and nobody else is it: the kernel counts processes by their user, so that of two
judges who were both `nobody` the one with a fork bomb would take the other's room.
"""

from __future__ import annotations

import contextlib
import json
import os
import pwd
import random
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from autograder.judge import isolation
from autograder.judge.view import PACKAGE

# The numbers that systemd, too, takes for services of a moment: no account has them.
# https://systemd.io/UIDS-GIDS
STRANGERS = range(61184, 65520)


@dataclass(frozen=True)
class Outlook:
    """What awaits this process as another user.

    user: who that is, by number, and likewise the group
    obstacle: why it could not go on so; "" when it could   namespaces: whether it could still shut workers in.
    """

    user: int
    obstacle: str
    namespaces: bool


def is_root() -> bool:
    return os.geteuid() == 0


def needed(course: Path) -> list[str]:
    """Give the folders and files that the judge and its workers read, besides the system's own."""
    python = [sys.prefix, os.path.realpath(sys.base_prefix), os.path.dirname(os.path.realpath(sys.executable))]
    paths = [*python, *filter(os.path.isabs, sys.path), str(PACKAGE), str(course.absolute())]
    return [path for path in dict.fromkeys(paths) if os.path.lexists(path)]


def stranger() -> int:
    """Give a user at random who has no account and no process."""
    taken = {account.pw_uid for account in pwd.getpwall()}
    for entry in os.scandir("/proc"):
        if entry.name.isdigit():
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # it ended while we looked
                taken.add(entry.stat().st_uid)
    return random.SystemRandom().choice([user for user in STRANGERS if user not in taken])


def outlook(course: Path) -> Outlook:
    """Go down in a fork and look around from there."""
    user = stranger()
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            _become(user, course)
            found = _obstacle(course), _makes_namespaces()
        except OSError as error:
            found = error.strerror or str(error), False
        os.write(writing, json.dumps(found).encode())
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as told:
        obstacle, namespaces = json.loads(told.read())
    os.waitpid(child, 0)
    return Outlook(user, obstacle, namespaces)


def leave_root(course: Path, awaits: Outlook) -> None:
    """Become that other user; where something stands against that, give up every capability at least."""
    if awaits.obstacle:
        isolation.drop_privileges()
        return
    _become(awaits.user, course)
    os.chdir("/")
    isolation.hide_from_equals()


def _become(user: int, course: Path) -> None:
    isolation.open_the_way(needed(course))
    os.setgroups([])
    isolation.become(user)


def _obstacle(course: Path) -> str:
    """Name something needed that cannot be read; "" when all can."""
    for path in (os.__file__, sys.executable, *_files(PACKAGE), *_files(course.absolute())):
        if not os.access(path, os.R_OK):
            return f"another user cannot read {path}"
    return ""


def _files(folder: Path) -> Iterator[str]:
    """Give the folder itself, and all folders and files below it."""
    yield str(folder)
    for place, folders, files in os.walk(folder):
        yield from (os.path.join(place, name) for name in (*folders, *files))


def _makes_namespaces() -> bool:
    """Build what a worker gets, in a fork: some machines refuse that to a plain user, each at another step."""
    try:
        isolation.leave_the_machine(privileged=False)
    except OSError:
        return False
    child = os.fork()
    if child == 0:
        try:
            isolation.build_root((), (), 1 << 20)
        except OSError:
            os._exit(1)
        os._exit(0)
    return os.waitpid(child, 0)[1] == 0
