"""What every check of the course gives for something that is not as it should be."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Finding:
    """Something to mend: the file, what is wrong there, and the remedy."""

    file: Path
    what: str
    remedy: str
