"""The judge's parts, one at a time: the probe, the view of the machine, the capture, the lanes."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from autograder.judge import view as view_module
from autograder.judge.capture import HEAD_BYTES, MOST_AHEAD, TAIL_BYTES, Capture
from autograder.judge.checks import Case, Property
from autograder.judge.contracts import lanes
from autograder.judge.drawing import Drawn, Expected
from autograder.judge.launchers import ZygoteLauncher, launcher
from autograder.judge.outcome import End
from autograder.judge.probe import ESCAPES, RungRefused, choose
from autograder.judge.protocol import encode
from autograder.judge.rungs import Rung, SandboxError
from autograder.judge.sandbox import Call, Limits, Sandbox
from autograder.judge.view import view

REPOSITORY = Path(__file__).resolve().parents[3]
MARK, OTHER_MARK = b"\0" + b"1" * 16 + b"\0", b"\0" + b"2" * 16 + b"\0"
ADD = "def add(a, b):\n    return a + b\n"


class Boasting(ZygoteLauncher):
    """A launcher with no walls that claims the best ones."""

    def __init__(self, course: Path) -> None:
        super().__init__(Rung.CHILD, view(course))
        self.rung = Rung.NAMESPACES


def test_the_probe_sees_through_walls_that_are_not_there(tmp_path: Path) -> None:
    with pytest.raises(RungRefused) as refused:
        choose(Rung.NAMESPACES, lambda rung: Boasting(tmp_path))
    # One attempt was enough; and a worker's path leads to packages, but not to a checkout.
    unseen = {"find a file that an earlier call left", "import the reference library"}
    if not os.access(os.path.dirname(os.__file__), os.W_OK):
        unseen.add("write beside Python")
    if not _may_make_namespaces():
        unseen.add("make a namespace of its own")
    assert {escape for escape in ESCAPES if escape not in str(refused.value)} == unseen
    assert not list(Path(os.__file__).parent.glob("tilewise*")), "the probe cleans up after itself"
    assert not list(Path("/tmp").glob("tilewise-probe-*"))


def _may_make_namespaces() -> bool:
    return subprocess.run(["unshare", "--user", "true"], stderr=subprocess.DEVNULL).returncode == 0


def test_the_best_rung_that_holds_is_taken_and_the_others_say_why_not(tmp_path: Path) -> None:
    def make(rung: Rung):
        if rung is not Rung.CHILD:
            raise SandboxError("not on this machine")
        return launcher(rung, tmp_path)

    chosen = choose(None, make)
    try:
        assert chosen.sandbox.rung is Rung.CHILD
        assert chosen.refused == dict.fromkeys([r for r in Rung if r is not Rung.CHILD], "not on this machine")
    finally:
        chosen.sandbox.close()


class Fallen(ZygoteLauncher):
    """A launcher whose fork server is killed while it starts."""

    def __init__(self, course: Path) -> None:
        super().__init__(Rung.CHILD, view(course))
        self.rung = Rung.NAMESPACES
        self._process.kill()


def test_a_fork_server_that_is_killed_is_started_again_and_never_replaced_by_a_lower_rung(tmp_path: Path) -> None:
    asked = []

    def killed_once(rung: Rung):
        asked.append(rung)
        return Fallen(tmp_path) if len(asked) == 1 else launcher(Rung.CHILD, tmp_path)

    chosen = choose(None, killed_once)
    chosen.sandbox.close()
    assert asked == [Rung.NAMESPACES, Rung.NAMESPACES]
    assert chosen.refused == {}
    with pytest.raises(
        RungRefused, match=r"namespaces: .* killed at its start, by signal 9; started again: .*try again"
    ):
        choose(None, lambda rung: Fallen(tmp_path))


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory: pytest.TempPathFactory):
    try:
        chosen = choose(Rung.NAMESPACES, lambda rung: launcher(rung, tmp_path_factory.mktemp("course")))
    except RungRefused as error:
        pytest.skip(f"this machine lacks namespaces: {error}")
    yield chosen.sandbox
    chosen.sandbox.close()


def test_a_worker_answers_many_calls_and_ends_with_its_block(sandbox: Sandbox) -> None:
    with sandbox.worker([ADD, "def add(a, b):\n    return a - b\n"], Limits(5, 400)) as worker:
        for source, expected in ((0, 5.0), (1, -1.0), (0, 5.0)):
            outcome = worker.call(Call(source, "add", (torch.tensor(2.0), 3)))
            assert outcome.end is End.RETURNED
            assert float(outcome.values[0]) == expected


def test_the_meter_counts_what_is_computed_and_not_what_is_moved(sandbox: Sandbox) -> None:
    source = (
        "import torch\ndef moved(x):\n    return torch.cat([x.clone(), torch.zeros(9, 9)[0]]).to(torch.float64)\n"
        "def halves(x):\n    return torch.cat([x[:4].exp(), x[4:].exp()])\n"
        "def whole(x):\n    return torch.softmax(x, 0)\n"
    )
    with sandbox.worker([source], Limits(5, 400)) as worker:
        seen = {name: worker.call(Call(0, name, (torch.ones(8),), meter=True)) for name in ("moved", "halves", "whole")}
        unmetered = worker.call(Call(0, "whole", (torch.ones(8),)))
    assert {name: outcome.largest for name, outcome in seen.items()} == {"moved": 0, "halves": 4, "whole": 8}
    assert "_softmax" in seen["whole"].operators
    assert (unmetered.largest, unmetered.operators) == (0, frozenset())


def test_large_tensors_cross_both_ways(sandbox: Sandbox) -> None:
    big = torch.arange(3_000_000.0)
    with sandbox.worker([ADD], Limits(10, 800)) as worker:
        outcome = worker.call(Call(0, "add", (big, 1.0)))
    assert torch.equal(outcome.values[0], big + 1)


def test_a_view_shows_python_and_torch_and_hides_what_is_ours(tmp_path: Path) -> None:
    seen = view(tmp_path)
    assert any(Path(folder, "torch").is_dir() for folder in seen.packages)
    for shown in seen.shown:
        assert not REPOSITORY.is_relative_to(shown) or str(REPOSITORY) in seen.hidden
    assert not any(Path(path).is_relative_to(REPOSITORY / "course") for path in seen.shown)


def test_a_checkout_below_a_shown_folder_is_covered_and_its_environment_shown_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As with a checkout in /usr/src whose .venv is inside it."""
    checkout = tmp_path / "usr" / "src" / "tilewise"
    packages = checkout / ".venv" / "lib" / "site-packages"
    for folder in (checkout / "course", checkout / "autograder", packages / "torch", packages / "tilewise-1.dist-info"):
        folder.mkdir(parents=True)
    monkeypatch.setattr(view_module, "SYSTEM", (str(tmp_path / "usr"),))
    monkeypatch.setattr(view_module, "PACKAGE", checkout / "autograder")
    monkeypatch.setattr(sys, "path", [str(packages)])
    monkeypatch.setattr(sys, "prefix", str(checkout / ".venv"))
    seen = view(checkout / "course")
    order = seen.from_the_top()
    assert order.index(str(tmp_path / "usr")) < order.index(str(checkout)) < order.index(str(checkout / ".venv"))
    assert str(checkout) in seen.hidden
    assert str(checkout / ".venv") in seen.shown
    assert order.index(str(checkout / ".venv")) < order.index(str(packages)) < order.index(str(packages / "torch"))
    assert str(packages) in seen.hidden
    assert not any(Path(path).name == "tilewise-1.dist-info" for path in seen.shown)


@given(st.lists(st.binary(max_size=60_000), max_size=6))
def test_a_capture_keeps_head_and_tail_within_bounds(chunks: list[bytes]) -> None:
    capture = Capture()
    capture.expect(MARK)
    for chunk in chunks:
        capture.add(chunk)
    text = capture.take()
    assert len(text) <= HEAD_BYTES + TAIL_BYTES + 2000
    assert capture.take() == ""


@given(st.lists(st.sampled_from([b"a", b"\0", MARK[:5], b"long " * 10]), max_size=8), st.integers(1, 40))
def test_output_is_given_to_the_call_that_wrote_it_however_it_is_cut(parts: list[bytes], step: int) -> None:
    capture = Capture()
    capture.expect(MARK)
    written = b"".join(parts)
    stream = written.replace(MARK, b"") + MARK + b"the next call" + OTHER_MARK
    for start in range(0, len(stream), step):
        capture.add(stream[start : start + step])
    first = capture.take()
    capture.expect(OTHER_MARK)
    assert capture.take() == "the next call\n"
    assert "next" not in first
    assert first.count("long") == written.count(b"long")


def test_a_worker_that_prints_far_ahead_is_made_to_wait() -> None:
    capture = Capture()
    capture.expect(MARK)
    capture.add(MARK + bytes(MOST_AHEAD))
    assert not capture.wants_more
    capture.expect(OTHER_MARK)
    assert capture.wants_more


def test_a_capture_says_how_much_it_left_out() -> None:
    capture = Capture()
    capture.expect(MARK)
    for number in range(20_000):
        capture.add(f"{number}\n".encode())
    text = capture.take()
    assert text.startswith("0\n1\n2\n")
    assert text.endswith("19998\n19999\n")
    assert "bytes left out" in text


def drawn(number: int, **arguments: object) -> Drawn:
    return Drawn(number, Property("p", lambda draw: []), Case(**arguments), Expected((), (), True))  # type: ignore[arg-type]


def test_cases_that_share_memory_go_into_different_lanes() -> None:
    row, other = torch.arange(6.0), torch.arange(6.0)
    cases = [drawn(0, x=row, n=1), drawn(1, x=row[2:], n=2), drawn(2, x=other, n=3), drawn(3, x=row.view(2, 3), n=4)]
    found = [[d.number for d in lane] for lane in lanes(cases)]
    assert found == [[0, 2], [1], [3]]


def test_a_reply_to_another_call_is_not_taken(sandbox: Sandbox) -> None:
    source = (
        "import os, sys\ndef early(x):\n    data = bytes.fromhex(DATA)\n"
        "    for fd in range(3, 20):\n        try: os.write(fd, data)\n        except OSError: pass\n    return x\n"
    )
    forged = encode({"call": "0" * 16, "outcome": "returned", "single": True}, [torch.ones(1)])
    with sandbox.worker([f"DATA = {forged.hex()!r}\n{source}"], Limits(5, 400)) as worker:
        outcome = worker.call(Call(0, "early", (torch.ones(1),)))
    assert (outcome.end, outcome.detail) == (End.GARBLED, "the reply answers another call")
