"""Python and its packages: only the tested versions pass, and only what computed something right."""

from __future__ import annotations

import pytest

from tests.tilewise_lab.health.looking import Answers, broken
from tilewise_lab.health import processes, software
from tilewise_lab.health.finding import State


@pytest.mark.parametrize("version", ["0.1", "9!1", "unknown", "2.13.1"])
def test_another_version_than_the_tested_one_is_a_failure(version: str) -> None:
    finding = software.package("torch", Answers(torch={"version": version, "place": "/somewhere"}))
    assert finding.state is State.FAILS
    for text in (finding.seen.en, finding.seen.zh):
        assert version in text
        assert "/somewhere" in text
    assert finding.remedy is not None
    assert 'pip install "torch==' in finding.remedy.en


def test_the_tested_version_passes_whatever_it_is_built_for() -> None:
    (pin,) = software.requirements()["torch"].specifier
    for build in ("", "+cpu", "+cu130"):
        finding = software.package("torch", Answers(torch={"version": pin.version + build, "place": "/x"}))
        assert finding.state is State.WORKS


def test_a_missing_package_among_the_others_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    real = software.metadata.version

    def version(name: str) -> str:
        if name == "nbclient":
            raise software.metadata.PackageNotFoundError(name)
        return "0.1" if name == "rich" else real(name)

    monkeypatch.setattr(software.metadata, "version", version)
    finding = software.other_packages()
    assert finding.state is State.FAILS
    assert "nbclient is missing" in finding.seen.en
    assert "rich 0.1" in finding.seen.en
    assert finding.remedy is not None
    assert "nbclient" in finding.remedy.zh


def test_a_gpu_counts_only_when_it_computed_something_right() -> None:
    told = {"built_for": "13.0", "name": "Some GPU", "gib": 80.0, "right": True}
    assert software.gpu(Answers(gpu=told)).state is State.WORKS
    assert software.gpu(Answers(gpu=told | {"right": False})).state is State.FAILS
    assert software.gpu(Answers(gpu=told | {"name": "", "right": False})).state is State.ABSENT


def test_a_torch_without_cuda_is_not_told_as_a_machine_without_a_gpu() -> None:
    told = {"built_for": "", "name": "", "gib": 0.0, "right": False}
    assert "none tried" in software.gpu(Answers(gpu=told)).seen.en
    assert "none tried" not in software.gpu(Answers(gpu=told | {"built_for": "13.0"})).seen.en


@pytest.mark.parametrize("told", ["row sums: expected 1, got 2", broken("ImportError: no triton")])
def test_wrong_numbers_or_none_from_the_interpreter_are_a_failure(told: object) -> None:
    there = {"version": "1", "place": "/somewhere"}
    assert software.interpreter(Answers(interpreter=told, torch=there)).state is State.FAILS
    assert software.interpreter(Answers(interpreter="")).state is State.WORKS


def test_an_interpreter_that_fails_for_want_of_torch_is_not_blamed_on_triton() -> None:
    missing = broken("ImportError: libtorch.so")
    finding = software.interpreter(Answers(interpreter=missing, torch=missing))
    assert finding.remedy is processes.MEND_FIRST


@pytest.mark.parametrize(("state", "said"), [("missing", "没有安装"), ("incomplete", "不完整"), ("disabled", "被停用")])
def test_a_widget_extension_that_is_not_loaded_is_a_failure(state: str, said: str) -> None:
    finding = software.lab_extensions(Answers(extensions={"anywidget": state, "other": ""}))
    assert finding.state is State.FAILS
    assert said in finding.seen.zh
    assert "other" not in finding.seen.zh
