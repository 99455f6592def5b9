"""`tilewise doctor`: environments broken on purpose must show as broken, with a remedy, in both languages, in time."""

from __future__ import annotations

import io
import os
import re
import shutil
import socket
import subprocess
import sys
import sysconfig
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from autograder.course.model import Text
from autograder.judge.rungs import Rung
from tilewise_lab import doctor
from tilewise_lab.health import course, machine, processes, software
from tilewise_lab.health.finding import Examination, Finding, Need, State, absent, fails, same, works
from tilewise_lab.health.processes import Questioner, Unanswered, run

COMMAND = Path(sysconfig.get_path("scripts")) / "tilewise"
PROMISED_SECONDS = 15


class Answers:
    """Stands for a process that was asked: gives the facts that it is made of, raises those that are failures."""

    def __init__(self, **facts: Any) -> None:
        self._facts = facts

    def fact(self, name: str) -> Any:
        if isinstance(told := self._facts[name], Exception):
            raise told
        return told


def broken(reason: str) -> Unanswered:
    return Unanswered(same(reason))


def fake_package(folder: Path, name: str, text: str) -> None:
    (folder / name).mkdir(parents=True)
    (folder / name / "__init__.py").write_text(text)


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


def line_of(output: str, title: str) -> str:
    """Find the table's line about one thing; the mark stands first in it."""
    found = re.search(rf"^ +[✓✗!–] +{re.escape(title)} .*", output, re.MULTILINE)
    assert found is not None, output
    return found[0]


def look(*findings: tuple[Need, Finding], language: str = "en") -> tuple[bool, str]:
    """Report findings as the command would; give its verdict and what it printed."""
    screen = io.StringIO()
    todo = [Examination(same(f"thing {n}"), need, lambda: works(same("-"))) for n, (need, _) in enumerate(findings)]
    console = Console(file=screen, width=200)
    return doctor.report(console, todo, [finding for _, finding in findings], language), screen.getvalue()


# The whole command


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
        ("评判程序与沙箱", "评判程序无法启动"),
        ("笔记本", "/none"),
    ):
        line = line_of(output, title)
        assert line.split()[0] == "✗", line
        assert found in line
        assert f"\n✗ {title}: 学习本课程必需\n" in output
    assert line_of(output, "C++ 编译器").split()[0] == "!"
    assert "apt-get install g++" in output
    assert 'pip install "anywidget==' in output


# Weighing


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


# Examinations that go wrong themselves


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


# Software


@pytest.mark.parametrize("version", ["0.1", "9!1", "unknown", "2.13.1"])
def test_another_version_than_the_tested_one_is_a_failure(version: str) -> None:
    finding = software.package("torch", Answers(torch={"version": version, "place": "/somewhere"}))
    assert finding.state is State.FAILS
    for text in (finding.seen.en, finding.seen.zh):
        assert version in text
        assert "/somewhere" in text
    assert finding.remedy is not None
    assert 'pip install "torch==' in finding.remedy.en


def test_the_tested_version_passes_whatever_it_is_built_for() -> None:
    (pin,) = software.requirements()["torch"].specifier
    for build in ("", "+cpu", "+cu130"):
        finding = software.package("torch", Answers(torch={"version": pin.version + build, "place": "/x"}))
        assert finding.state is State.WORKS


def test_a_missing_package_among_the_others_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    real = software.metadata.version

    def version(name: str) -> str:
        if name == "nbclient":
            raise software.metadata.PackageNotFoundError(name)
        return "0.1" if name == "rich" else real(name)

    monkeypatch.setattr(software.metadata, "version", version)
    finding = software.other_packages()
    assert finding.state is State.FAILS
    assert "nbclient is missing" in finding.seen.en
    assert "rich 0.1" in finding.seen.en
    assert finding.remedy is not None
    assert "nbclient" in finding.remedy.zh


def test_a_gpu_counts_only_when_it_computed_something_right() -> None:
    told = {"built_for": "13.0", "name": "Some GPU", "gib": 80.0, "right": True}
    assert software.gpu(Answers(gpu=told)).state is State.WORKS
    assert software.gpu(Answers(gpu=told | {"right": False})).state is State.FAILS
    assert software.gpu(Answers(gpu=told | {"name": "", "right": False})).state is State.ABSENT


def test_a_torch_without_cuda_is_not_told_as_a_machine_without_a_gpu() -> None:
    told = {"built_for": "", "name": "", "gib": 0.0, "right": False}
    assert "none tried" in software.gpu(Answers(gpu=told)).seen.en
    assert "none tried" not in software.gpu(Answers(gpu=told | {"built_for": "13.0"})).seen.en


@pytest.mark.parametrize("told", ["row sums: expected 1, got 2", broken("ImportError: no triton")])
def test_wrong_numbers_or_none_from_the_interpreter_are_a_failure(told: object) -> None:
    assert software.interpreter(Answers(interpreter=told)).state is State.FAILS
    assert software.interpreter(Answers(interpreter="")).state is State.WORKS


@pytest.mark.parametrize(("state", "said"), [("missing", "没有安装"), ("incomplete", "不完整"), ("disabled", "被停用")])
def test_a_widget_extension_that_is_not_loaded_is_a_failure(state: str, said: str) -> None:
    finding = software.lab_extensions(Answers(extensions={"anywidget": state, "other": ""}))
    assert finding.state is State.FAILS
    assert said in finding.seen.zh
    assert "other" not in finding.seen.zh


# The machine


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder as the whole PATH."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    monkeypatch.delenv("CXX", raising=False)
    return folder


def write_program(file: Path, script: str) -> None:
    file.write_text(f"#!/bin/sh\n{script}\n")
    file.chmod(0o755)


def test_a_missing_compiler_is_a_failure_and_a_missing_nvcc_is_none(path: Path) -> None:
    assert machine.compiler().state is State.FAILS
    assert machine.cuda_compiler().state is State.ABSENT
    assert machine.chinese_font().state is State.ABSENT


@pytest.mark.parametrize(
    "script",
    [
        "echo 'no headers' >&2; exit 1",
        "exit 0",
        "for last; do :; done; printf '#!/bin/sh\\necho 35' >$last; /bin/chmod +x $last",
    ],
    ids=["fails", "makes nothing", "compiles wrongly"],
)
def test_a_compiler_whose_program_does_not_run_right_is_a_failure(path: Path, script: str) -> None:
    write_program(path / "c++", script)
    (finding,) = doctor.examine([Examination(same("compiler"), Need.LATER, machine.compiler)])
    assert finding.state is State.FAILS
    assert finding.remedy is not None


def test_a_folder_that_cannot_be_written_is_a_failure(tmp_path: Path) -> None:
    (tmp_path / "my").write_text("a file in the folder's place")
    assert machine.writable(tmp_path / "my").state is State.FAILS
    assert machine.writable(Path("/proc/my")).state is State.FAILS
    assert machine.writable(tmp_path / "not" / "there").state is State.WORKS
    assert [file.name for file in tmp_path.iterdir()] == ["my"]


def test_a_full_disk_is_a_failure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert machine.room(tmp_path).state is State.WORKS
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(machine.shutil, "disk_usage", lambda _: usage._replace(free=machine.MIB))
    assert machine.room(tmp_path).state is State.FAILS


def test_a_taken_port_is_passed_over_and_none_left_is_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        taken = server.getsockname()[1]
        monkeypatch.setattr(machine, "FIRST_PORT", taken)
        monkeypatch.setattr(machine, "PORTS", 1)
        assert machine.free_port().state is State.FAILS
    assert machine.free_port() == works(same(str(taken)))


# The course


@pytest.mark.parametrize("rung", list(Rung))
def test_every_rung_is_explained(rung: Rung) -> None:
    finding = course.sandbox(Answers(rung=str(rung)))
    assert finding.seen.en.startswith(f"{rung}: ")
    assert finding.state is (State.WORKS if rung.isolates else State.FAILS)


def test_a_judge_without_a_sandbox_is_a_fault_with_which_the_course_can_be_taken() -> None:
    finding = course.sandbox(Answers(rung="child"))
    assert "no sandbox" in finding.seen.en
    assert "并不是沙箱" in finding.seen.zh
    can_take, output = look((Need.COURSE, finding))
    assert can_take
    assert "bubblewrap" in output


def test_a_judge_that_does_not_start_is_a_fault_with_which_it_cannot() -> None:
    finding = course.sandbox(Answers(rung=broken("JudgeError: out of order")))
    assert "out of order" in finding.seen.en
    assert not look((Need.COURSE, finding))[0]


def test_missing_and_broken_notebooks_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    release = shutil.copytree(course.find_release(), tmp_path / "notebooks")
    monkeypatch.setenv("TILEWISE_NOTEBOOKS", str(release))
    assert course.notebooks().state is State.WORKS
    (release / "zh" / "home.ipynb").unlink()
    (release / "en" / "03_online_softmax" / "online_softmax.ipynb").write_text('{"cells": [')
    finding = course.notebooks()
    assert finding.state is State.FAILS
    assert "zh/home.ipynb" in finding.seen.en
    assert "en/03_online_softmax/online_softmax.ipynb" in finding.seen.zh


@pytest.fixture
def no_class(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Stand in a folder of a machine on which nothing is configured for nbgrader."""
    for name in ("HOME", "JUPYTER_CONFIG_DIR"):
        monkeypatch.setenv(name, str(tmp_path / "home"))
    monkeypatch.setattr(course, "DEFAULT_EXCHANGE", tmp_path / "exchange")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_without_a_class_there_is_no_exchange_to_look_at(no_class: Path) -> None:
    assert course.exchange().state is State.ABSENT


def test_a_configured_exchange_that_is_not_there_is_a_failure(no_class: Path) -> None:
    (no_class / "nbgrader_config.py").write_text(f"get_config().Exchange.root = '{no_class}/gone'")
    finding = course.exchange()
    assert finding.state is State.FAILS
    assert f"{no_class}/gone" in finding.seen.zh


def test_the_exchange_must_be_a_folder_and_only_a_configured_one_is_missed(
    no_class: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = {"root": str(no_class / "exchange"), "is_set": False}

    @contextmanager
    def asked(_group: str) -> Iterator[Answers]:
        yield Answers(exchange=told)

    monkeypatch.setattr(course, "Questioner", asked)
    (no_class / "nbgrader_config.py").write_text("")
    assert course.exchange().state is State.ABSENT
    (no_class / "exchange").mkdir()
    assert course.exchange().state is State.WORKS


def test_the_questions_are_asked_of_the_same_python(tmp_path: Path) -> None:
    with Questioner("jupyter") as asked:
        assert Path(asked.fact("ipywidgets")["place"]).is_relative_to(sys.prefix)
