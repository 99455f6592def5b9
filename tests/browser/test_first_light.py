"""A learner's first hours in a real JupyterLab: each chapter from the home page to its marks, in both languages."""

from __future__ import annotations

import html
import json
import re
import time

import pytest
from playwright.sync_api import expect

from autograder.course.markup import to_html
from autograder.course.model import Chapter, Course, Exercise, Question
from autograder.course.starter import solution_cell_source
from tests.browser.lab import OTHER_TEXT, PATIENCE_MS, Lab, stretched

pytestmark = pytest.mark.browser

CHAPTERS = ("online_softmax", "merge_softmax", "blockwise_attention")
FIRST_QUIZ_SECONDS = 20.0
WARM_CHECK_SECONDS = 2.0
# The mistake to make in an exercise, where it is not its first: block_diagonal needs all the memory that is allowed,
# and is refused it now and then.
MISTAKES = {"blockwise_attention.blockwise_attention": "acc_not_rescaled"}
SAVED = {"en": "Saved.", "zh": "已保存。"}
PASSED = {"en": "✓ passed", "zh": "✓ 通过"}


def test_the_way_in_is_quiet_and_in_the_language(lab: Lab, course: Course) -> None:
    lab.open_home()
    lab.page.wait_for_timeout(4000)  # what JupyterLab wants to say on its own, it says by now
    assert lab.interruptions == []
    assert lab.complaints == []
    assert lab.strangers == []
    language = lab.server.language
    expect(lab.page.locator("#jp-MainMenu")).to_contain_text({"en": "File", "zh": "文件"}[language])
    expect(lab.page.locator("#jp-MainMenu")).not_to_contain_text("Nbgrader")
    expect(lab.current.locator("h1").first).to_contain_text(course.title[language])
    lab.screenshot("home")


@pytest.mark.parametrize("slug", CHAPTERS)
def test_a_chapter_is_worked_through_from_home_to_its_progress(lab: Lab, course: Course, slug: str) -> None:
    chapter = course.chapter(slug)
    lab.open_home()
    lab.open_chapter(chapter)
    lab.run("setup")
    practise(lab, next(question for question in chapter.questions if not question.graded))
    take_a_hint(lab, chapter.exercises[0])
    seconds = [second for exercise in chapter.exercises for second in work_on(lab, exercise)]
    answer_for_a_mark(lab, next(question for question in chapter.questions if question.graded))
    look_at_progress(lab, chapter)
    first, *warm = seconds
    print(f"\nfrom Shift+Enter on check to its panel: first {first:.2f} s, then", *(f"{each:.2f}" for each in warm))
    assert min(warm) <= stretched(WARM_CHECK_SECONDS)
    assert lab.interruptions == []
    assert lab.complaints == []
    assert lab.strangers == []


def practise(lab: Lab, question: Question) -> None:
    """Answer by keyboard alone, rightly: every option is explained, and the answer is kept."""
    quiz = lab.run(quiz_cell(question))
    first = quiz.locator("input[type=radio]").first
    first.click(trial=True)
    seconds = time.monotonic() - lab.server.started
    print(f"\nfrom `tilewise learn` to a first clickable quiz: {seconds:.1f} s")
    assert seconds <= stretched(FIRST_QUIZ_SECONDS)
    right = next(option.key for option in question.options if option.correct)
    first.focus()
    lab.page.keyboard.press("Space")
    for _ in range([option.key for option in question.options].index(right)):
        lab.page.keyboard.press("ArrowDown")
    lab.page.keyboard.press("Enter")
    expect(quiz.locator(".tw-why").filter(has_text="✓")).to_have_count(1)
    expect(quiz.locator(".tw-why")).to_have_count(len(question.options))
    lab.screenshot(f"{question.full_id}-quiz")
    assert kept_answer(lab, question) == right


def work_on(lab: Lab, exercise: Exercise) -> list[float]:
    """Check a wrong answer, which gets its diagnosis, then a right one; give the seconds that the two took."""
    language = lab.server.language
    name = MISTAKES.get(exercise.id, next(iter(exercise.wrong)))
    wrong = exercise.variants("wrong")[name].read_text(encoding="utf-8")
    diagnosis = re.compile(re.escape(as_read(exercise.wrong[name][language])))
    full_marks = re.compile(rf"{exercise.points:g} (of|/) {exercise.points:g} ")
    seconds = [check(lab, exercise, wrong, diagnosis)]
    lab.screenshot(f"{exercise.id}-wrong")
    seconds.append(check(lab, exercise, solution_cell_source(exercise), full_marks))
    lab.screenshot(f"{exercise.id}-right")
    return seconds


def check(lab: Lab, exercise: Exercise, source: str, expected: re.Pattern[str]) -> float:
    """Write a solution, check it, wait for the panel that says `expected`; give the seconds that it took."""
    cell = exercise.id.replace(".", "--")
    lab.write(f"{cell}--code", source)
    lab.wait_until_idle()
    before = time.monotonic()
    panel = lab.run(cell).locator(".tilewise-panel")
    expect(panel).to_contain_text(expected, timeout=PATIENCE_MS)
    seconds = time.monotonic() - before
    expect(panel).not_to_contain_text(OTHER_TEXT[lab.server.language])
    panel.evaluate("panel => panel.scrollIntoView({block: 'center'})")
    return seconds


def take_a_hint(lab: Lab, exercise: Exercise) -> None:
    panel = lab.scratch(f'hint("{exercise.id}")').locator(".tilewise-panel")
    expect(panel).to_contain_text(as_read(exercise.hint[0][lab.server.language]), timeout=PATIENCE_MS)
    lab.screenshot(f"{exercise.id}-hint")


def answer_for_a_mark(lab: Lab, question: Question) -> None:
    """Answer a graded question: it says that the answer is saved, and nothing of right or wrong."""
    quiz = lab.run(quiz_cell(question))
    quiz.locator("input").first.focus()
    lab.page.keyboard.press(question.options[0].key)
    lab.page.keyboard.press("Enter")
    expect(quiz.locator(".tw-status")).to_contain_text(SAVED[lab.server.language])
    expect(quiz.locator(".tw-why:not(:empty)")).to_have_count(0)
    lab.screenshot(f"{question.full_id}-graded")
    assert kept_answer(lab, question) in (question.options[0].key, [question.options[0].key])


def look_at_progress(lab: Lab, chapter: Chapter) -> None:
    panel = lab.scratch("progress()").locator(".tilewise-panel")
    rows = panel.locator("tr").filter(has_text=PASSED[lab.server.language])
    expect(rows).to_have_count(len(chapter.exercises), timeout=PATIENCE_MS)
    answered = {"en": f"2 of {len(chapter.questions)} answered", "zh": f"已答 2 / {len(chapter.questions)} 题"}
    expect(panel).to_contain_text(answered[lab.server.language])
    panel.scroll_into_view_if_needed()
    lab.screenshot(f"{chapter.slug}-progress")


def quiz_cell(question: Question) -> str:
    return f"{question.full_id.replace('.', '--')}--quiz"


def kept_answer(lab: Lab, question: Question) -> object:
    return json.loads((lab.file.parent / "answers.json").read_text(encoding="utf-8"))[question.full_id]


def as_read(markup: str) -> str:
    """Give a course text as the page's reader sees it, without its marks."""
    return html.unescape(re.sub(r"<[^>]+>", "", to_html(markup)))
