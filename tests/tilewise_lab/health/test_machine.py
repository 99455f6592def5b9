"""The machine: what is missing or broken on it is a failure, and what it need not have is none."""

from __future__ import annotations

import shutil
import socket
from pathlib import Path

import pytest

from tilewise_lab import doctor
from tilewise_lab.health import machine
from tilewise_lab.health.finding import Examination, Need, State, same, works


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
