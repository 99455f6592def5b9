"""An answer computes in its own process: it starts no program, in which nothing would be switched off or watched."""

from __future__ import annotations

import ast
import errno
import importlib.metadata
import importlib.util
import os
import platform
import re
from pathlib import Path

import numpy
import pytest
import torch

from autograder.judge import filter as syscalls
from autograder.judge.verdict import Kind
from autograder.judge.worker import LIBRARIES

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


LOADED = {
    "as a module": "importlib.util.module_from_spec(importlib.util.spec_from_file_location('_json', place))",
    "into memory": "mmap.mmap(os.open(place, os.O_RDONLY), 4096, mmap.MAP_PRIVATE, mmap.PROT_READ | mmap.PROT_EXEC)",
}


@pytest.mark.parametrize("way", LOADED)
def test_no_code_is_loaded_from_where_an_answer_may_write(judges, way: str) -> None:
    look = (
        "place = '/tmp/_json.so'\nwith open(_json.__file__, 'rb') as file: code = file.read()\n"
        f"with open(place, 'wb') as file: file.write(code)\n{LOADED[way]}"
    )
    verdict = ask(judges("namespaces"), answer(look, "import _json, importlib.util, mmap, os\n"))
    assert (verdict.kind, verdict.points) == (Kind.RAISED, 0.0)
    assert "not allowed here" in verdict.headline.en + verdict.error


@pytest.mark.parametrize("rung", ["namespaces", "landlock", "child"])
def test_no_module_in_c_is_loaded_but_pythons_own_torchs_and_numpys(judges, rung: str) -> None:
    """Such a module opens libraries itself, and Python does not hear of it: cffi's does."""
    backend = importlib.util.find_spec("_cffi_backend")
    assert backend, "the attack needs it installed"
    look = f"module_from_spec(spec_from_file_location('numpy.random.cffi', {backend.origin!r}))"
    verdict = ask(judges(rung), answer(look, "from importlib.util import *\n"))
    assert (verdict.kind, verdict.points) == (Kind.RAISED, 0.0)
    assert "ImportError: opening libraries is not allowed here" in verdict.error


@pytest.mark.parametrize("rung", ["namespaces", "landlock", "bubblewrap", "child"])
@pytest.mark.parametrize("library", ["cffi", "_cffi_backend", "memory_efficient_attention_pytorch"])
def test_libraries_that_are_installed_but_not_the_courses_are_not_there(judges, library: str, rung: str) -> None:
    assert importlib.util.find_spec(library), "the attack needs it installed"
    verdict = ask(judges(rung), answer(f"__import__({library[:3]!r} + {library[3:]!r})"))
    assert (verdict.kind, verdict.points) == (Kind.RAISED, 0.0)
    assert f"ModuleNotFoundError: No module named '{library}'" in verdict.error
    assert "PyTorch, NumPy" in verdict.headline.en
    assert "NumPy" in verdict.headline.zh


@pytest.mark.parametrize("rung", ["namespaces", "landlock", "bubblewrap"])
def test_of_all_that_is_installed_only_what_the_course_needs_can_be_read(judges, rung: str) -> None:
    """Asks for the files and not for the modules, for a module can be read by hand."""
    (packages,) = {str(Path(module.__file__).parents[1]) for module in (torch, numpy)}
    installed = [path for path in Path(packages).iterdir() if path.suffix in (".so", ".py") or path.is_dir()]
    files = [file for path in installed for file in (sorted(path.glob("*.py"))[:1] if path.is_dir() else [path])]
    look = (
        "def read(path):\n    try:\n        return bool(open(path, 'rb').read(1))\n"
        "    except OSError:\n        return False\n"
        f"print([path for path in {[str(file) for file in files]!r} if read(path)])\nreturn {RIGHT}"
    )
    verdict = ask(judges(rung), answer(look))
    assert verdict.passed, verdict
    seen = {Path(path).relative_to(packages).parts[0] for path in ast.literal_eval(verdict.printed.splitlines()[0])}
    assert {"torch", "numpy"} <= seen <= LIBRARIES


def test_all_that_torch_asks_for_is_among_what_an_answer_has() -> None:
    needed = {re.split(r"[^\w-]", text)[0] for text in importlib.metadata.requires("torch") if "extra ==" not in text}
    names = {name.replace("-", "_") for name in needed if importlib.util.find_spec(name.replace("-", "_"))}
    assert "sympy" in names
    assert names <= {name.removesuffix(".py") for name in LIBRARIES}


def test_what_torch_loads_only_where_it_is_used_is_found(judges) -> None:
    """The last one builds with setuptools; a learner who times things takes it along."""
    look = "import torch.fx.experimental.symbolic_shapes, torch.func, torch.testing, torch.utils.benchmark"
    verdict = ask(judges("namespaces"), answer(f"{look}\nreturn {RIGHT}"))
    assert verdict.passed, verdict


def test_libraries_that_ask_a_program_first_find_their_way_without(judges) -> None:
    look = (
        "import ctypes.util, platform\n"
        "print(bool(platform.platform()), platform.processor() is not None, ctypes.util.find_library('c'))"
    )
    verdict = ask(judges("namespaces"), answer(f"{look}\nreturn {RIGHT}"))
    assert verdict.passed, verdict
