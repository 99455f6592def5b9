"""A fork server with root's rights is lost for a judge that is root no more: that is told, and a new judge has one."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from autograder.judge.client import Judge, JudgeError

from .conftest import TWICE, ask
from .test_client import command_of, processes_below

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root has such a fork server")
# Only root can make namespaces: what plain users are refused, this process is too, once it has left root behind.
NO_NAMESPACES_WITHOUT_ROOT = """
import errno
from autograder.judge import descend
from autograder.judge import filter as syscalls
leave_root = descend.leave_root

def leave_root_and_its_namespaces(course, awaits):
    leave_root(course, awaits)
    _, column = syscalls.machine()
    unshare = syscalls.numbers(syscalls.DENIED, column)["unshare"]
    rules = syscalls.no_new_namespaces(syscalls.numbers(syscalls.CONDITIONAL, column))
    syscalls.install(syscalls.assemble([syscalls.always(unshare, errno.EPERM), rules]))

descend._makes_namespaces = lambda: False
descend.leave_root = leave_root_and_its_namespaces
"""


def servers_of(judge: Judge) -> list[int]:
    service = judge._child._process.pid  # type: ignore[union-attr]
    return [pid for pid in processes_below(service) if b"zygote" in command_of(pid)]


def test_a_judge_without_its_fork_server_says_what_to_do_and_the_next_question_gets_a_new_one(
    toy_course: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "sitecustomize.py").write_text(NO_NAMESPACES_WITHOUT_ROOT)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with Judge(course=toy_course) as judge:
        assert judge.rung == "namespaces"
        assert ["fork server keeps root's rights" in remark.en for remark in judge.remarks] == [True]
        assert ask(judge, TWICE).passed
        service = judge._child._process.pid  # type: ignore[union-attr]
        for pid in servers_of(judge):
            os.kill(pid, signal.SIGKILL)
        with pytest.raises(JudgeError, match=r"fork server ended, .*\(namespaces: .*Ask again: that starts a new"):
            ask(judge, TWICE)
        assert ask(judge, TWICE).passed
        assert judge.rung == "namespaces"
        assert judge._child._process.pid != service  # type: ignore[union-attr]
        assert servers_of(judge)
