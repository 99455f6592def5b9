"""Small JSON files that several programs write: read with bounds, written whole, changed by one writer at a time."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn


class DataFileError(Exception):
    """A file that cannot be taken as it is: says which, and why."""


def read_json(file: Path, *, limit: int) -> Any:
    """Read a JSON file of at most `limit` bytes. A missing or empty file gives None.

    Raises DataFileError for a link, a folder, a pipe, a larger file, bad UTF-8 or JSON, NaN or infinity, deep nesting.
    """
    try:
        # O_NONBLOCK: opening a pipe that stands in the file's place must not wait for a writer.
        descriptor = os.open(file, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    except OSError as error:
        reason = "is a link, not a file" if error.errno == errno.ELOOP else f"cannot be opened ({error.strerror})"
        raise DataFileError(f"{file.name} {reason}") from None
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise DataFileError(f"{file.name} is not a plain file")
    with os.fdopen(descriptor, "rb") as stream:
        raw = stream.read(limit + 1)
    if len(raw) > limit:
        raise DataFileError(f"{file.name} is larger than {limit} bytes")
    if not raw.strip():
        return None
    try:
        return json.loads(raw.decode("utf-8"), parse_constant=_refuse_constant)
    except RecursionError:
        raise DataFileError(f"{file.name} is nested too deep") from None
    except ValueError as error:
        raise DataFileError(f"{file.name} is not JSON: {error}") from None


def write_json(file: Path, data: Any) -> None:
    """Write a JSON file whole or not at all: a reader never sees half of it, and a full disk leaves the old one."""
    text = json.dumps(data, ensure_ascii=False, indent=1, allow_nan=False) + "\n"
    descriptor, name = tempfile.mkstemp(prefix=f".{file.name}.", dir=file.parent)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
            # mkstemp makes 0600; the file must be as readable as any other of its owner's, or it cannot be collected.
            os.fchmod(stream.fileno(), 0o666 & ~_umask())
            stream.write(text)
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(name, file)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(name)
        raise


@contextlib.contextmanager
def locked(file: Path) -> Iterator[None]:
    """Hold the file's lock, so that reading, changing and writing it is one step for every process that asks.

    The lock is a hidden file beside it: the file itself is replaced by every write, and a lock on it would be lost.
    """
    descriptor = os.open(file.with_name(f".{file.name}.lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def set_aside(file: Path) -> Path:
    """Rename a file that cannot be read to NAME.bak (.bak2, ...), never over another; return its new path."""
    number = 1
    while True:
        kept = file.with_name(f"{file.name}.bak{number if number > 1 else ''}")
        if not os.path.lexists(kept):
            file.rename(kept)
            return kept
        number += 1


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a number that JSON knows")


def _umask() -> int:
    # The only way to read the mask is to set it.
    mask = os.umask(0o022)
    os.umask(mask)
    return mask
