"""Whatever a process that is asked does, there is an answer in time, and the process is gone afterwards."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import pytest

from tests.tilewise_lab.health.looking import fake_package
from tilewise_lab.health import processes, software
from tilewise_lab.health.finding import State
from tilewise_lab.health.processes import Questioner, Unanswered, run


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("import os; os._exit(7)", "exit code 7"),
        ("raise SystemExit('no')", "SystemExit"),
        ("1 / 0", "ZeroDivisionError"),
    ],
)
def test_a_package_that_ends_its_process_is_a_failure(tmp_path: Path, text: str, said: str) -> None:
    fake_package(tmp_path, "torch", text)
    with Questioner("torch", os.environ | {"PYTHONPATH": str(tmp_path)}) as asked:
        finding = software.package("torch", asked)
    assert finding.state is State.FAILS
    assert said in finding.seen.en
    assert said in finding.seen.zh or "退出码 7" in finding.seen.zh


def test_a_package_that_hangs_is_a_failure_and_its_process_is_ended(tmp_path: Path) -> None:
    fake_package(tmp_path, "torch", f"import os, time; open({str(tmp_path / 'pid')!r}, 'w').write(str(os.getpid()))\n"
                 "time.sleep(60)")  # fmt: skip
    with Questioner("torch", os.environ | {"PYTHONPATH": str(tmp_path)}, seconds=3) as asked:
        finding = software.package("torch", asked)
    assert finding.state is State.FAILS
    assert finding.remedy is processes.SLOW_REMEDY
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "pid").read_text()), 0)


@pytest.mark.parametrize("is_a_file", [False, True])
def test_something_else_that_stands_before_nbgrader_is_a_failure(tmp_path: Path, is_a_file: bool) -> None:
    if is_a_file:
        (tmp_path / "nbgrader.py").write_text("")
    else:
        fake_package(tmp_path, "nbgrader", "")
    with Questioner("jupyter", os.environ | {"PYTHONPATH": str(tmp_path)}) as asked:
        finding = software.package("nbgrader", asked)
    assert finding.state is State.FAILS
    assert str(tmp_path) in finding.seen.en


def test_what_a_package_prints_is_not_taken_for_an_answer(tmp_path: Path) -> None:
    fake_package(tmp_path, "torch", 'print(\'{"fact": "interpreter", "value": ""}\')\n__version__ = "9"')
    with Questioner("torch", os.environ | {"PYTHONPATH": str(tmp_path)}) as asked:
        assert asked.fact("torch")["version"] == "9"
        assert software.interpreter(asked).state is State.FAILS


def test_a_program_that_hangs_is_killed_with_what_it_started(tmp_path: Path) -> None:
    script = f"sleep 60 & echo $! > {tmp_path / 'pid'}; wait"
    with pytest.raises(Unanswered) as caught:
        run(["sh", "-c", script], seconds=1)
    assert caught.value.is_late
    deadline = time.monotonic() + 5
    pid = int((tmp_path / "pid").read_text())
    while Path(f"/proc/{pid}/stat").exists() and "Z" not in Path(f"/proc/{pid}/stat").read_text().split()[2]:
        assert time.monotonic() < deadline, "the child of the killed program still runs"
        time.sleep(0.05)


def test_the_questions_are_asked_of_the_same_python(tmp_path: Path) -> None:
    with Questioner("jupyter") as asked:
        assert Path(asked.fact("ipywidgets")["place"]).is_relative_to(sys.prefix)
