"""What a shut-in worker may see of this machine: Python, torch, the system's programs, and nothing of the course."""

from __future__ import annotations

import os
import site
import sys
from dataclasses import dataclass
from pathlib import Path

from autograder.judge.worker import LIBRARIES

PACKAGE = Path(__file__).resolve().parents[1]
SYSTEM = ("/usr", "/lib", "/lib64", "/bin", "/etc/ld.so.cache")


@dataclass(frozen=True)
class View:
    """shown: paths to bind read-only, as they stand   hidden: paths to cover   packages: folders for sys.path.

    Where one lies in another, the deeper one wins; `from_the_top` is the order in which to lay them.
    """

    shown: tuple[str, ...]
    hidden: tuple[str, ...]
    packages: tuple[str, ...]

    def from_the_top(self) -> list[str]:
        return sorted({*self.shown, *self.hidden}, key=lambda path: (path.count("/"), path))


def view(course: Path) -> View:
    """Work out what this interpreter needs, and what beneath that must not be seen."""
    packages = [path for path in sys.path if path and Path(path, "torch").is_dir()]
    packages += [path for path in site.getsitepackages() if path not in packages and os.path.isdir(path)]
    python = [sys.prefix, os.path.realpath(sys.base_prefix), os.path.dirname(os.path.realpath(sys.executable))]
    needed = [path for path in (*SYSTEM, *python, *packages) if os.path.lexists(path)]
    hidden = [str(course.absolute()), str(PACKAGE)]
    if (PACKAGE.parent / "course").is_dir():  # a checkout: solutions, notebooks and history lie beside the package
        hidden.append(str(PACKAGE.parent))
    installed = list(dict.fromkeys([*packages, *_folders_of_libraries(sys.base_prefix)]))
    hidden += installed
    shown = _outermost(needed)
    hidden = [path for path in hidden if _is_below(path, shown)]
    shown += [path for path in needed if path not in (*shown, *installed) and _is_below(path, hidden)]
    shown += [str(path) for folder in packages for path in sorted(Path(folder).iterdir()) if path.name in LIBRARIES]
    return View(tuple(shown), tuple(hidden), tuple(packages))


def _folders_of_libraries(prefix: str) -> list[str]:
    """Give where the libraries beside a Python are installed, by its own tools or by the system's packager."""
    found = [path for local in ("", "local/") for path in Path(prefix).glob(f"{local}lib/python3*/*-packages")]
    return [str(path) for path in found if path.is_dir() and not path.is_symlink()]


def _outermost(paths: list[str]) -> list[str]:
    """Keep the paths that lie in no other one. Links are kept too: the new root repeats them as links."""
    kept: list[str] = []
    for path in sorted(set(paths), key=len):
        if not _is_below(path, kept):
            kept.append(path)
    return kept


def _is_below(path: str, folders: list[str]) -> bool:
    return any(path == folder or path.startswith(folder.rstrip("/") + "/") for folder in folders)
