"""One cache for all tests of a run: each source is compiled once. Without a compiler the tests skip, and say so."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.tilewise.cuda_on_cpu import KERNELS
from tilewise.cuda_on_cpu import NoCompiler, Program, compile, find_compiler


@pytest.fixture(scope="session", autouse=True)
def compiler() -> str:
    try:
        return find_compiler()
    except NoCompiler as reason:
        pytest.skip(str(reason))


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cuda_on_cpu")


@pytest.fixture(scope="session")
def kernels(cache: Path) -> Callable[..., Program]:
    """Compile one of the files of kernels/: kernels("faults", checked=True)."""

    def compiled(name: str, **options: object) -> Program:
        return compile(KERNELS / f"{name}.cu", cache=cache, **options)  # type: ignore[arg-type]

    return compiled
