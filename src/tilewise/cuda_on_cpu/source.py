"""Read as much of a kernel file as the driver needs: its kernels and entry points, with their parameters."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

COMMENT_OR_STRING = re.compile(r'//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\\n])*"', re.DOTALL)
KERNEL = re.compile(r"\b__global__\b(?P<head>[^;{]*)\{")
DIRECTIVE = re.compile(r"^[ \t]*#(?:\\\n|[^\n])*", re.MULTILINE)
LAUNCH_BOUNDS = re.compile(r"__launch_bounds__\s*\([^()]*(?:\([^()]*\)[^()]*)*\)")
SPECIFIERS = re.compile(r"(?:\b(?:static|inline|void)\s+)*$")
SIGNATURE = re.compile(r"\bvoid\s+(\w+)\s*\((.*)\)\s*$", re.DOTALL)
INCLUDE = re.compile(r'^\s*#\s*include\s+"([^"]+)"', re.MULTILINE)
GLOBAL_ARRAY = re.compile(r"\b__(?:device|constant|managed)__\b([^;(){}=]*)")
SHARED_ARRAY = re.compile(r"\b__shared__\b[^;]*;")

# What is CUDA and cannot be had from a C++ compiler, and what to write.
ADVICE = (
    (re.compile("<<<"), "write TW_LAUNCH(kernel, grid, block, bytes, stream)(arguments) for a launch with <<< >>>"),
    (re.compile(r"\bextern\s+__shared__"), "write TW_DYNAMIC_SHARED(type, name); for extern __shared__"),
    (re.compile(r"\b__shared__\s+alignas"), "write __align__(bytes) for alignas(bytes) after __shared__"),
)


@dataclass(frozen=True)
class Parameter:
    """type: as written, without names or qualifiers that change nothing for a caller."""

    name: str
    type: str

    @property
    def is_pointer(self) -> bool:
        return "*" in self.type

    @property
    def bare_type(self) -> str:
        """The type without `const` and `std::`, by its usual name."""
        words = (word for word in self.type.replace("std::", "").split() if word != "const")
        return " ".join(words).replace("__half", "half")

    @property
    def is_read_only(self) -> bool:
        return self.type.startswith("const ") and self.is_pointer


@dataclass(frozen=True)
class Kernel:
    """A kernel that is no template; `declaration`: its parameters as written."""

    name: str
    line: int
    declaration: str
    parameters: tuple[Parameter, ...]


def without_comments(text: str) -> str:
    """Blank out comments, keeping every line where it is."""

    def blank(match: re.Match[str]) -> str:
        return match[0] if match[0].startswith('"') else re.sub(r"[^\n]", " ", match[0])

    return COMMENT_OR_STRING.sub(blank, text)


def without_directives(text: str) -> str:
    """Blank out the preprocessor's lines, keeping every line where it is."""
    return DIRECTIVE.sub(lambda match: re.sub(r"[^\n]", " ", match[0]), text)


def kernels(text: str) -> Iterator[Kernel]:
    """Find the kernels at the outermost level that are no templates and name all their parameters."""
    code = without_directives(without_comments(text))
    for match in KERNEL.finditer(code):
        before = code[: match.start()]
        words = SPECIFIERS.findall(before)[0]  # before __global__, where `void` may stand too
        before = before.removesuffix(words).rstrip()
        outside = re.sub(r'extern\s+"C"\s*\{', "", before)
        signature = SIGNATURE.search(words + LAUNCH_BOUNDS.sub(" ", match["head"]).rstrip())
        if signature is None or before.endswith(">") or outside.count("{") > outside.count("}"):
            continue
        line, named = code.count("\n", 0, match.start()) + 1, parameters(signature[2])
        if all(parameter.name and parameter.type for parameter in named):
            yield Kernel(signature[1], line, " ".join(signature[2].split()), named)


def entry_point(text: str, name: str) -> tuple[Parameter, ...] | None:
    """Give the parameters of the function of this name, or None when the file does not show them."""
    found = re.search(rf"\b{re.escape(name)}\s*\(([^()]*)\)\s*[{{;]", without_comments(text))
    return parameters(found[1]) if found else None


def parameters(declaration: str) -> tuple[Parameter, ...]:
    """Split `const float* __restrict__ x, int n` into names and types."""
    pieces = [piece.strip() for piece in re.split(r",(?![^<]*>)", declaration)]
    return tuple(_parameter(piece) for piece in pieces if piece and piece != "void")


def _parameter(piece: str) -> Parameter:
    piece = piece.partition("=")[0]  # a default argument
    plain = re.sub(r"\b(__restrict__|__restrict|restrict|__grid_constant__|volatile)\b", " ", piece)
    name = re.search(r"(\w+)\s*(?:\[[^\]]*\])?\s*$", plain)
    if name is None:
        return Parameter("", " ".join(plain.split()))
    kind = plain[: name.start()] + ("*" if plain.rstrip().endswith("]") else "")
    return Parameter(name[1], " ".join(kind.replace("*", " * ").split()))


def advice(row: str) -> str | None:
    """Say what to write in a line that a C++ compiler refuses, where it is CUDA's own syntax."""
    return next((said for syntax, said in ADVICE if syntax.search(row)), None)


def global_arrays(text: str) -> set[str]:
    """Give the names of the arrays that are declared `__device__` or `__constant__`."""
    return {name for found in GLOBAL_ARRAY.findall(without_comments(text)) for name in re.findall(r"(\w+)\s*\[", found)}


def shared_arrays(text: str) -> set[str]:
    """Give the names of the arrays that are declared `__shared__`."""
    declarations = SHARED_ARRAY.findall(without_comments(text))
    return {name for declaration in declarations for name in re.findall(r"(\w+)\s*\[", declaration)}


def included(path: Path, folders: tuple[Path, ...]) -> set[Path]:
    """Follow `#include "..."` from a file, beside each file and in the folders given. -> the files found, itself too"""
    seen: set[Path] = set()
    waiting = [path]
    while waiting:
        file = waiting.pop()
        if file in seen:
            continue
        seen.add(file)
        for name in INCLUDE.findall(file.read_text(encoding="utf-8")):
            candidates = ((folder / name).resolve() for folder in (file.parent, *folders))
            waiting.extend(candidate for candidate in candidates if candidate.is_file())
    return seen
