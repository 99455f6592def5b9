"""The library's benchmark measures what it says and names a missed bar; and bounds that no busy machine breaks."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from benchmarks import attention, footprint, library
from benchmarks.attention import contenders, times
from benchmarks.figures import Bar, Figure, Spread, Table, interleaved, ratios
from tests.tilewise.answers import Problem
from tilewise.testing import AttentionCase, compare

# Measured, where nothing else runs, at about 1.1, and in the worst round beside much else at 1.6.
WIDE = 2.0


@pytest.fixture
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize("causal", [False, True])
def test_all_contenders_attend_and_give_the_same_gradients(causal: bool) -> None:
    drawn = Problem.of(AttentionCase("contest", heads=2, n_q=40, n_k=40, causal=causal))
    problem = Problem(drawn.q, drawn.k, drawn.v, drawn.do, None, drawn.options)  # the others' lse has no gradient
    for name, contender in contenders(problem.q, problem.k, problem.v, problem.do, causal).items():
        o = contender.forward()
        got = ((o if isinstance(o, torch.Tensor) else o[0]).detach(), *contender.backward()[:3])
        expected = (problem.expected.o, *problem.expected[2:5])
        plain = (problem.plain.o, *problem.plain[2:5])
        assert all(compare(*three).ok for three in zip(got, expected, plain, strict=True)), name


@pytest.mark.usefixtures("one_thread")
@pytest.mark.parametrize("causal", [False, True])
def test_tiles_keep_up_with_fused_attention_and_leave_the_peer_behind(causal: bool) -> None:
    found = times(1024, causal, rounds=5)
    for name in attention.PASSES:
        for ours in ("torch_fa2", "tilewise.attention"):
            assert min(ratios(found[ours][name], found["fused"][name])) < WIDE, (ours, name)
    both = "forward + backward"
    assert max(ratios(found["the peer"][both], found["tilewise.attention"][both])) > (WIDE if causal else 1.0)


def test_the_interpreter_takes_milliseconds() -> None:
    pytest.importorskip("triton", reason="the package triton exists for Linux only")
    for figure in footprint.interpreter(rounds=3).figures:
        assert figure.value.low < WIDE * figure.bars[0].limit, figure


def test_importing_tilewise_adds_little_to_torch() -> None:
    for figure in footprint.imports(rounds=3).figures:
        assert 0.0 < figure.value.low < WIDE * figure.bars[0].limit, figure


def test_the_bar_of_memory_tells_a_line_from_a_parabola() -> None:
    def growth(backend: str) -> float:
        short, long = (footprint.extra_bytes((1, 1, n, 32), True, backend)["forward"] for n in (1024, 2048))
        return long / short

    assert not all(bar.met(growth("reference")) for bar in footprint.DOUBLES)
    assert footprint.DOUBLES[1].met(growth("torch_fa2"))


def test_every_round_runs_all_one_after_the_other_and_the_first_does_not_count() -> None:
    ran: list[str] = []
    taken = interleaved({"a": lambda: ran.append("a"), "b": lambda: ran.append("b")}, rounds=2)
    assert ran == ["a", "b"] * 3
    assert {name: len(rounds) for name, rounds in taken.items()} == {"a": 2, "b": 2}


def test_a_spread_is_the_median_between_its_quartiles() -> None:
    assert Spread.of([5.0, 1.0, 3.0, 2.0, 4.0]) == Spread(3.0, 2.0, 4.0)
    assert Spread.of([7.0]) == Spread(7.0, 7.0, 7.0)


@pytest.mark.parametrize(
    ("bar", "met", "missed"),
    [
        (Bar(1.25), (1.0, 1.25), (1.26,)),
        (Bar(3.0, at_least=True), (3.0, 4.0), (2.9,)),
        (Bar(1.0, at_least=True, strict=True), (1.1,), (1.0, 0.9)),
    ],
    ids=str,
)
def test_a_bar_is_met_on_its_right_side(bar: Bar, met: tuple[float, ...], missed: tuple[float, ...]) -> None:
    assert [bar.met(value) for value in (*met, *missed)] == [True] * len(met) + [False] * len(missed)


@pytest.mark.parametrize(("value", "status"), [(1.2, 0), (1.3, 1)])
def test_a_missed_bar_is_named_and_no_success(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path, value: float, status: int
) -> None:
    part = {"ours, ms": Spread.of([value]), "theirs, ms": Spread.of([1.0])}
    table = Table("A race", "Over N.", (Figure("N=1", Spread.of([value]), "ours / theirs", (Bar(1.25),), part),))
    monkeypatch.setattr(library, "measured", lambda *arguments: iter([table]))
    monkeypatch.setattr(sys, "argv", ["library", "--only", "memory", "--json", str(tmp_path / "figures.json")])
    for name in library.ONE_THREAD:
        monkeypatch.setenv(name, "1")
    threads = torch.get_num_threads()
    assert library.main() == status
    torch.set_num_threads(threads)
    printed = capsys.readouterr().out
    assert "# The library, measured by `python -m benchmarks.library --only memory`" in printed
    assert f"| N=1 | {value} ({value} to {value}) |" in printed
    assert ("A race: N=1" in printed) is bool(status)
    assert ("Every bar is met" in printed) is not bool(status)
    written = json.loads((tmp_path / "figures.json").read_text(encoding="utf-8"))
    assert written["tables"][0]["figures"][0]["met"] is not bool(status)
    assert {"date", "processor", "threads", "versions", "tilewise", "load at the end"} <= written["machine"].keys()
