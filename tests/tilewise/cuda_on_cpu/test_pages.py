"""The pages about the executor: their code prints what they say, the same in both languages, and no kind is missing."""

from __future__ import annotations

import contextlib
import io
import re
from pathlib import Path

import pytest

from tilewise.cuda_on_cpu import FAULT_KINDS

ROOT = Path(__file__).resolve().parents[3]
LANGUAGES = ("en", "zh")


def page(language: str) -> str:
    return (ROOT / "docs" / f"cuda-on-cpu.{language}.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(r"^```python\n(.*?)^```$", page(language), flags=re.MULTILINE | re.DOTALL)


def test_every_block_prints_what_stands_beside_it(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(cache))
    names: dict[str, object] = {}
    for block in blocks("en"):
        promised = re.findall(r"^\s*print\(.*\)  # (.*)$", block, flags=re.MULTILINE)
        with contextlib.redirect_stdout(io.StringIO()) as printed:
            exec(block, names)
        assert printed.getvalue().splitlines() == promised


def test_both_languages_show_the_same_code() -> None:
    assert blocks("en") == blocks("zh")
    assert len(blocks("en")) == 3


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_kind_of_fault_is_in_the_table(language: str) -> None:
    rows = [line for line in page(language).splitlines() if line.startswith("| ")]
    assert set(FAULT_KINDS) <= set(re.findall(r"`(\w+)`", "\n".join(rows)))
