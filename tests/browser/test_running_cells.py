"""How cells are run: not forgotten before the kernel is there, and the notebook saved before a check."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Route, expect

from autograder.course.model import Course
from tests.browser.lab import IDLE, OTHER_TEXT, PATIENCE_MS, Lab

pytestmark = pytest.mark.browser


@pytest.mark.parametrize("language", ["en"])
def test_run_all_pressed_before_the_kernel_is_there_runs_every_cell(lab: Lab, course: Course) -> None:
    held: list[Route] = []

    def hold(route: Route) -> None:
        """Keep the request that starts the kernel back; all others go on."""
        held.append(route) if route.request.method == "POST" else route.continue_()

    lab.open_home()
    lab.page.route("**/api/sessions*", hold)
    lab.follow_to(course.chapter("online_softmax"))
    lab.run_all()
    prompts = lab.current.locator(".jp-CodeCell .jp-InputPrompt")
    expect(prompts.first).to_have_text("[*]:")
    assert len(held) == 1
    expect(lab.page.locator("#jp-main-statusbar")).not_to_contain_text(IDLE)
    held.pop().continue_()
    expect(prompts.last).to_have_text(re.compile(r"\[\d+\]:"), timeout=PATIENCE_MS)
    assert prompts.all_text_contents() == [f"[{number}]:" for number in range(1, prompts.count() + 1)]
    assert lab.interruptions == []


@pytest.mark.parametrize("language", ["zh"])
def test_a_check_speaks_of_the_saved_text_only_when_its_cell_was_changed_after_it_ran(lab: Lab, course: Course) -> None:
    cell = "online_softmax--streaming"
    lab.open_home()
    lab.open_chapter(course.chapter("online_softmax"))
    lab.run("setup")
    lab.write(f"{cell}--code", "# exercise: online_softmax.streaming\npass")
    panel = lab.run(cell).locator(".tilewise-panel")
    expect(panel).to_contain_text("In[2]", timeout=PATIENCE_MS)
    expect(panel).not_to_contain_text(OTHER_TEXT["zh"])
    lab.write(f"{cell}--code", "# exercise: online_softmax.streaming\n...", run=False)
    lab.run(cell)
    expect(panel).to_contain_text(OTHER_TEXT["zh"], timeout=PATIENCE_MS)


@pytest.mark.parametrize("language", ["en"])
def test_a_check_while_a_save_is_on_its_way_is_no_conflict(lab: Lab, course: Course) -> None:
    """Two saves at once, and JupyterLab takes what the first has written for a stranger's file, and asks."""
    held: list[Route] = []
    written: list[str] = []

    def hold(route: Route) -> None:
        """Keep back what JupyterLab asks when it has written the file for the first time; all else goes on."""
        if route.request.method == "PUT":
            written.append(route.request.url)
        if route.request.method == "GET" and len(written) == 1 and not held:
            held.append(route)
        else:
            route.continue_()

    lab.open_home()
    lab.open_chapter(course.chapter("online_softmax"))
    lab.page.route("**/api/contents/**/online_softmax.ipynb?*", hold)
    lab.run("setup")
    lab.page.keyboard.press("Control+S")
    lab.page.wait_for_timeout(1000)
    assert (len(written), len(held)) == (1, 1)
    panel = lab.run("online_softmax--q7").locator(".tilewise-panel")
    lab.page.wait_for_timeout(1000)
    held[0].continue_()
    expect(panel).to_be_visible(timeout=PATIENCE_MS)
    assert len(written) == 2
    assert lab.interruptions == []
