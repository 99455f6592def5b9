"""Drive a real JupyterLab as a person does: open, click, type, look."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sysconfig
import time
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import nbformat
from playwright.sync_api import ConsoleMessage, Locator, Page, Request, expect

from autograder.course.model import Chapter

REPOSITORY = Path(__file__).parents[2]
SCREENSHOTS = REPOSITORY / "build" / "screenshots"
COMMAND = Path(sysconfig.get_path("scripts")) / "tilewise"
LOCAL = "127.0.0.1"
HOME = "home.ipynb"
IDLE = re.compile(r"\| (Idle|空闲)")
# What a check says when the file holds another text than the one that it judged.
OTHER_TEXT = {"en": "holds another text", "zh": "这一格的内容与"}
PATIENCE_MS = 60_000


def stretched(seconds: float) -> float:
    """Give a time that an idle machine keeps, made longer by what others make this one do meanwhile."""
    return seconds * max(1.0, os.getloadavg()[0] / (os.cpu_count() or 1))


class Server:
    """`tilewise learn --no-open` on an empty folder. `started` is when the command was given (time.monotonic)."""

    def __init__(self, folder: Path, language: str) -> None:
        self.folder, self.language = folder, language
        self.started = time.monotonic()
        command = [str(COMMAND), "learn", "--lang", language, "--dir", str(folder), "--no-open"]
        self._process = subprocess.Popen(
            command,
            env=os.environ | {"PYTHONUNBUFFERED": "1"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        assert self._process.stdout is not None
        said = ""
        for line in self._process.stdout:
            said += line
            if found := re.search(r"http://\S+", line):
                self.address = found[0]
                return
        raise AssertionError(f"`tilewise learn` printed no address:\n{said}")

    def stop(self) -> int:
        self._process.send_signal(signal.SIGINT)
        self._process.communicate(timeout=30)
        return self._process.returncode


@dataclass
class Lab:
    """One browser page on one server, and everything that it asked for or complained about."""

    page: Page
    server: Server
    notebook: str = HOME
    requests: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.page.set_default_timeout(PATIENCE_MS)
        self.page.on("request", self._note_request)
        self.page.on("console", self._note_complaint)
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))

    def _note_request(self, request: Request) -> None:
        self.requests.append(request.url)

    def _note_complaint(self, message: ConsoleMessage) -> None:
        if message.type == "error":
            self.complaints.append(message.text)

    @property
    def strangers(self) -> list[str]:
        """Every address that was asked for beyond this machine."""
        local = ("data", "blob", "about")
        split = [(urlsplit(url), url) for url in self.requests]
        return [url for parts, url in split if parts.scheme not in local and parts.hostname != LOCAL]

    @property
    def interruptions(self) -> list[str]:
        """The texts of all dialogs and toasts that are on the screen."""
        return self.page.locator(".jp-Dialog, .Toastify__toast").all_inner_texts()

    def restart_server(self) -> None:
        """Stop JupyterLab, as Ctrl-C does, and start it again on the same folder."""
        assert self.server.stop() == 0
        self.server = Server(self.server.folder, self.server.language)

    def open_home(self) -> None:
        self.page.goto(self.server.address)
        self.notebook = HOME
        self.wait_until_idle()

    def open_chapter(self, chapter: Chapter) -> None:
        """Click a chapter on the home page and wait until its kernel is ready."""
        self.follow_to(chapter)
        self.wait_until_idle()

    def follow_to(self, chapter: Chapter) -> None:
        """Click a chapter on the home page and wait until its cells are there, whatever its kernel does."""
        before = self.current.get_attribute("id")
        self.notebook = f"{chapter.folder.name}/{chapter.slug}.ipynb"
        self.current.locator(f'a[href*="{chapter.slug}.ipynb"]').first.click()
        self.page.wait_for_function(
            "before => { const now = document.querySelector('.jp-NotebookPanel:not(.lm-mod-hidden)');"
            " return now && now.id !== before && now.querySelector('.jp-Cell'); }",
            arg=before,
        )

    def wait_until_idle(self) -> None:
        """Wait for the kernel's session: cells that are run before it connects are lost."""
        expect(self.page.locator("#jp-main-statusbar")).to_contain_text(IDLE, timeout=PATIENCE_MS)

    @property
    def current(self) -> Locator:
        return self.page.locator(".jp-NotebookPanel:not(.lm-mod-hidden)")

    @property
    def file(self) -> Path:
        """The open notebook on disk."""
        return self.server.folder / self.server.language / self.notebook

    def cell(self, id_: str) -> Locator:
        """Find a cell of the open notebook by its id in the file (the page does not show ids)."""
        ids = [cell["id"] for cell in nbformat.read(self.file, as_version=4).cells]
        return self.current.locator(".jp-Notebook .jp-Cell").nth(ids.index(id_))

    def run(self, id_: str) -> Locator:
        """Select a cell, press Shift+Enter, give the place where its output appears."""
        cell = self.cell(id_)
        cell.scroll_into_view_if_needed()
        cell.locator(".jp-InputPrompt").click()
        self.page.keyboard.press("Shift+Enter")
        return cell.locator(".jp-OutputArea")

    def write(self, id_: str, source: str, *, run: bool = True) -> None:
        """Replace the text of a cell, as pasting does, and run it unless told not to."""
        cell = self.cell(id_)
        cell.scroll_into_view_if_needed()  # JupyterLab makes an editor when its cell comes near the screen
        cell.locator(".cm-content").click()
        self.page.keyboard.press("Control+A")
        self.page.keyboard.insert_text(source)
        if run:
            self.page.keyboard.press("Shift+Enter")

    def scratch(self, source: str) -> Locator:
        """Run a line in a cell of one's own, below all others; give the place where its output appears."""
        cells = self.current.locator(".jp-Notebook .jp-Cell")
        cells.last.scroll_into_view_if_needed()
        cells.last.locator(".jp-InputPrompt").click()
        own = cells.nth(cells.count())
        self.page.keyboard.press("b")
        self.page.keyboard.press("Enter")
        self.page.keyboard.insert_text(source)
        self.page.keyboard.press("Control+Enter")
        return own.locator(".jp-OutputArea")

    def run_all(self) -> None:
        """Choose Run > Run All Cells."""
        menu = {"en": "Run", "zh": "运行"}[self.server.language]
        self.page.locator("#jp-MainMenu").get_by_text(menu, exact=True).click()
        self.page.locator('.lm-Menu-item[data-command="runmenu:run-all"]').click()

    def save(self) -> None:
        self.page.keyboard.press("Escape")
        self.page.keyboard.press("Control+S")
        expect(self.page.locator(".lm-mod-current.jp-mod-dirty")).to_have_count(0)

    def screenshot(self, name: str) -> None:
        SCREENSHOTS.mkdir(parents=True, exist_ok=True)
        self.page.screenshot(path=SCREENSHOTS / f"{name}.{self.server.language}.png")
