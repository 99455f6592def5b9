"""The system-call filter: read by a small machine of our own for each architecture, and tried on this kernel."""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import signal
import socket
import struct
from collections.abc import Callable
from pathlib import Path

import pytest

from autograder.judge import filter as syscalls
from autograder.judge.launchers import launcher
from autograder.judge.rungs import Rung, SandboxError

from .forks import in_a_fork

OWN = 4321
TABLES = (
    syscalls.DENIED, syscalls.STARTING_PROGRAMS, syscalls.DENIED_WITHOUT_NAMESPACES, syscalls.CONDITIONAL
)  # fmt: skip
NEW_USER, NEW_NETWORK = 0x10000000, 0x40000000
libc = ctypes.CDLL(None, use_errno=True)


def answer_of(program: bytes, architecture: int, number: int, *arguments: int) -> int | str:
    """Run a filter as the kernel would: "allow", "kill", or the error that the call gets."""
    shown = struct.pack("=IIQ6Q", number, architecture, 0, *arguments, *[0] * (6 - len(arguments)))
    instructions = list(struct.iter_unpack("=HBBI", program))
    at, word = 0, 0
    while True:
        code, if_so, if_not, operand = instructions[at]
        at += 1
        if code == syscalls.LOAD:
            (word,) = struct.unpack_from("=I", shown, operand)
        elif code == syscalls.AND:
            word &= operand
        elif code == syscalls.JUMP_EQUAL:
            at += if_so if word == operand else if_not
        elif code == syscalls.JUMP_GREATER:
            at += if_so if word > operand else if_not
        elif code == syscalls.RETURN:
            named = {syscalls.ALLOW: "allow", syscalls.KILL_PROCESS: "kill"}
            return named.get(operand) or operand & 0xFFFF
        else:
            raise AssertionError(f"an instruction that no filter of ours has: {code:#x}")


@pytest.fixture(params=sorted(syscalls.MACHINES))
def ask(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Callable[..., int | str]:
    """Ask the filter of one architecture about a call by its name; own= asks that for where no namespaces are."""
    monkeypatch.setattr(platform, "machine", lambda: request.param)
    architecture, column = syscalls.machine()
    known = {name: number for table in TABLES for name, number in syscalls.numbers(table, column).items()}

    def ask(name: str | int, *arguments: int, own: int | None = None, architecture: int = architecture) -> int | str:
        number = known[name] if isinstance(name, str) else name
        return answer_of(syscalls.build(own), architecture, number, *arguments)

    ask.known = known  # type: ignore[attr-defined]
    return ask


def test_every_denied_call_is_denied_and_others_are_not(ask) -> None:
    _, column = syscalls.machine()
    for name in syscalls.numbers(syscalls.DENIED, column):
        assert ask(name) == ask(name, own=OWN) == errno.EPERM, name
    for name in syscalls.numbers(syscalls.DENIED_WITHOUT_NAMESPACES, column).keys() - {"socket"}:
        assert (ask(name), ask(name, own=OWN)) == ("allow", errno.EPERM), name
    free = set(range(syscalls.YOUNGEST + 1)) - set(ask.known.values())
    assert {ask(number) for number in free} == {"allow"}


def test_no_program_is_started_unless_that_is_left_to_a_second_filter(ask) -> None:
    machine, column = syscalls.machine()
    for name in syscalls.numbers(syscalls.STARTING_PROGRAMS, column):
        assert ask(name) == ask(name, own=OWN) == errno.EPERM
        assert answer_of(syscalls.build(starts_programs=True), machine, ask.known[name]) == "allow"
        assert answer_of(syscalls.without_programs(), machine, ask.known[name]) == errno.EPERM
    others = set(ask.known.values()) - set(syscalls.numbers(syscalls.STARTING_PROGRAMS, column).values())
    assert {answer_of(syscalls.without_programs(), machine, number) for number in others} == {"allow"}


@pytest.mark.parametrize("own", [None, OWN])
def test_no_process_is_made_in_new_namespaces(ask, own: int | None) -> None:
    assert ask("clone", signal.SIGCHLD, own=own) == "allow"
    for bit in range(32):
        if 1 << bit & syscalls.NAMESPACE_FLAGS:
            assert ask("clone", 1 << bit | signal.SIGCHLD, own=own) == errno.EPERM
    assert ask("clone3", own=own) == errno.ENOSYS


def test_only_local_sockets_are_made_and_without_namespaces_none(ask) -> None:
    assert ask("socket", socket.AF_UNIX) == "allow"
    for family in set(range(64)) - {socket.AF_UNIX}:
        assert ask("socket", family) == errno.EAFNOSUPPORT
    for call in ("socket", "socketpair", "connect", "bind"):
        assert ask(call, socket.AF_UNIX, own=OWN) == errno.EPERM


def test_without_namespaces_a_process_signals_and_steers_itself_alone(ask) -> None:
    for call in ("kill", "tgkill"):
        assert ask(call, OWN, own=OWN) == "allow"
        for other in (0, 1, OWN + 1, 0xFFFFFFFF):
            assert ask(call, other, own=OWN) == errno.EPERM
            assert ask(call, other) == "allow"
    for call in ("prlimit64", "sched_setaffinity"):
        assert ask(call, 0, own=OWN) == ask(call, OWN, own=OWN) == "allow"
        assert ask(call, 1, own=OWN) == errno.EPERM
    owner_of_signals, duplicate = 8, 0
    assert ask("fcntl", 3, owner_of_signals, own=OWN) == errno.EPERM
    assert ask("fcntl", 3, duplicate, own=OWN) == "allow"


def test_without_namespaces_no_opening_empties_a_file_past_landlock(ask) -> None:
    for call, before in (("open", ()), ("openat", (0,))):
        if call not in ask.known:
            continue
        for flags in (os.O_RDONLY, os.O_WRONLY | os.O_TRUNC | os.O_CREAT, os.O_RDWR | os.O_TRUNC, os.O_RDWR):
            assert ask(call, *before, 0, flags, own=OWN) == "allow"
        for flags in (os.O_RDONLY | os.O_TRUNC, syscalls.O_NEITHER | os.O_TRUNC | os.O_CREAT):
            assert ask(call, *before, 0, flags, own=OWN) == errno.EPERM
        assert ask(call, *before, 0, os.O_TMPFILE | os.O_RDWR, own=OWN) == errno.EOPNOTSUPP
    assert ask("openat2", own=OWN) == errno.ENOSYS


def test_requests_to_devices_are_few_without_namespaces(ask) -> None:
    push_back_input, set_file_flags, is_terminal = 0x5412, 0x40086602, 0x5401
    assert ask("ioctl", 0, push_back_input) == errno.EPERM
    assert ask("ioctl", 0, is_terminal) == ask("ioctl", 0, is_terminal, own=OWN) == "allow"
    assert ask("ioctl", 0, set_file_flags, own=OWN) == ask("ioctl", 0, push_back_input, own=OWN) == errno.ENOTTY


def test_a_call_younger_than_the_tables_does_not_exist_and_another_architectures_kills(ask) -> None:
    x32 = 0x40000000
    for number in (syscalls.YOUNGEST + 1, 600, x32, x32 + 101, 0xFFFFFFFF):
        assert ask(number) == errno.ENOSYS
    i386 = 0x40000003
    assert ask(1, architecture=i386) == "kill"


def test_the_numbers_are_those_of_libseccomp() -> None:
    try:
        library = ctypes.CDLL("libseccomp.so.2")
    except OSError as error:
        pytest.skip(f"a machine with libseccomp compares the numbers: {error}")
    for architecture, column in syscalls.MACHINES.values():
        for table in TABLES:
            for name, number in syscalls.numbers(table, column).items():
                found = library.seccomp_syscall_resolve_name_arch(ctypes.c_uint32(architecture), name.encode())
                assert found in (number, -1), name  # -1: younger than this libseccomp


@pytest.mark.parametrize("rung", [Rung.NAMESPACES, Rung.BUBBLEWRAP, Rung.LANDLOCK])
def test_a_machine_without_tables_is_refused_and_never_left_without_a_filter(
    rung: Rung, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(platform, "machine", lambda: "riscv64")
    with pytest.raises(SandboxError, match="x86_64 and aarch64, not for riscv64"):
        launcher(rung, tmp_path)


def refused(number: int, *arguments: int) -> int:
    """Make a call that must fail, and give its error."""
    assert libc.syscall(number, *arguments) == -1
    return ctypes.get_errno()


def test_this_kernel_keeps_to_the_filter() -> None:
    _, column = syscalls.machine()
    known = syscalls.numbers(syscalls.CONDITIONAL, column) | syscalls.numbers(syscalls.DENIED, column)

    def filtered() -> dict[str, int]:
        syscalls.install(syscalls.build())
        local, other = socket.socketpair()
        local.close()
        other.close()
        return {
            "unshare": refused(known["unshare"], NEW_USER),
            "clone": refused(known["clone"], NEW_USER | NEW_NETWORK | signal.SIGCHLD, 0, 0, 0, 0),
            "ptrace": refused(known["ptrace"], 0, 0, 0, 0),
            "internet": refused(known["socket"], socket.AF_INET, socket.SOCK_STREAM, 0),
            "young": refused(syscalls.YOUNGEST + 1, 0, 0, 0, 0, 0, 0),
        }

    assert in_a_fork(filtered) == {
        "unshare": errno.EPERM,
        "clone": errno.EPERM,
        "ptrace": errno.EPERM,
        "internet": errno.EAFNOSUPPORT,
        "young": errno.ENOSYS,
    }


def test_what_namespaces_would_keep_apart_the_stricter_filter_does(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("kept")
    parent = os.getpid()

    def error_of(action: Callable[[], object]) -> int | None:
        try:
            action()
        except OSError as error:
            return error.errno
        return None

    def filtered() -> list[int | None]:
        os.setsid()
        syscalls.install(syscalls.build(own=os.getpid()))
        os.kill(os.getpid(), 0)
        signal.raise_signal(signal.SIGCHLD)
        attempts = [
            lambda: os.kill(parent, 0),
            lambda: os.kill(-1, 0),
            lambda: os.sched_setaffinity(parent, {0}),
            lambda: os.setpriority(os.PRIO_PROCESS, parent, 5),
            lambda: os.chmod(file, 0o600),
            lambda: os.utime(file, (1, 1)),
            lambda: os.truncate(file, 0),
            lambda: os.open(file, os.O_RDONLY | os.O_TRUNC),
            lambda: os.setxattr(file, "user.note", b"1"),
            lambda: socket.socketpair(),
        ]
        return [error_of(attempt) for attempt in attempts]

    assert in_a_fork(filtered) == [errno.EPERM] * 10
    assert file.read_text() == "kept"
