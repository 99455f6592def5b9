"""nbgrader's collect for a folder that every student can write to: no link is followed, and no name stops the others.

nbgrader's own copies what a link points to. A student's link to the solved notebook in `source/`, which only the
instructor can read, would be handed in as that student's work; one named pipe, or one odd name, would end the run.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Any

from nbgrader.exchange.default import ExchangeCollect
from nbgrader.utils import parse_utc

from autograder.nbgrader_plugin.folders import is_usable
from autograder.nbgrader_plugin.handin import MAX_NOTEBOOK_BYTES

NO_NAME = ""


class CarefulCollect(ExchangeCollect):
    """ExchangeCollect that takes plain files only, as far as intake reads them, and hands links on as links."""

    def _path_to_record(self, path: str) -> dict[str, Any]:
        name = os.path.basename(path)
        student, _, rest = name.partition(f"+{self.coursedir.assignment_id}+")
        try:
            timestamp = parse_utc(rest.split("+")[0])
        except (ValueError, OverflowError):
            timestamp = None
        if timestamp is None or student in ("", ".", "..") or not is_usable(student):
            self.log.error("Not collected, for this is no name of a hand-in: %r", path)
            return {"username": NO_NAME, "filename": name, "timestamp": parse_utc("1970-01-01 00:00:00 UTC")}
        return {"username": student, "filename": name, "timestamp": timestamp}

    def init_src(self) -> None:
        super().init_src()
        found: list[dict[str, Any]] = self.src_records  # type: ignore[has-type]
        self.src_records = [record for record in found if record["username"] != NO_NAME]

    def do_copy(self, src: str, dest: str, log: Any = None) -> None:
        """Copy one hand-in; what is left out leaves a line in the log, and intake tells the student."""
        Path(dest).mkdir(parents=True)
        if not stat.S_ISDIR(os.lstat(src).st_mode):
            self.log.error("Collected empty, for it is no folder: %s", src)
            return
        try:
            entries = sorted(os.scandir(src), key=lambda entry: entry.name)
        except OSError as error:
            self.log.error("Collected empty: %s", error)
            return
        for entry in entries:
            target = os.path.join(dest, entry.name)
            if entry.is_symlink():
                os.symlink(os.readlink(entry.path), target)
            elif entry.is_file(follow_symlinks=False):
                try:
                    self._copy_file(entry.path, target)
                except OSError as error:  # it may not be read, or is gone again: the others' files are
                    self.log.error("Not collected: %s", error)
            else:
                self.log.warning("Not collected, for it is no file: %r", entry.path)

    @staticmethod
    def _copy_file(source: str, target: str) -> None:
        """Copy one byte more than intake reads at most: enough to tell that it is too much."""
        # What was a file a moment ago may be a link or a pipe by now.
        descriptor = os.open(source, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        with open(descriptor, "rb") as stream:
            Path(target).write_bytes(stream.read(MAX_NOTEBOOK_BYTES + 1))
