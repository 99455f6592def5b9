"""A browser for the whole run, and a fresh JupyterLab for each test that asks for one."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, sync_playwright

from autograder.course.model import Course
from autograder.course.reading import load_course
from tests.browser.lab import Lab, Server

# Chromium must neither need a display or a sandbox (root) nor speak to anybody on its own account.
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.skip("no chromium on PATH; on Debian: apt-get install chromium")
    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=chromium, args=ARGUMENTS)
        yield launched
        launched.close()


@pytest.fixture(scope="session")
def course() -> Course:
    return load_course()


@pytest.fixture(params=["en", "zh"])
def language(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def lab(browser: Browser, language: str, tmp_path: Path) -> Iterator[Lab]:
    context = browser.new_context(viewport={"width": 1360, "height": 900})
    lab = Lab(context.new_page(), Server(tmp_path / "my", language))
    try:
        yield lab
    finally:
        context.close()
        assert lab.server.stop() == 0
