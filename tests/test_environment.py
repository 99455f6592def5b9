"""environment.yml, pyproject.toml and constraints.txt say the same. conda itself is not run."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def environment() -> dict[str, Any]:
    return yaml.safe_load((ROOT / "environment.yml").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def project() -> dict[str, Any]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


@pytest.fixture(scope="module")
def constraints() -> dict[str, Requirement]:
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pins = [Requirement(line) for line in lines if line.strip() and not line.startswith("#")]
    return {canonicalize_name(pin.name): pin for pin in pins}


def conda_specs(environment: dict[str, Any]) -> dict[str, str]:
    """Give conda's own packages: name -> version range, "" for any."""
    found = {}
    for line in environment["dependencies"]:
        if isinstance(line, str):
            name, _, specifier = line.partition(" ")
            assert re.fullmatch(r"[a-z0-9_.-]+", name), f"write `name range`, with one space, got {line!r}"
            found[name] = specifier.strip()
    return found


def pip_lines(environment: dict[str, Any]) -> list[str]:
    """Give what conda hands to pip, which must be one list and the last entry, after pip itself."""
    (lines,) = [entry["pip"] for entry in environment["dependencies"] if isinstance(entry, dict)]
    assert environment["dependencies"][-1] == {"pip": lines}
    return lines


def disagreements(requirements: list[str], pins: dict[str, Requirement]) -> list[str]:
    """Name each requirement that no pin of constraints.txt meets, or for which there is none."""
    found = []
    for requirement in map(Requirement, requirements):
        pin = pins.get(canonicalize_name(requirement.name))
        if pin is None:
            found.append(f"{requirement.name} is not pinned in constraints.txt")
            continue
        (exact,) = pin.specifier
        if exact.operator != "==" or not requirement.specifier.contains(exact.version, prereleases=True):
            found.append(f"{requirement} is asked for, and {pin} pinned")
    return found


def test_conda_gives_the_python_that_the_package_asks_for(environment, project) -> None:
    assert SpecifierSet(conda_specs(environment)["python"]) == SpecifierSet(project["requires-python"])


def test_the_package_is_installed_by_pip_within_the_constraints(environment, project) -> None:
    extras = ",".join(project["optional-dependencies"])
    assert pip_lines(environment) == ["-c constraints.txt", f"-e .[{extras}]"]
    assert "pip" in conda_specs(environment)


def test_conda_installs_nothing_in_another_version_than_the_constraints(environment, constraints) -> None:
    """A package that both name would be installed twice, by whichever comes last."""
    assert not set(map(canonicalize_name, conda_specs(environment))) & set(constraints)


def test_every_requirement_is_pinned_to_a_version_that_it_allows(project, constraints) -> None:
    extras = [line for lines in project["optional-dependencies"].values() for line in lines]
    assert disagreements([*project["dependencies"], *extras], constraints) == []


def test_a_disagreement_is_noticed(constraints) -> None:
    found = disagreements(["torch<2", "not-there", "rich"], constraints)
    assert len(found) == 2
    assert "torch" in found[0]
    assert "not-there" in found[1]


def test_only_conda_forge_is_asked(environment) -> None:
    assert environment["channels"] == ["conda-forge", "nodefaults"]
    assert set(environment) == {"name", "channels", "dependencies"}
