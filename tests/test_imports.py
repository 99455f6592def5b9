"""Imports point one way, tilewise <- autograder <- tilewise_lab, and the light parts stay light."""

import ast
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
SOURCES = {
    "tilewise": ROOT / "src" / "tilewise",
    "autograder": ROOT / "autograder",
    "tilewise_lab": ROOT / "src" / "tilewise_lab",
}
MUST_NOT_IMPORT = {
    "tilewise": {"autograder", "tilewise_lab", "course"},
    "autograder": {"tilewise_lab"},
    "tilewise_lab": set(),
}
# `given` is the module in which a worker finds the earlier exercises that an exercise builds on.
IN_A_WORKER = {"torch", "given", *sys.stdlib_module_names}
LIGHT = ("tilewise", "tilewise_lab", "tilewise_lab.cli", "autograder.course.reading", "autograder.judge.client")


def imported(file: Path) -> set[str]:
    """Name the top-level packages that a file imports anywhere in it, inside functions too."""
    found = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"), str(file))):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            found.add(node.module.split(".")[0])
    return found


def offenders(folder: Path, forbidden: set[str]) -> dict[str, set[str]]:
    """Map each Python file below the folder to the forbidden packages that it imports."""
    found = {str(file.relative_to(folder)): imported(file) & forbidden for file in sorted(folder.rglob("*.py"))}
    return {file: names for file, names in found.items() if names}


def crossing(folder: Path, package: str) -> dict[str, set[str]]:
    """Map each file of each backend to the other backends that it imports. The package itself may name them all."""
    files = [file for file in sorted(folder.rglob("*.py")) if file != folder / "__init__.py"]
    backends = {file.relative_to(folder).parts[0].removesuffix(".py") for file in files}
    found = {}
    for file in files:
        place = file.relative_to(folder)
        if others := reached(file, package, folder) & backends - {place.parts[0].removesuffix(".py")}:
            found[str(place)] = others
    return found


def reached(file: Path, package: str, folder: Path) -> set[str]:
    """Name what a file takes out of a package: a, of `import package.a`, `from package import a`, `from . import a`."""
    names = []
    above = [*package.split("."), *file.relative_to(folder).parts[:-1]]
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"), str(file))):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            start = above[: len(above) - node.level + 1] if node.level else []
            source = ".".join([*start, *([node.module] if node.module else [])])
            names += [f"{source}.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            names.append(node.value)  # import_module("package.a")
    inside = [name.removeprefix(f"{package}.") for name in names if name.startswith(f"{package}.")]
    return {name.split(".")[0] for name in inside}


def imports_torch(module: str) -> bool:
    """Import a module in a fresh interpreter and say whether torch came along."""
    code = f"import sys, {module}; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, f"import {module} failed:\n{done.stderr}"
    return done.stdout.split()[-1] == "True"


@pytest.mark.parametrize("package", SOURCES)
def test_imports_point_one_way(package: str) -> None:
    assert list(SOURCES[package].rglob("*.py")), f"no Python file found in {SOURCES[package]}"
    assert offenders(SOURCES[package], MUST_NOT_IMPORT[package]) == {}


def test_the_scan_sees_an_import_inside_a_function(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "bad.py").write_text("def f():\n    from tilewise_lab.cli import main\n    return main\n")
    (tmp_path / "good.py").write_text("import tilewise\n")
    assert offenders(tmp_path, {"tilewise_lab"}) == {"deep/bad.py": {"tilewise_lab"}}


def test_backends_never_import_one_another() -> None:
    folder = SOURCES["tilewise"] / "backends"
    assert list(folder.glob("*/*.py"))
    assert crossing(folder, "tilewise.backends") == {}


@pytest.mark.parametrize(
    "line",
    [
        "import p.b",
        "import p.b.deep",
        "from p.b import forward",
        "from p import b",
        "from .. import b",
        "from ..b import forward",
        "from importlib import import_module; import_module('p.b')",
        "def f():\n    from p.b import forward",
    ],
)
def test_the_scan_sees_one_backend_reach_for_another(tmp_path: Path, line: str) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "__init__.py").write_text("from p.a import other\nimport p\n")
    (tmp_path / "a" / "kernels.py").write_text(line + "\n")
    (tmp_path / "b.py").write_text("from p import shared_by_none\nfrom q.a import forward\n")
    (tmp_path / "__init__.py").write_text("from p import a, b\n")
    assert crossing(tmp_path, "p") == {"a/kernels.py": {"b"}}


@pytest.mark.parametrize("kind", ["solution.py", "wrong/*.py", "right/*.py"])
def test_exercise_code_imports_only_what_a_worker_has(kind: str) -> None:
    files = sorted((ROOT / "course").glob(f"*/*/{kind}"))
    assert files
    for file in files:
        assert imported(file) <= IN_A_WORKER, file


@pytest.mark.parametrize("module", LIGHT)
def test_importing_it_does_not_import_torch(module: str) -> None:
    assert not imports_torch(module)


def test_the_version_is_that_of_what_is_installed_and_costs_no_torch() -> None:
    code = "import sys, tilewise; print(tilewise.__version__, 'torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == [version("tilewise"), "False"]


def test_the_probe_sees_torch_where_it_is_imported() -> None:
    assert imports_torch("tilewise.softmax")
