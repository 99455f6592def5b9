"""The benchmark of the CPU executor runs, and its table says what each figure may be."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks import cuda_on_cpu
from tilewise.cuda_on_cpu import NoCompiler, find_compiler


def test_every_figure_has_a_row(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    try:
        find_compiler()
    except NoCompiler as reason:
        pytest.skip(str(reason))
    monkeypatch.setattr(cuda_on_cpu, "RUNS", (("plain", "thread_per_row", False, 32, 15.0),))
    rows = cuda_on_cpu.measure(1, tmp_path)
    assert len(rows) == 5
    assert rows[-1].startswith("| flash forward float32 N=32 H=4 D=64, plain |")
    assert all(row.count("|") == 4 for row in rows)
