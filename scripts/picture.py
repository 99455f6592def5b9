"""Take the README's pictures from a real JupyterLab: docs/check.en.png and docs/check.zh.png.

Run from the repository's root: .venv/bin/python -m scripts.picture
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from playwright.sync_api import Browser, expect, sync_playwright

from autograder.course.reading import load_course
from tests.browser.conftest import ARGUMENTS
from tests.browser.lab import PATIENCE_MS, Lab, Server

EXERCISE = "online_softmax.streaming"
CELL = EXERCISE.replace(".", "--")
MISTAKE = "sum_not_rescaled"
WINDOW = {"width": 1120, "height": 1130}


def take(browser: Browser, language: str, target: Path) -> None:
    """Paste a typical wrong solution, check it, and photograph what the judge says."""
    course = load_course()
    wrong = course.exercises[EXERCISE].variants("wrong")[MISTAKE].read_text(encoding="utf-8").rstrip()
    with tempfile.TemporaryDirectory() as folder:
        server = Server(Path(folder) / "my", language)
        lab = Lab(browser.new_page(viewport=WINDOW), server)
        try:
            lab.open_home()
            lab.open_chapter(course.chapter(EXERCISE.partition(".")[0]))
            lab.page.keyboard.press("Control+B")  # the file browser away: room for the notebook
            lab.run("setup")
            lab.write(f"{CELL}--code", wrong)
            panel = lab.run(CELL).locator(".tilewise-panel")
            expect(panel).to_be_visible(timeout=PATIENCE_MS)
            lab.page.wait_for_timeout(1000)
            lab.cell(f"{CELL}--code").evaluate("cell => cell.scrollIntoView({block: 'start'})")
            lab.page.wait_for_timeout(500)
            lab.page.screenshot(path=target)
        finally:
            server.stop()


def main() -> None:
    """Take one picture a language."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=ARGUMENTS)
        for language in ("en", "zh"):
            take(browser, language, Path("docs") / f"check.{language}.png")
        browser.close()


if __name__ == "__main__":
    main()
