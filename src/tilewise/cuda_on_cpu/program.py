"""Compile a kernel file for the CPU, call what is in it, and collect what went wrong and what was moved."""

from __future__ import annotations

import ctypes
import re
import struct
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tilewise.cuda_on_cpu import source as reading
from tilewise.cuda_on_cpu.buffers import Buffer, buffer_of, standing_apart
from tilewise.cuda_on_cpu.elements import SCALARS, check_elements
from tilewise.cuda_on_cpu.lines import lines_of
from tilewise.cuda_on_cpu.report import Counts, CudaFault, Fault, Place, Report
from tilewise.cuda_on_cpu.runtime import Code, RawFault, Runtime, Spot, load_runtime
from tilewise.cuda_on_cpu.source import Kernel, Parameter
from tilewise.cuda_on_cpu.toolchain import (
    INCLUDE,
    CompileError,
    build,
    build_runtime,
    cache_folder,
    find_compiler,
    is_clang,
    own_files,
)

# A function a section, and what it mentions kept: so the runtime works out the static shared memory of each kernel.
ALWAYS = ("-ffunction-sections", "-ffp-contract=fast", "-fno-math-errno")
PLAIN = ("-O3", "-fno-trapping-math")
# -O1 as far as counts need: what is kept in registers is no access.
CHECKED = ("-O1", "-g", "-fsanitize=thread")
# A template's shared memory is this file's alone, whatever else is loaded; complaints name the line that uses a macro;
# a float4 stays one access of 16 bytes.
GCC = ("-fno-gnu-unique", "-ftrack-macro-expansion=0")
GCC_CHECKED = ("-fno-tree-sra", "-fsanitize=bounds")
# clang's other bounds would end the process, and binutils 2.40 misreads the names of files in its DWARF 5.
CLANG_CHECKED = ("-fsanitize=array-bounds", "-gdwarf-4")
LINK = ("-Wl,-Bsymbolic", "-Wl,--emit-relocs", "-lm", "-Wl,--wrap=__assert_fail")
WRAPPED = ("-Wl,--wrap=memset", "-Wl,--wrap=memcpy", "-Wl,--wrap=memmove")
LAUNCHERS = "launchers"  # the name of the generated part of a unit, in complaints


def compile(
    source: str | Path,
    *,
    checked: bool = False,
    defines: Mapping[str, str | int] | None = None,
    name: str = "kernel.cu",
    include: Sequence[Path] = (),
    compiler: str | None = None,
    cache: Path | None = None,
    fibers: str = "switch",
) -> Program:
    """Compile a CUDA C++ source for the CPU, or load what the cache holds for the same content.

    source: a Path to a file, or the text itself, which faults and complaints then call `name`
    checked: also find faulty accesses and races, and count; slower by one or two orders of magnitude
    defines: preprocessor macros   include: folders for `#include "..."`   compiler: else $CXX, g++ or clang++
    cache: else tilewise/cuda_on_cpu in the user's cache   fibers: "ucontext" for the portable switch between threads
    Raises CompileError, or NoCompiler where there is none.
    """
    compiler, cache = find_compiler(compiler), cache or cache_folder()
    text = source.read_text(encoding="utf-8") if isinstance(source, Path) else source
    file = str(source.resolve()) if isinstance(source, Path) else name
    folders = tuple(folder.resolve() for folder in include)
    depends = reading.included(source.resolve(), folders) if isinstance(source, Path) else set()
    runtime = build_runtime(compiler, cache, fibers=fibers)
    flags = _flags(compiler, checked)
    flags += [f"-D{key}={value}" for key, value in (defines or {}).items()]
    flags += [f"-I{folder}" for folder in (INCLUDE, INCLUDE / "shims", *folders)]
    kernels = list(reading.kernels(text))

    def library_with(launched: list[Kernel]) -> Path:
        return build(
            _unit(source, text, file, launched),
            compiler=compiler,
            flags=[*flags, "-include", "tilewise_cuda.h"],
            link=[str(runtime), *LINK, *(WRAPPED if checked else ())],
            depends=[*depends, *own_files(INCLUDE)],
            cache=cache,
            stem=Path(file).stem,
        )

    try:
        library = library_with(kernels)
    except CompileError as error:
        # A kernel that a condition of the preprocessor leaves out, or one in a namespace, has no launcher.
        missing = {c.line for c in error.complaints if c.file == LAUNCHERS}
        if not missing or any(c.file != LAUNCHERS for c in error.complaints):
            raise _advised(error, file, text) from None
        kernels = [kernel for line, kernel in enumerate(kernels, 1) if line not in missing]
        library = library_with(kernels)
    return Program(library, load_runtime(runtime), file, text, {k.name: k for k in kernels}, checked)


def _advised(error: CompileError, file: str, text: str) -> CompileError:
    """Put what to write before what the compiler says, where a line of the source is CUDA's own syntax."""
    rows = text.splitlines()
    lines = {c.line for c in error.complaints if c.file == file and c.line <= len(rows)}
    said = [f"{file}:{line}: error: {advice}" for line in sorted(lines) if (advice := reading.advice(rows[line - 1]))]
    return CompileError("\n".join([*said, error.output])) if said else error


def _flags(compiler: str, checked: bool) -> list[str]:
    clang = is_clang(compiler)
    flags = [*ALWAYS, *(CHECKED if checked else PLAIN), *(() if clang else GCC)]
    return [*flags, *(CLANG_CHECKED if clang else GCC_CHECKED)] if checked else flags


def _unit(source: str | Path, text: str, file: str, kernels: list[Kernel]) -> str:
    """Put the source and one launcher a kernel into a unit; each launcher is one line, so that a complaint names it."""
    body = f'#include "{file}"\n' if isinstance(source, Path) else f'#line 1 "{file}"\n{text}\n'
    launchers = [
        f'extern "C" int tw_launch_{kernel.name}(const unsigned* tw_grid, const unsigned* tw_block, size_t tw_shared'
        f"{', ' + kernel.declaration if kernel.parameters else ''}) {{ "
        f"tilewise::launcher({kernel.name}, dim3(tw_grid[0], tw_grid[1], tw_grid[2]), "
        f"dim3(tw_block[0], tw_block[1], tw_block[2]), tw_shared, nullptr, "
        f'"{kernel.name}", "{file}", {kernel.line})({", ".join(p.name for p in kernel.parameters)}); '
        "return cudaGetLastError(); }\n"
        for kernel in kernels
    ]
    return body + f'#line 1 "{LAUNCHERS}"\n' + "".join(launchers)


@dataclass(frozen=True)
class Program:
    """A compiled kernel file. `kernels`: those that `launch` can start, by name."""

    library: Path
    runtime: Runtime
    file: str
    text: str
    kernels: dict[str, Kernel]
    checked: bool

    def launch(
        self,
        kernel: str,
        *,
        grid: int | Sequence[int],
        block: int | Sequence[int],
        shared_bytes: int = 0,
        args: Sequence[Any] = (),
    ) -> int:
        """Start a kernel that is no template, and wait for it. -> the cudaError_t that it leaves, 0 for none

        args: as in `call`. Raises CudaFault unless `watch` is collecting.
        """
        if kernel not in self.kernels:
            known = ", ".join(self.kernels) or "none"
            raise ValueError(f"{self.file} has no kernel {kernel!r} outside templates and namespaces; it has: {known}")
        sizes = [(ctypes.c_uint * 3)(*_three(size, what)) for size, what in ((grid, "grid"), (block, "block"))]
        first = [ctypes.c_void_p(ctypes.addressof(size)) for size in sizes]
        return self._run(
            f"tw_launch_{kernel}",
            kernel,
            self.kernels[kernel].parameters,
            args,
            (*first, ctypes.c_size_t(shared_bytes)),
        )

    def call(self, entry_point: str, *args: Any) -> int:
        """Call an `extern "C"` function of the file that launches kernels. -> what it returns, 0 for void

        args: numbers, and for pointers tensors on the CPU, arrays, or None; a stream is None.
        Raises CudaFault unless `watch` is collecting.
        """
        parameters = reading.entry_point(self.text, entry_point)
        if parameters is None:
            raise ValueError(
                f'{self.file} shows no function {entry_point!r}; declare it there as extern "C" with its types'
            )
        return self._run(entry_point, entry_point, parameters, args, ())

    @contextmanager
    def watch(self) -> Iterator[Report]:
        """Collect the faults and counts of all calls in a block, and raise none of them."""
        with _one_at_a_time:
            if _watching:
                raise RuntimeError("watch() is already collecting; end the outer block first")
            report = Report()
            self.runtime.forget()
            _watching.append(report)
            try:
                yield report
            finally:
                _watching.pop()
                self._collect(report)

    def _run(
        self, symbol: str, shown: str, parameters: Sequence[Parameter], args: Sequence[Any], first: Sequence[Any]
    ) -> int:
        if len(args) != len(parameters):
            names = ", ".join(p.name for p in parameters)
            raise TypeError(f"{shown} takes {len(parameters)} arguments ({names}), got {len(args)}")
        function = getattr(ctypes.CDLL(str(self.library)), symbol)
        with _one_at_a_time, ExitStack() as stack:
            if not _watching:
                stack.enter_context(self._raising())
            buffers = {
                i: _buffer(p, value)
                for i, (p, value) in enumerate(zip(parameters, args, strict=True))
                if p.is_pointer and value is not None
            }
            used = [b for b in buffers.values() if b.end > b.begin]
            moved = stack.enter_context(standing_apart(self.runtime, used)) if self.checked else {}
            converted = [
                ctypes.c_void_p(moved.get(buffers[i].pointer, buffers[i].pointer))
                if i in buffers
                else _scalar(shown, p, v)
                for i, (p, v) in enumerate(zip(parameters, args, strict=True))
            ]
            function.restype = ctypes.c_int
            return int(function(*first, *converted))

    @contextmanager
    def _raising(self) -> Iterator[None]:
        with self.watch() as report:
            yield
        if report.faults:
            raise CudaFault(report.faults)

    def _collect(self, report: Report) -> None:
        faults, tallies = self.runtime.faults(), self.runtime.tallies()
        spots = [spot for fault in faults for spot in (fault.at, fault.other_at)] + [tally.at for tally in tallies]
        lines = lines_of(spot for spot in spots if isinstance(spot, Code))
        seen: set[tuple[str, frozenset[Place]]] = set()
        for fault in (self._fault(raw, lines) for raw in faults):
            # `x += 1` is two accesses of one line: told once.
            key = fault.kind, frozenset({(fault.file, fault.line), (fault.other_file, fault.other_line)})
            if key not in seen:
                seen.add(key)
                report.faults.append(fault)
        for tally in tallies:
            if not tally.requests:
                continue
            prefix = f"{tally.space}_{tally.access}"
            third = {"global": ("sectors", tally.sectors), "shared": ("conflicts", tally.conflicts)}[tally.space]
            counts = {
                f"{prefix}_bytes": tally.bytes,
                f"{prefix}_requests": tally.requests,
                f"{prefix}_{third[0]}": third[1],
            }
            place = _place(tally.at, lines)
            report.lines[place] = report.lines.get(place, Counts()) + Counts(**counts)

    def _fault(self, fault: RawFault, lines: Mapping[Code, Place]) -> Fault:
        (file, line), (other_file, other_line) = _place(fault.at, lines), _place(fault.other_at, lines)
        kind = fault.kind
        if kind == "out_of_bounds_array":
            kind = self._indexed(file, line)
        return Fault(
            kind,
            fault.message,
            file,
            line,
            fault.block,
            fault.thread,
            other_file,
            other_line,
            fault.other_block,
            fault.other_thread,
        )

    def _indexed(self, file: str, line: int) -> str:
        """Say what kind of array a line indexes, by the declarations in its file: the compiler does not tell."""
        path = Path(file)
        text = self.text if file == self.file else path.read_text(encoding="utf-8") if path.is_file() else ""
        rows = text.splitlines()
        indexed = set(re.findall(r"(\w+)\s*\[", rows[line - 1])) if 0 < line <= len(rows) else set()
        if indexed & reading.shared_arrays(text):
            return "out_of_bounds_shared"
        return "out_of_bounds_global" if indexed & reading.global_arrays(text) else "out_of_bounds_array"


# The runtime keeps one report a process. Other threads wait for the end of a watch, or of a call outside one.
_one_at_a_time = threading.RLock()
_watching: list[Report] = []


def _place(spot: Spot, lines: Mapping[Code, Place]) -> Place:
    return lines.get(spot, ("", 0)) if isinstance(spot, Code) else spot


def _three(size: int | Sequence[int], what: str) -> tuple[int, ...]:
    sizes = (size,) if isinstance(size, int) else tuple(size)
    if not 1 <= len(sizes) <= 3 or any(n < 0 for n in sizes):
        raise ValueError(f"{what} needs one to three sizes that are not negative, got {size!r}")
    return (*sizes, 1, 1)[:3]


def _buffer(parameter: Parameter, value: Any) -> Buffer:
    buffer = buffer_of(parameter.name, value, writable=not parameter.is_read_only)
    check_elements(parameter, value)
    return buffer


def _scalar(shown: str, parameter: Parameter, value: Any) -> Any:
    if parameter.is_pointer:
        return ctypes.c_void_p(None)
    kind = SCALARS.get(parameter.bare_type)
    if kind is None:
        raise TypeError(
            f"{shown}: parameter {parameter.name} has type {parameter.type}, which cannot be passed from Python"
        )
    try:
        return kind(value)
    except (TypeError, struct.error, OverflowError):
        raise TypeError(
            f"{shown}: {parameter.name} needs {parameter.type}, got {type(value).__name__} {value!r}"
        ) from None
