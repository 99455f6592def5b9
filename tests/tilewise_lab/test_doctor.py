"""`tilewise doctor`: environments broken on purpose must show as broken, with a remedy, in both languages, in time."""

from __future__ import annotations

import io
import os
import subprocess
import sysconfig
import time
from pathlib import Path

import pytest
from rich.console import Console

from autograder.course.model import Text
from tests.tilewise_lab.health.looking import fake_package, line_of, look
from tilewise_lab import doctor
from tilewise_lab.health import machine
from tilewise_lab.health.finding import Examination, Finding, Need, State, absent, fails, same, works

COMMAND = Path(sysconfig.get_path("scripts")) / "tilewise"
PROMISED_SECONDS = 15


def run_doctor(folder: Path, *arguments: str, **environment: str) -> tuple[int, str]:
    """Run the real command in `folder`; give exit status and output. Fails when it takes longer than promised."""
    started = time.monotonic()
    done = subprocess.run(
        [COMMAND, "doctor", *arguments],
        cwd=folder,
        env=os.environ | {"COLUMNS": "200"} | environment,
        capture_output=True,
        text=True,
        timeout=4 * PROMISED_SECONDS,
    )
    assert time.monotonic() - started < PROMISED_SECONDS, done.stdout
    return done.returncode, done.stdout


def test_a_machine_that_runs_these_tests_can_take_the_course(tmp_path: Path) -> None:
    for _ in range(4):  # other tests run beside this one: a machine too busy to tell is asked again
        status, output = run_doctor(tmp_path)
        if "did not answer" not in output:
            break
    assert status == 0, output
    assert "The course can be taken here." in output
    assert line_of(output, "torch").split()[0] == "✓"
    assert not (tmp_path / "my").exists(), "looking must not leave anything behind"


def test_a_broken_environment_is_told_in_chinese_with_a_remedy_for_each_fault(tmp_path: Path) -> None:
    fake_package(tmp_path / "fakes", "torch", "raise ImportError('half of it is missing')")
    fake_package(tmp_path / "fakes", "anywidget", "__version__ = '0.0.1'")
    empty = tmp_path / "bin"
    empty.mkdir()
    status, output = run_doctor(
        tmp_path,
        "--lang",
        "zh",
        PYTHONPATH=str(tmp_path / "fakes"),
        PATH=str(empty),
        CXX="",
        TILEWISE_NOTEBOOKS="/none",
    )
    assert status == 1
    assert "这台机器还不能学习本课程" in output
    for title, found in (
        ("torch", "half of it is missing"),
        ("anywidget", "0.0.1"),
        ("评测器与沙箱", "评测器无法启动"),
        ("笔记本", "/none"),
    ):
        line = line_of(output, title)
        assert line.split()[0] == "✗", line
        assert found in line
        assert f"\n✗ {title}: 学习本课程必需\n" in output
    assert str(tmp_path / "fakes/torch/__init__.py") in output, "what stands before the package is named"
    assert line_of(output, "C++ 编译器").split()[0] == "!"
    assert "apt-get install g++" in output
    assert 'pip install "anywidget==' in output


@pytest.mark.parametrize(("language", "said"), [("en", "set TMPDIR to a folder of yours"), ("zh", "把 TMPDIR 设为")])
def test_without_a_place_for_temporary_files_that_alone_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, language: str, said: str
) -> None:
    def nowhere() -> str:
        raise FileNotFoundError("No usable temporary directory found")

    monkeypatch.setattr(machine.tempfile, "gettempdir", nowhere)
    screen = io.StringIO()
    assert doctor.doctor(tmp_path / "my", language, Console(file=screen, width=120)) == 1
    assert said in screen.getvalue()


def test_how_many_needed_things_fail_is_said_as_people_say_it() -> None:
    fault = (Need.COURSE, fails(same("broken"), same("mend it")))
    assert "one thing that it needs does not work." in look(fault)[1]
    assert "2 things that it needs do not work." in look(fault, fault)[1]


@pytest.mark.parametrize("need", [Need.LATER, Need.OPTIONAL])
def test_only_what_is_needed_to_take_the_course_decides(need: Need) -> None:
    fault = fails(same("broken"), same("mend it"))
    assert look((need, fault))[0]
    assert not look((Need.COURSE, fault), (need, fault))[0]


@pytest.mark.parametrize("language", ["en", "zh"])
def test_each_fault_is_followed_by_its_remedy_the_most_needed_first(language: str) -> None:
    faults = [(need, fails(same("broken"), Text(en=f"mend {need.name}", zh=f"修 {need.name}"))) for need in Need]
    _, output = look(*reversed(faults), language=language)
    verb = {"en": "mend", "zh": "修"}[language]
    places = [output.index(f"{verb} {need.name}") for need in Need]
    assert places == sorted(places)
    assert all(need.value[language] in output for need in Need)


def test_what_was_not_tried_is_never_marked_as_a_pass() -> None:
    can_take, output = look((Need.COURSE, absent(same("none here"))), (Need.COURSE, works(same("all well"))))
    assert can_take
    assert line_of(output, "thing 0").split()[0] == "–"
    assert line_of(output, "thing 1").split()[0] == "✓"


def test_what_a_machine_says_is_shown_without_its_control_characters_and_markup() -> None:
    _, output = look((Need.COURSE, fails(same("\x1b[2J[red]x[/red]"), same("mend it"))))
    assert "\x1b" not in output
    assert "[red]x[/red]" in output


def test_an_examination_that_crashes_is_a_failure_that_says_so() -> None:
    def crash() -> Finding:
        raise KeyError("no such thing")

    (finding,) = doctor.examine([Examination(same("it"), Need.COURSE, crash)])
    assert finding.state is State.FAILS
    assert "could not be examined: KeyError: 'no such thing'" in finding.seen.en
    assert finding.remedy is not None


def test_an_examination_that_hangs_is_a_failure_and_holds_up_no_other() -> None:
    def hang() -> Finding:
        time.sleep(5)
        return works(same("too late to count"))

    started = time.monotonic()
    slow, quick = doctor.examine(
        [
            Examination(same("slow"), Need.COURSE, hang),
            Examination(same("quick"), Need.COURSE, lambda: works(same("-"))),
        ],
        seconds=0.2,
    )
    assert time.monotonic() - started < 4
    assert slow.state is State.FAILS
    assert "did not answer" in slow.seen.en
    assert "没有回应" in slow.seen.zh
    assert quick.state is State.WORKS
