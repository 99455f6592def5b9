"""What a learner did is there again after the kernel was restarted, and after JupyterLab was stopped and started."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Locator, expect

from autograder.course.model import Course, Question
from autograder.course.starter import solution_cell_source
from tests.browser.lab import PATIENCE_MS, Lab

pytestmark = pytest.mark.browser

CHAPTER = "online_softmax"
EXERCISE = f"{CHAPTER}.streaming"
STOPPED = "内核已重启"
AGAIN = "要重新作答，请先运行本 notebook 的第一个代码单元格"
ANSWERED = "已答 1 / {all} 题"
PASSED = "通过 1 /"
LOST = re.compile("Error displaying widget|model not found")


@pytest.mark.parametrize("language", ["zh"])
def test_answers_and_progress_survive_restarts_of_the_kernel_and_of_the_server(lab: Lab, course: Course) -> None:
    question = course.questions[f"{CHAPTER}.q1"]
    lab.open_home()
    expect(lab.run("progress").locator(".tilewise-panel")).to_be_visible(timeout=PATIENCE_MS)
    lab.save()
    do_some_work(lab, course, question)

    restart_kernel(lab)
    quiz = lab.cell(f"{CHAPTER}--q1--quiz").locator(".jp-OutputArea")
    expect(quiz).to_contain_text(STOPPED)
    run_again(lab, question)
    lab.save()

    lab.restart_server()
    lab.open_home()
    progress = lab.cell("progress").locator(".tilewise-panel")
    expect(progress).to_contain_text(ANSWERED.format(all=len(course.chapter(CHAPTER).questions)))
    expect(progress).to_contain_text(PASSED)
    lab.screenshot("restarted-home")
    lab.open_chapter(course.chapter(CHAPTER))
    still = lab.cell(f"{CHAPTER}--q1--quiz").locator(".tilewise-panel")
    still.scroll_into_view_if_needed()
    expect(still).to_contain_text(AGAIN)
    expect(still).to_contain_text("✓")
    lab.screenshot("restarted-quiz")
    lab.page.wait_for_timeout(3000)  # JupyterLab looks two seconds for a widget before it gives up
    expect(lab.current).not_to_contain_text(LOST)
    expect(lab.cell(EXERCISE.replace(".", "--")).locator(".tilewise-panel")).to_contain_text("✓")
    run_again(lab, question)
    assert lab.interruptions == []


def do_some_work(lab: Lab, course: Course, question: Question) -> None:
    """Answer a question, pass an exercise, save."""
    lab.open_chapter(course.chapter(CHAPTER))
    lab.run("setup")
    quiz = lab.run(f"{CHAPTER}--q1--quiz")
    answer(lab, quiz, question)
    code = EXERCISE.replace(".", "--")
    lab.write(f"{code}--code", solution_cell_source(course.exercises[EXERCISE]))
    expect(lab.run(code).locator(".tilewise-panel")).to_contain_text("✓", timeout=PATIENCE_MS)
    lab.save()


def answer(lab: Lab, quiz: Locator, question: Question) -> None:
    right = next(option for option in question.options if option.correct)
    quiz.locator("input[type=radio]").first.focus()
    lab.page.keyboard.press(right.key)
    lab.page.keyboard.press("Enter")
    expect(quiz.locator(".tw-why").filter(has_text="✓")).to_have_count(1)


def restart_kernel(lab: Lab) -> None:
    lab.cell("setup").locator(".jp-InputPrompt").click()
    lab.page.keyboard.press("0")
    lab.page.keyboard.press("0")
    lab.page.locator(".jp-Dialog .jp-mod-accept").click()
    lab.wait_until_idle()


def run_again(lab: Lab, question: Question) -> None:
    """Run the cell of a question that was answered before: the answer and its why are there."""
    lab.run("setup")
    quiz = lab.run(f"{CHAPTER}--q1--quiz")
    right = next(option for option in question.options if option.correct)
    expect(quiz.locator(f"input[value={right.key}]")).to_be_checked()
    expect(quiz.locator(".tw-why").filter(has_text="✓")).to_have_count(1)
