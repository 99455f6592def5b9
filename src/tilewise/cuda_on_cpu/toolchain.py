"""Find a C++ compiler, compile with it once for the same content, and make its complaints readable."""

from __future__ import annotations

import functools
import hashlib
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

INCLUDE = Path(__file__).resolve().parent / "include"
RUNTIME = Path(__file__).resolve().parent / "runtime"
COMPLAINT = re.compile(
    r"^(?P<file>[^\s:][^:\n]*):(?P<line>\d+)(?::\d+)?: (?:fatal )?error: (?P<text>.*)$", re.MULTILINE
)


class NoCompiler(RuntimeError):
    """This machine has no C++ compiler that the executor can use."""


@dataclass(frozen=True)
class Complaint:
    file: str
    line: int
    message: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.message}"


class CompileError(RuntimeError):
    """The compiler refused a source. `complaints`: where and why; `output`: all that the compiler said."""

    SHOWN = 5

    def __init__(self, output: str) -> None:
        self.output = output
        found = [Complaint(m["file"], int(m["line"]), m["text"]) for m in COMPLAINT.finditer(output)]
        self.complaints = list(dict.fromkeys(found))
        shown = "\n".join(str(complaint) for complaint in self.complaints[: self.SHOWN])
        super().__init__(shown or output.strip())


def find_compiler(compiler: str | None = None) -> str:
    """Give the path of the compiler asked for, else of $CXX, g++ or clang++. Raises NoCompiler."""
    wanted = [compiler] if compiler else [os.environ.get("CXX", ""), "g++", "clang++"]
    for name in wanted:
        found = shutil.which(name) if name else None
        if found:
            return found
    names = compiler or "g++ or clang++"
    raise NoCompiler(
        f"running CUDA kernels on a CPU needs {names}, which is not on the PATH; install one (Debian: g++)"
    )


@functools.cache
def _version(compiler: str) -> str:
    return subprocess.run([compiler, "--version"], capture_output=True, text=True, check=True).stdout


def is_clang(compiler: str) -> bool:
    """Say whether a compiler is clang, whatever it is called."""
    return "clang" in _version(compiler)


@functools.cache
def machine_flags() -> tuple[str, ...]:
    """Name an instruction set that this machine has, in words that mean the same on every machine."""
    if os.uname().machine != "x86_64":
        return ()
    try:
        known = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return ()
    found = re.search(r"^flags\s*:(.*)$", known, re.MULTILINE)
    flags = set(found[1].split()) if found else set()
    return ("-march=x86-64-v3",) if {"avx2", "fma", "f16c", "bmi2"} <= flags else ()


def cache_folder() -> Path:
    """Give the folder of compiled programs; it may be deleted at any time."""
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "tilewise" / "cuda_on_cpu"


def content_key(parts: Iterable[str | Path]) -> str:
    """Hash texts and the contents of files."""
    digest = hashlib.sha256()
    for part in parts:
        data = part.read_bytes() if isinstance(part, Path) else part.encode()
        digest.update(len(data).to_bytes(8, "little") + data)
    return digest.hexdigest()[:32]


def own_files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.suffix in {".h", ".cpp"})


def build(
    text: str,
    *,
    compiler: str,
    flags: Sequence[str],
    link: Sequence[str],
    depends: Iterable[Path],
    cache: Path,
    stem: str,
) -> Path:
    """Compile a text to a shared library, or take the one that the cache holds for the same content.

    depends: the files that it includes. Two builds at one time do each other no harm. Raises CompileError, and OSError
    where the cache cannot be written.
    """
    command = [compiler, "-x", "c++", "-std=c++17", "-fPIC", *machine_flags(), *flags]
    key = content_key([text, _version(compiler), *command, *link, *sorted(depends)])
    library = cache / f"{stem}-{key}.so"
    if library.is_file():
        return library
    with _folder_in(cache) as folder:
        unit, compiled, linked = (Path(folder) / name for name in ("unit.cpp", "unit.o", "unit.so"))
        unit.write_text(text, encoding="utf-8")
        # Debugging information names files as this unit does, and not the folder where it happened to be compiled.
        _run([*command, f"-fdebug-prefix-map={folder}=.", "-c", str(unit), "-o", str(compiled)], folder)
        _run([compiler, "-shared", "-o", str(linked), str(compiled), *link], folder)
        os.replace(linked, library)
    return library


def _folder_in(cache: Path) -> tempfile.TemporaryDirectory[str]:
    try:
        cache.mkdir(parents=True, exist_ok=True)
        return tempfile.TemporaryDirectory(dir=cache, prefix="building-")
    except OSError as error:
        raise type(error)(
            f"{cache}, where compiled programs are kept, cannot be written ({error.strerror}); name another folder in "
            "compile(..., cache=folder), or in the environment variable XDG_CACHE_HOME"
        ) from error


def _run(command: list[str], folder: str) -> None:
    # Complaints are parsed, so they must be in English.
    done = subprocess.run(command, capture_output=True, text=True, cwd=folder, env={**os.environ, "LC_ALL": "C"})
    if done.returncode != 0:
        raise CompileError(done.stderr)


def build_runtime(compiler: str, cache: Path, *, fibers: str) -> Path:
    """Compile the runtime, once on a machine. fibers: "switch", or "ucontext" for what other processors use."""
    return build(
        f'#include "{RUNTIME / "runtime.cpp"}"\n',
        compiler=compiler,
        flags=["-O2", *(["-DTW_UCONTEXT"] if fibers == "ucontext" else [])],
        link=["-pthread", "-ldl"],
        depends=[*own_files(RUNTIME), *own_files(INCLUDE)],
        cache=cache,
        stem="runtime",
    )
