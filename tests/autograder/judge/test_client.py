"""The judge as a child process: it starts alone, survives what goes wrong, and goes when it is told to."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from autograder.judge import client
from autograder.judge.client import Judge, JudgeError

from .conftest import TWICE, ask


def processes_below(pid: int) -> set[int]:
    """All that descends from a process, as far as /proc tells."""
    parents = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text().rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            continue
        parents[int(path.parent.name)] = int(fields[1])
    found, more = set(), {pid}
    while more:
        found |= more
        more = {child for child, parent in parents.items() if parent in more} - found
    return found - {pid}


def command_of(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return b""


def gone(pids: set[int]) -> bool:
    deadline = time.monotonic() + 20
    while any(Path(f"/proc/{pid}").exists() for pid in pids):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def test_the_client_imports_no_torch() -> None:
    code = "import sys, autograder.judge.client; print('torch' in sys.modules)"
    repository = Path(__file__).resolve().parents[3]
    environment = os.environ | {"PYTHONPATH": f"{repository}:{repository / 'src'}"}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_nothing_of_the_judge_is_left_after_it_is_closed(toy_course: Path) -> None:
    before = processes_below(os.getpid())
    with Judge(course=toy_course) as judge:
        assert ask(judge, TWICE).passed
        started = processes_below(os.getpid()) - before
        assert started, "the judge runs in processes of its own, or this test sees nothing"
    assert gone(started)
    with pytest.raises(JudgeError, match="closed"):
        ask(judge, TWICE)


def test_nothing_is_left_when_the_caller_dies(toy_course: Path) -> None:
    code = (
        "import os, sys, pathlib\nfrom autograder.judge.client import Judge\n"
        f"judge = Judge(course=pathlib.Path({str(toy_course)!r}))\njudge.rung\n"
        "print('up', flush=True)\nsys.stdin.read()"
    )
    repository = Path(__file__).resolve().parents[3]
    environment = os.environ | {"PYTHONPATH": f"{repository}:{repository / 'src'}"}
    caller = subprocess.Popen(
        [sys.executable, "-c", code], env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert caller.stdout is not None
    assert caller.stdin is not None
    assert caller.stdout.readline() == "up\n"
    started = processes_below(caller.pid)
    assert len(started) >= 2
    caller.kill()
    caller.wait()
    caller.stdin.close()
    caller.stdout.close()
    assert gone(started)


def test_several_threads_may_ask_one_judge(walled: Judge) -> None:
    points: list[float] = []
    sources = [TWICE, "def twice(x, shift):\n    return x\n"] * 3

    def one(source: str) -> None:
        points.append(ask(walled, source).points)

    threads = [threading.Thread(target=one, args=(source,)) for source in sources]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(points) == [0.0] * 3 + [3.0] * 3


def test_an_unknown_exercise_lists_what_there_is(walled: Judge) -> None:
    with pytest.raises(JudgeError, match=r"no exercise 'toy\.thrice'.*toy\.four_times, toy\.total, toy\.twice"):
        ask(walled, TWICE, exercise="toy.thrice")
    assert ask(walled, TWICE).passed


@pytest.mark.parametrize("exercise", ["", "toy", "../toy.twice", "toy.../twice", "toy.wrong/../twice"])
def test_an_id_is_no_path(walled: Judge, exercise: str) -> None:
    with pytest.raises(JudgeError, match="no exercise"):
        ask(walled, TWICE, exercise=exercise)


def test_grading_without_a_seed_is_refused(walled: Judge) -> None:
    with pytest.raises(JudgeError, match="needs a seed"):
        walled.verdict("toy.twice", TWICE, grading=True)


def test_checks_draw_fresh_seeds(walled: Judge) -> None:
    wrong = "def twice(x, shift):\n    return 3 * x\n"
    seeds = {walled.verdict("toy.twice", wrong).counterexample.seed for _ in range(3)}  # type: ignore[union-attr]
    assert len(seeds) == 3


def test_a_judge_that_dies_says_so_and_the_next_question_gets_a_new_one(toy_course: Path) -> None:
    with Judge(course=toy_course) as judge:
        assert ask(judge, TWICE).passed
        assert judge._child is not None
        judge._child._process.kill()
        judge._child._process.wait()
        rung = judge.rung
        with pytest.raises(JudgeError, match=r"(?s)process failed.*Ask again"):
            ask(judge, TWICE)
        assert ask(judge, TWICE).passed
        # What held when the work began holds to its end.
        command = command_of(judge._child._process.pid)
        assert command.rstrip(b"\0").split(b"\0")[-1] == rung.encode()


def test_a_fork_server_that_was_killed_is_replaced_by_one_of_the_same_rung(toy_course: Path) -> None:
    with Judge(course=toy_course) as judge:
        rung = judge.rung
        assert ask(judge, TWICE).passed
        assert judge._child is not None
        servers = [pid for pid in processes_below(judge._child._process.pid) if b"zygote" in command_of(pid)]
        assert servers, "this rung has a fork server"
        for pid in servers:
            os.kill(pid, signal.SIGKILL)
        assert ask(judge, TWICE).passed
        assert judge.rung == rung


def test_an_unprivileged_user_gets_the_best_rung_too(toy_course: Path) -> None:
    """Without the right to mount, a user namespace gives it."""
    setpriv = shutil.which("setpriv")
    if os.geteuid() != 0 or setpriv is None:
        pytest.skip("needs root, to give its rights up, and setpriv")
    code = (
        "import pathlib\nfrom autograder.judge.client import Judge\n"
        f"with Judge(course=pathlib.Path({str(toy_course)!r}), rung='namespaces') as judge:\n"
        f"    print(judge.rung, judge.verdict('toy.twice', {TWICE!r}).kind)\n"
    )
    repository = Path(__file__).resolve().parents[3]
    environment = os.environ | {"PYTHONPATH": f"{repository}:{repository / 'src'}"}
    drop = [setpriv, "--inh-caps=-all", "--bounding-set=-sys_admin"]
    done = subprocess.run([*drop, sys.executable, "-c", code], env=environment, capture_output=True, text=True)
    assert done.stdout == "namespaces OK\n", done.stderr


def test_a_torch_beside_the_notebook_is_not_imported(
    toy_course: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "torch.py").write_text("raise SystemExit('the wrong torch')")
    monkeypatch.chdir(tmp_path)
    with Judge(course=toy_course) as judge:
        assert ask(judge, TWICE).passed


def test_why_a_better_rung_is_not_had_can_be_asked(judges) -> None:
    assert judges("child").refused == {}, "it was asked for by name, so nothing better was tried"


def test_a_judge_that_does_not_answer_is_ended(toy_course: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with Judge(course=toy_course) as judge:
        assert judge.rung
        monkeypatch.setattr(client, "VERDICT_SECONDS", 0.2)
        with pytest.raises(JudgeError, match="did not answer in time"):
            ask(judge, "import time\ntime.sleep(30)\n")


def test_an_interrupted_question_does_not_spoil_the_next(walled: Judge) -> None:
    assert walled.rung
    assert walled._child is not None
    real = walled._child._read

    def interrupted(deadline: float) -> dict[str, object]:
        raise KeyboardInterrupt

    walled._child._read = interrupted  # type: ignore[method-assign]
    with pytest.raises(KeyboardInterrupt):
        ask(walled, "def twice(x, shift):\n    return x\n")
    walled._child._read = real  # type: ignore[method-assign]
    assert ask(walled, TWICE).passed


def test_a_rung_that_cannot_be_had_raises_and_is_never_lowered(
    toy_course: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with Judge(course=toy_course, rung="bubblewrap") as judge, pytest.raises(JudgeError, match=r"bwrap.*not installed"):
        ask(judge, TWICE)


def test_an_unknown_rung_is_refused_at_once(toy_course: Path) -> None:
    with pytest.raises(JudgeError, match="rung must be one of"):
        Judge(course=toy_course, rung="magic")


def test_a_broken_check_is_the_authors_fault_and_says_where(toy_course: Path, tmp_path: Path) -> None:
    course = tmp_path / "course"
    shutil.copytree(toy_course, course)
    checks = course / "01_toy" / "twice" / "checks.py"
    text = checks.read_text(encoding="utf-8")
    with Judge(course=course) as judge:
        for broken, said in (
            (text.replace("return 2 * x + shift", "return 1 / 0"), "ZeroDivisionError"),
            (text.replace("def ragged", "def rugged"), "'ragged' stands in only one"),
            (text.replace("    yield Case(x=draw.normal(1, 2), shift=1.0)\n", "    return\n"), "draws no case"),
        ):
            assert broken != text
            checks.write_text(broken, encoding="utf-8")
            with pytest.raises(JudgeError, match=said):
                ask(judge, TWICE)
        checks.write_text(text, encoding="utf-8")
        assert ask(judge, TWICE).passed
        assert not list(course.rglob("__pycache__")), "the judge must not litter the course"


def test_text_of_any_kind_is_judged_and_never_breaks_the_judge(walled: Judge) -> None:
    for source in (
        "\ud800",
        "x = '\u2028'\n" + TWICE,
        "# 中文 🧮\n" + TWICE,
        "(" * 5000,
        "x" * 200_000,
        "y" * 9_000_000,
        "x\0",
    ):
        verdict = ask(walled, source)
        assert verdict.max_points == 3.0
    for source in (
        "-" * 90_000 + "1",
        "a" + ".b" * 50_000,
        "lambda:" * 20_000 + "1",
        "if a: pass\n" + "elif a: pass\n" * 9000,
    ):
        assert ask(walled, source).points == 0
    assert ask(walled, TWICE).passed
