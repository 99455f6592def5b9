"""The course itself: its judge's isolation, its notebooks, nbgrader's exchange."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from autograder.course.reading import release_root
from autograder.judge.rungs import Rung
from tests.tilewise_lab.health.looking import Answers, broken, look
from tilewise_lab.health import course
from tilewise_lab.health.finding import Need, State


@pytest.mark.parametrize("rung", list(Rung))
def test_every_rung_is_explained(rung: Rung) -> None:
    finding = course.sandbox(Answers(rung={"name": str(rung), "remarks": []}))
    assert finding.seen.en.startswith(f"{rung}: ")
    assert finding.state is (State.WORKS if rung.isolates else State.FAILS)


def test_a_judge_without_a_sandbox_is_a_fault_with_which_the_course_can_be_taken() -> None:
    finding = course.sandbox(Answers(rung={"name": "child", "remarks": []}))
    assert "no sandbox" in finding.seen.en
    assert "并不是沙箱" in finding.seen.zh
    can_take, output = look((Need.COURSE, finding))
    assert can_take
    assert "bubblewrap" in output


def test_what_the_judge_remarks_on_is_passed_on() -> None:
    remark = {"en": "the judge stays root", "zh": "评测器仍以 root 运行"}
    finding = course.sandbox(Answers(rung={"name": "landlock", "remarks": [remark]}))
    assert finding.seen.en.endswith(f". {remark['en']}")
    assert finding.seen.zh.endswith(f"。{remark['zh']}")


def test_a_judge_that_does_not_start_is_a_fault_with_which_it_cannot() -> None:
    finding = course.sandbox(Answers(rung=broken("JudgeError: out of order")))
    assert "out of order" in finding.seen.en
    assert not look((Need.COURSE, finding))[0]


def test_missing_and_broken_notebooks_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    release = shutil.copytree(release_root(), tmp_path / "notebooks")
    monkeypatch.setenv("TILEWISE_NOTEBOOKS", str(release))
    assert course.notebooks().state is State.WORKS
    (release / "zh" / "home.ipynb").unlink()
    (release / "en" / "03_online_softmax" / "online_softmax.ipynb").write_text('{"cells": [')
    finding = course.notebooks()
    assert finding.state is State.FAILS
    assert "zh/home.ipynb" in finding.seen.en
    assert "en/03_online_softmax/online_softmax.ipynb" in finding.seen.zh


@pytest.fixture
def no_class(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Stand in a folder of a machine on which nothing is configured for nbgrader."""
    for name in ("HOME", "JUPYTER_CONFIG_DIR"):
        monkeypatch.setenv(name, str(tmp_path / "home"))
    monkeypatch.setattr(course, "DEFAULT_EXCHANGE", tmp_path / "exchange")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_without_a_class_there_is_no_exchange_to_look_at(no_class: Path) -> None:
    assert course.exchange().state is State.ABSENT


def test_a_configured_exchange_that_is_not_there_is_a_failure(no_class: Path) -> None:
    (no_class / "nbgrader_config.py").write_text(f"get_config().Exchange.root = '{no_class}/gone'")
    finding = course.exchange()
    assert finding.state is State.FAILS
    assert f"{no_class}/gone" in finding.seen.zh


def test_the_exchange_must_be_a_folder_and_only_a_configured_one_is_missed(
    no_class: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = {"root": str(no_class / "exchange"), "is_set": False}

    @contextmanager
    def asked(_group: str) -> Iterator[Answers]:
        yield Answers(exchange=told)

    monkeypatch.setattr(course, "Questioner", asked)
    (no_class / "nbgrader_config.py").write_text("")
    assert course.exchange().state is State.ABSENT
    (no_class / "exchange").mkdir()
    assert course.exchange().state is State.WORKS
