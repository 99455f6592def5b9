"""The benchmark of the CPU executor compiles and runs every rung, and ends with 1 where a bar is missed."""

from __future__ import annotations

import pytest

from benchmarks import cuda_on_cpu
from benchmarks.figures import Bar
from tilewise.cuda_on_cpu import NoCompiler, find_compiler


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    try:
        find_compiler()
    except NoCompiler as reason:
        pytest.skip(str(reason))
    monkeypatch.setattr(cuda_on_cpu, "PLAIN_N", 32)
    monkeypatch.setattr(cuda_on_cpu, "CHECKED_N", 32)


def test_every_rung_is_compiled_and_run_both_ways(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("PLAIN", "CHECKED", "COMPILED"):
        unbounded = {"PLAIN": dict.fromkeys(cuda_on_cpu.RUNGS, ()), "CHECKED": (), "COMPILED": Bar(1e9)}[name]
        monkeypatch.setattr(cuda_on_cpu, name, unbounded)
    assert cuda_on_cpu.main(["--rounds", "2"]) == 0
    rows = [line.split(" | ")[0].removeprefix("| ") for line in capsys.readouterr().out.splitlines()]
    for rung in ("thread", "warp", "tiled"):
        assert rows.count(rung) == 2
        assert f"{rung}_forward.cu, checked" in rows


def test_a_missed_bar_is_named(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(cuda_on_cpu, "CHECKED", (Bar(0.0),))
    assert cuda_on_cpu.main(["--rounds", "2"]) == 1
    assert "The forward pass, checked: tiled" in capsys.readouterr().out
