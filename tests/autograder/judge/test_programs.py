"""An answer computes in its own process: it starts no program, in which nothing would be switched off or watched."""

from __future__ import annotations

import errno
import os
import platform
from pathlib import Path

import pytest

from autograder.judge import filter as syscalls
from autograder.judge.verdict import Kind

from .conftest import ask
from .test_hostile import RIGHT, answer

ECHO = "/usr/bin/echo"
LOOK = """
def tried(name, action):
    words = ["echo", "started", name]
    if os.fork() == 0:
        try:
            action(words)
        except OSError as error:
            print("refused", error.errno)
        os._exit(0)
    os.wait()

def script(words):
    with open(os.open("script", os.O_CREAT | os.O_WRONLY, 0o700), "w") as file:
        file.write("#!" + ECHO + " started a script,\\n")
    os.execv("./script", words)

def bare(words):
    pointers = ctypes.c_char_p * 4
    libc = ctypes.CDLL(None, use_errno=True)
    libc.syscall(EXECVE, ECHO.encode(), pointers(*[word.encode() for word in words], None), pointers())
    raise OSError(ctypes.get_errno(), "execve")

def myself(words):
    os.execv("/proc/self/exe", ["python", "-I", "-S", "-c", "print('started', __import__('sys').argv[1])", words[2]])

tried("by path", lambda words: os.execv(ECHO, words))
tried("by descriptor", lambda words: os.execve(os.open(ECHO, os.O_RDONLY), words, {}))
tried("a spawn", lambda words: os.waitpid(os.posix_spawn(ECHO, words, {}), 0))
tried("subprocess", lambda words: subprocess.run(words))
tried("a shell", lambda words: subprocess.run(" ".join(words), shell=True))
tried("a script", script)
tried("the loader", lambda words: os.execv(LOADER, [LOADER, ECHO, *words[1:]]))
tried("the bare call", bare)
tried("myself", myself)
"""
LOADER = next(str(path) for path in Path("/").glob("lib*/ld-linux*.so.*"))
TOP = f"import ctypes, os, subprocess\nECHO, LOADER = {ECHO!r}, {LOADER!r}\n"
WAYS = LOOK.count("\ntried(")


def looking_around() -> str:
    _, column = syscalls.machine()
    number = syscalls.numbers(syscalls.STARTING_PROGRAMS, column)["execve"]
    return answer(f"{LOOK}\nreturn {RIGHT}", f"{TOP}EXECVE = {number}\n")


@pytest.mark.parametrize("rung", ["namespaces", "bubblewrap", "landlock"])
def test_no_way_to_start_a_program_is_open(judges, rung: str) -> None:
    verdict = ask(judges(rung), looking_around())
    assert verdict.passed, verdict
    assert "started" not in verdict.printed
    assert verdict.printed.count(f"refused {errno.EPERM}\n") == WAYS


def test_the_ways_lead_somewhere_where_no_filter_stands(judges) -> None:
    if platform.machine() not in syscalls.MACHINES:
        pytest.skip("the numbers of system calls are those of machines with a filter")
    verdict = ask(judges("child"), looking_around())
    assert verdict.passed, verdict
    assert "refused" not in verdict.printed
    assert verdict.printed.count("started") >= WAYS


@pytest.mark.parametrize("rung", ["namespaces", "landlock"])
def test_who_starts_a_program_is_told_that_it_is_not_allowed(judges, rung: str) -> None:
    verdict = ask(judges(rung), answer("import subprocess\nsubprocess.run(['ls'])"))
    assert (verdict.kind, verdict.points) == (Kind.RAISED, 0.0)
    assert "not allowed here, such as to start a program" in verdict.headline.en
    assert "启动程序" in verdict.headline.zh
    assert os.strerror(errno.EPERM) in verdict.error


OPENED = {
    "by name": "ctypes.CDLL('libm.so.6')",
    "by the module beneath": "import _ctypes\n_ctypes.dlopen('libm.so.6', 0)",
    "by the system's own call": "ctypes.CDLL(None).dlopen",
    "C++ by its mangled name": "ctypes.CDLL(None)._ZN2at3cpu8_softmaxERKNS_6TensorElb",
}


@pytest.mark.parametrize("way", OPENED.values(), ids=OPENED)
def test_no_library_is_opened_by_hand(judges, way: str) -> None:
    verdict = ask(judges("namespaces"), answer(way, "import ctypes\n"))
    assert (verdict.kind, verdict.points) == (Kind.RAISED, 0.0)
    assert "opening libraries is not allowed here" in verdict.error


def test_no_code_is_loaded_from_where_an_answer_may_write(judges) -> None:
    look = (
        "import _json, importlib.util\nwith open(_json.__file__, 'rb') as file: code = file.read()\n"
        "with open('/tmp/_json.so', 'wb') as file: file.write(code)\n"
        "importlib.util.module_from_spec(importlib.util.spec_from_file_location('_json', '/tmp/_json.so'))"
    )
    verdict = ask(judges("namespaces"), answer(look))
    assert (verdict.kind, verdict.points) == (Kind.RAISED, 0.0)
    assert "failed to map" in verdict.error


def test_libraries_that_ask_a_program_first_find_their_way_without(judges) -> None:
    look = (
        "import ctypes.util, platform\n"
        "print(bool(platform.platform()), platform.processor() is not None, ctypes.util.find_library('c'))"
    )
    verdict = ask(judges("namespaces"), answer(f"{look}\nreturn {RIGHT}"))
    assert verdict.passed, verdict
