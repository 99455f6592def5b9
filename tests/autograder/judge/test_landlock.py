"""Landlock: the rung for where nobody may make namespaces. What it keeps apart, and what it says that it does not."""

from __future__ import annotations

import errno
import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from autograder.judge import filter as syscalls
from autograder.judge import landlock
from autograder.judge.client import Judge
from autograder.judge.launchers import TEMPORARY_BYTES, launcher
from autograder.judge.rungs import Rung, SandboxError
from autograder.judge.verdict import Kind

from .conftest import TOTAL, TWICE, ask
from .forks import in_a_fork
from .test_hostile import RIGHT, answer, named, spied

REPOSITORY = Path(__file__).resolve().parents[3]
SYSTEM = ["/usr", "/lib", "/lib64", "/bin", "/etc/ld.so.cache"]


@pytest.fixture(scope="module")
def known() -> int:
    try:
        return landlock.version()
    except OSError as error:
        pytest.skip(f"needs a kernel with Landlock: {error}")


@pytest.fixture
def confined(judges: Callable[[str], Judge]) -> Judge:
    return judges("landlock")


def confine(folder: Path, version: int) -> None:
    landlock.confine([path for path in SYSTEM if os.path.lexists(path)], str(folder), version)


def error_of(action: Callable[[], object]) -> int | None:
    try:
        action()
    except OSError as error:
        return error.errno
    return None


def versions() -> list[int]:
    """The versions of Landlock that can be tried here, and 1, which skips where there is none."""
    try:
        return list(range(1, landlock.version() + 1))
    except OSError:
        return [1]


@pytest.mark.parametrize("version", versions())
def test_every_version_keeps_files_apart(version: int, known: int, tmp_path: Path) -> None:
    own, other = tmp_path / "own", tmp_path / "other"
    own.mkdir()
    other.mkdir()
    secret = other / "secret"
    secret.write_text("kept")

    def look() -> list[int | None]:
        os.setsid()
        confine(own, version)
        syscalls.install(syscalls.build(own=os.getpid()))
        (own / "note").write_text("mine")
        assert (own / "note").read_text() == "mine"
        assert os.listdir("/usr")
        assert Path("/proc/self/statm").read_text()
        Path("/dev/null").write_text("away")
        attempts = [
            lambda: secret.read_text(),
            lambda: secret.write_text("changed"),
            lambda: os.listdir(other),
            lambda: (other / "new").write_text(""),
            lambda: os.truncate(secret, 0),
            lambda: os.open(secret, os.O_RDONLY | os.O_TRUNC),
            lambda: os.open(secret, syscalls.O_NEITHER | os.O_TRUNC),
            lambda: os.utime(secret),
            lambda: os.rename(secret, own / "taken"),
            lambda: os.link(secret, own / "taken"),
            lambda: os.unlink(secret),
            lambda: Path(f"/proc/{os.getppid()}/environ").read_bytes(),
            lambda: os.listdir("/proc"),
            lambda: os.unlink(own / "note"),
            lambda: (own / "deeper").mkdir(),
            lambda: os.mkfifo(own / "pipe"),
        ]
        return [error_of(attempt) for attempt in attempts]

    errors = in_a_fork(look)
    assert None not in errors, errors
    assert set(errors) <= {errno.EACCES, errno.EPERM, errno.EXDEV}
    assert secret.read_text() == "kept"
    assert os.listdir(other) == ["secret"]


def test_each_version_is_asked_for_what_it_knows_and_no_more() -> None:
    def asked(version: int) -> tuple[int, int, int]:
        rules = landlock.ruleset(version)
        return rules.files, rules.network, rules.scopes

    assert asked(1) == (0x1FFF, 0, 0)
    assert asked(2) == (0x3FFF, 0, 0)
    assert asked(3) == (0x7FFF, 0, 0)
    assert asked(4) == (0x7FFF, 3, 0)
    assert asked(5) == (0xFFFF, 3, 0)
    assert asked(6) == asked(7) == asked(99) == (0xFFFF, 3, 3)


@pytest.mark.parametrize(
    ("number", "said"),
    [(errno.ENOSYS, "older than Linux 5.13"), (errno.EOPNOTSUPP, "lsm="), (errno.EPERM, "seccomp profile")],
)
def test_a_kernel_without_landlock_is_refused_with_what_to_do(
    number: int, said: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def refuse(*_: object) -> int:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(landlock, "_call", refuse)
    with pytest.raises(SandboxError, match=said):
        launcher(Rung.LANDLOCK, tmp_path)


def test_a_folder_that_holds_something_hidden_is_allowed_piece_by_piece(tmp_path: Path) -> None:
    packages = tmp_path / "lib" / "packages"
    for name in ("torch", "tilewise", "numpy"):
        (packages / name).mkdir(parents=True)
    (packages / "one.py").write_text("")
    (packages / "shortcut").symlink_to(packages / "tilewise")
    (tmp_path / "bin").mkdir()
    inside = packages / "tilewise" / "environment"
    inside.mkdir()
    allowed = landlock.readable([str(tmp_path), str(inside)], [str(packages / "tilewise"), "/elsewhere"])
    expected = {tmp_path / "bin", packages / "torch", packages / "numpy", packages / "one.py", inside}
    assert set(allowed) == {str(path) for path in expected}
    assert len(allowed) == len(set(allowed))


def test_a_change_beside_python_leaves_its_modules_to_be_found(confined: Judge) -> None:
    """Its folder cannot be listed behind Landlock, where libraries are installed in it: those are hidden."""
    folder = Path(os.__file__).parent
    if not os.access(folder, os.W_OK):
        pytest.skip("Python's folder is another user's")
    assert ask(confined, TWICE).passed
    before = folder.stat()
    try:
        os.utime(folder, ns=(before.st_atime_ns, before.st_mtime_ns + 1))
        assert ask(confined, f"import decimal, xml.dom.minidom\n{TWICE}").passed
    finally:
        os.utime(folder, ns=(before.st_atime_ns, before.st_mtime_ns))


def test_honest_answers_pass_and_wrong_ones_are_named(confined: Judge) -> None:
    assert ask(confined, TWICE).passed
    wrong = ask(confined, "def twice(x, shift):\n    return x * x + shift\n")
    assert (wrong.kind, wrong.mistake, wrong.rung) == (Kind.WRONG, "squared", "landlock")
    imports = "import dataclasses, decimal, numpy, statistics, tempfile, xml.dom.minidom\n"
    notes = "with open('note', 'w') as file: file.write('a')\n    assert open('note').read() == 'a'"
    assert ask(confined, f"{imports}def twice(x, shift):\n    {notes}\n    return {RIGHT}\n").passed


def test_a_state_contract_is_not_proven_for_two_calls_may_share_something(confined: Judge) -> None:
    verdict = ask(confined, TOTAL, exercise="toy.total")
    assert (verdict.kind, verdict.points) == (Kind.NOT_PROVEN, 0.0)
    assert not Rung.LANDLOCK.separates_calls
    assert Rung.LANDLOCK.isolates


def test_neither_course_nor_judge_nor_environment_can_be_read(confined: Judge, toy_course: Path) -> None:
    files = [
        str(REPOSITORY / "autograder" / "judge" / "probe.py"),
        str(toy_course / "01_toy" / "twice" / "solution.py"),
        str(REPOSITORY / "course" / "course.toml"),
        "/etc/passwd",
        *(f"/proc/{pid}/environ" for pid in (1, os.getpid())),
    ]
    folders = [str(REPOSITORY), str(toy_course), str(Path.home()), "/tmp", "/proc", "/etc"]
    look = (
        f"for path in {files!r}:\n    try: print('read', path, open(path).read(9))\n    except OSError: pass\n"
        f"for path in {folders!r}:\n    try: print('listed', path, os.listdir(path))\n    except OSError: pass\n"
        "print(dict(os.environ))"
    )
    printed = spied(confined, look).printed
    assert "read" not in printed
    assert "listed" not in printed
    assert str(Path.home()) not in printed


def test_nothing_of_this_machine_can_be_reached(confined: Judge, tmp_path: Path) -> None:
    local = str(tmp_path / "listening")
    with socket.create_server(("127.0.0.1", 0)) as server, socket.socket(socket.AF_UNIX) as wire:
        wire.bind(local)
        wire.listen()
        look = (
            "import socket\n"
            f"for family, address in ((2, {server.getsockname()!r}), (1, {local!r})):\n"
            "    try:\n        socket.socket(family).connect(address)\n        print('reached', family)\n"
            "    except OSError as error: print('refused', error.errno)\n"
            f"for pid in (1, os.getppid(), {os.getpid()}):\n"
            "    try:\n        os.kill(pid, 0)\n        print('reached', pid)\n"
            "    except OSError: pass"
        )
        printed = spied(confined, look).printed
    assert printed.count(f"refused {errno.EPERM}") == 2
    assert "reached" not in printed


def test_a_worker_has_no_rights_and_carries_the_filter(confined: Judge) -> None:
    look = (
        "for line in open('/proc/self/status'):\n"
        "    if line.startswith(('CapEff', 'CapPrm', 'NoNewPrivs', 'Seccomp:')): print(*line.split())\n"
        "import ctypes\nprint('unshare', ctypes.CDLL(None).unshare(0x10000000))"
    )
    printed = spied(confined, look).printed
    for line in ("CapEff: 0000000000000000", "CapPrm: 0000000000000000", "NoNewPrivs: 1", "Seccomp: 2", "unshare -1"):
        assert line in printed


def test_a_folder_that_grows_too_heavy_ends_the_answer_and_is_gone(confined: Judge) -> None:
    fill = (
        "print(os.getcwd())\nfor number in range(10_000):\n"
        "    with open(f'part{number}', 'wb') as file: file.write(bytes(8 << 20))\n"
        f"return {RIGHT}"
    )
    verdict = ask(confined, answer(fill))
    assert (verdict.kind, verdict.points) == (Kind.RAISED, 0.0)
    folder = Path(verdict.printed.split()[0])
    assert folder.name.startswith("tilewise-")
    assert not folder.exists()
    assert TEMPORARY_BYTES < 10_000 * (8 << 20)


def test_who_keeps_forking_away_is_caught_at_one_stroke(confined: Judge) -> None:
    """Each process lives for one fork only: to find it and kill it comes too late, but its group cannot be left."""
    body = (
        "import ctypes, time\nctypes.CDLL(None).prctl(15, b'tw-comet', 0, 0, 0)\n"
        "left = 0\n"
        "for leave in (os.setsid, lambda: os.setpgid(0, 0)):\n"
        "    try:\n        leave()\n        left += 1\n    except OSError: pass\n"
        "print('left', left)\n"
        "CALLS.append(1)\n"  # only the first sets one off, for what has ended takes room until all of it is gone
        "if len(CALLS) == 1 and os.fork() == 0:\n    end = time.monotonic() + 60\n"
        "    try:\n        while time.monotonic() < end:\n            if os.fork(): os._exit(0)\n"
        "    finally: os._exit(0)\n"
        f"time.sleep(0.1)\nreturn {RIGHT}"
    )
    verdict = ask(confined, answer(body, "import os\nCALLS = []\n"))
    assert verdict.passed, verdict
    assert "left 0" in verdict.printed
    assert named("tw-comet") == []


NO_NAMESPACES = """
import errno, json, pathlib, sys
from autograder.judge import filter as syscalls
from autograder.judge.client import Judge
_, column = syscalls.machine()
denied = syscalls.numbers(syscalls.DENIED, column)
rules = [syscalls.always(denied[name], errno.EPERM) for name in ("unshare", "setns")]
some = syscalls.numbers(syscalls.CONDITIONAL, column)
syscalls.install(syscalls.assemble([*rules, syscalls.no_new_namespaces(some)]))
with Judge(course=pathlib.Path(sys.argv[1])) as judge:
    kind = judge.verdict("toy.twice", sys.argv[2]).kind
    print(json.dumps([judge.rung, judge.refused, kind]))
"""


def test_where_namespaces_are_refused_landlock_holds_and_says_why(known: int, toy_course: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", NO_NAMESPACES, str(toy_course), TWICE],
        env=os.environ | {"PYTHONPATH": f"{REPOSITORY}:{REPOSITORY / 'src'}"},
        capture_output=True,
        text=True,
    )
    rung, refused, kind = json.loads(done.stdout)
    assert (rung, kind) == ("landlock", "OK"), done.stderr
    assert set(refused) == {"namespaces", "bubblewrap"}
    assert "not permitted" in refused["namespaces"]
