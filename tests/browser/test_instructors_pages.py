"""What the instructor clicks and what students open: formgrader's button and the feedback, in a real browser."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, Dialog, Locator, Page, Request, Route, expect

from autograder.course.ids import grade_id, solution_grade_id
from autograder.course.markup import to_text
from autograder.course.model import Course
from autograder.course.reading import load_course
from autograder.nbgrader_plugin import classroom
from autograder.nbgrader_plugin.seeds import secret_seed
from tests.attacks import injections
from tests.attacks.comparing import surprises
from tests.attacks.everyone import hostile
from tests.attacks.injections import ALL, EVIL, OWNED, STUDENT
from tests.attacks.roll import Submission
from tests.autograder.nbgrader_plugin.gradebooks import autograded, db_url, feedback, run, standings
from tests.autograder.nbgrader_plugin.handins import (
    CHAPTER,
    NOTEBOOK,
    QUESTION,
    STREAMING,
    TWO_PASS,
    HandIn,
    variant,
)
from tests.autograder.nbgrader_plugin.server import TOKEN, Formgrader, serve

pytestmark = pytest.mark.browser
PATIENCE_MS = 120_000
LOCAL = "127.0.0.1"
WORST = {
    "loop-that-swallows-interrupts", "memory-bomb", "os-exit", "daemon", "link-to-zeros-without-end", "named-pipe",
    "broken-json", "deep-json", "gigabyte", "test-cells-deleted", "cell-duplicated", "skip-execution-tag", "old-schema",
    "timestamp-pipe", "orders-in-code",
}  # fmt: skip
RAISES = "def online_softmax(x, block):\n    raise ValueError(CORPUS)"
SECRETS = "def online_softmax(x, block):\n    print(x)\n    raise ValueError(f'{x.tolist()}')"


@dataclass
class Watched:
    """A page, and everything that it did which a page of text does not do."""

    page: Page
    dialogs: list[str] = field(default_factory=list)
    strangers: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.page.set_default_timeout(PATIENCE_MS)
        self.page.on("dialog", self._note_dialog)
        self.page.route("**/*", self._judge_request)

    def _note_dialog(self, dialog: Dialog) -> None:
        self.dialogs.append(dialog.message)
        dialog.dismiss()

    def _judge_request(self, route: Route, request: Request) -> None:
        parts = urlsplit(request.url)
        if parts.scheme in ("file", "data", "blob", "about") or parts.hostname == LOCAL:
            route.continue_()
        else:
            self.strangers.append(request.url)
            route.abort()

    @property
    def owned(self) -> object:
        return self.page.evaluate(f"window.{OWNED} ?? null")


@pytest.fixture
def watched(browser: Browser) -> Iterator[Watched]:
    context = browser.new_context(viewport={"width": 1360, "height": 900})
    yield Watched(context.new_page())
    context.close()


@pytest.fixture(scope="module")
def course() -> Course:
    return load_course()


@pytest.fixture(scope="module")
def empty(course: Course, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("instructor") / "class"
    classroom.init(folder, course, [CHAPTER])
    return folder


@pytest.fixture(scope="module")
def corpus_class(empty: Path, course: Course) -> Path:
    """A class in which the corpus stands in every place that a student can write to, graded with feedback."""
    wrong = injections.code(TWO_PASS, RAISES)
    right = injections.code(STREAMING, variant(course, STREAMING, "solution"))
    for student, language in (("en", "en"), ("zh", "zh"), (STUDENT.replace("/", "\u2215"), "en")):
        HandIn(
            student, language, code={TWO_PASS: wrong, STREAMING: right}, written=ALL, typed={QUESTION: f"q7 = {ALL!r}"}
        ).write(empty)
    HandIn("teller", code={TWO_PASS: f"# exercise: {TWO_PASS}\n{SECRETS}"}, picked={QUESTION: ALL}).write(empty)
    mistake = {name: variant(course, name, "wrong", "max_starts_at_zero") for name in (TWO_PASS, STREAMING)}
    HandIn("mistaken", "zh", code=mistake).write(empty)
    run(empty, "tilewise", "grade", CHAPTER)
    return empty


@pytest.mark.parametrize("student", ["en", "zh", STUDENT.replace("/", "\u2215")], ids=["en", "zh", "named like a tag"])
def test_feedback_shows_what_a_student_wrote_and_runs_none_of_it(watched, corpus_class, student) -> None:
    page = watched.page
    page.goto(feedback(corpus_class, student).as_uri())
    page.wait_for_timeout(500)
    assert (watched.dialogs, watched.strangers, watched.owned) == ([], [], None)
    assert page.locator("script, iframe, object, embed, form, base, link, svg, [onload], [onerror]").count() == 0
    assert page.evaluate("[...document.links].filter(a => !a.getAttribute('href').startsWith('#')).length") == 0
    text = page.inner_text("body")
    assert text.count("<script src=") >= 2, "in the code and in the written answer, to the letter"
    assert EVIL in text
    assert "{{ 7 * 7 }}" in text
    assert not {c for c in page.content() if c in "\x1b\x07\x9b\u202e\u2028"}


def test_the_watch_notices_a_page_that_is_live(watched, tmp_path) -> None:
    (tmp_path / "live.html").write_text(f"<body>{ALL}</body>", encoding="utf-8")
    watched.page.goto((tmp_path / "live.html").as_uri())
    watched.page.wait_for_timeout(500)
    assert watched.dialogs
    assert any(EVIL in url for url in watched.strangers)


def test_feedback_forbids_scripts_by_itself(watched, corpus_class, tmp_path) -> None:
    """A second wall: were a student's markup to get through, the page's own policy would stop it."""
    html = feedback(corpus_class, "en").read_text(encoding="utf-8").replace("</body>", f"{injections.CORPUS[0]}</body>")
    (tmp_path / "injected.html").write_text(html, encoding="utf-8")
    watched.page.goto((tmp_path / "injected.html").as_uri())
    watched.page.wait_for_timeout(300)
    assert (watched.dialogs, watched.owned) == ([], None)


def test_formulas_are_drawn_without_a_script(watched, corpus_class) -> None:
    watched.page.goto(feedback(corpus_class, "en").as_uri())
    formulas = watched.page.locator("math")
    assert formulas.count() > 10
    assert all(box["height"] > 5 for box in (formulas.nth(n).bounding_box() for n in range(3)))
    assert "$" not in "".join(watched.page.locator("section .prose").all_inner_texts()[:2])


def test_feedback_names_each_lost_point_and_its_mistake(watched, corpus_class, course) -> None:
    watched.page.goto(feedback(corpus_class, "mistaken").as_uri())
    text = "".join(watched.page.inner_text("body").split())
    for name in (TWO_PASS, STREAMING):
        exercise = course.exercises[name]
        diagnosis = to_text(exercise.wrong["max_starts_at_zero"].zh).replace("`", "")
        assert "".join(diagnosis.split()) in text
        assert "".join(to_text(exercise.properties["very_negative"].zh).replace("`", "").split()) in text


def test_feedback_tells_no_secret_case_to_one_who_prints_it(watched, corpus_class) -> None:
    """The hand-in prints its inputs and puts them into its error; the page holds neither."""
    watched.page.goto(feedback(corpus_class, "teller").as_uri())
    text = watched.page.inner_text("body")
    assert "ValueError" in text
    assert str(secret_seed(db_url(corpus_class), CHAPTER)) not in text
    panel = watched.page.locator(".tilewise-panel").first.inner_text()
    assert not any(character in panel for character in "[]")
    assert "-10001" not in panel.replace(",", "")


@pytest.fixture(scope="module")
def worst(corpus_class: Path, course: Course) -> dict[str, Submission]:
    """Students of the hostile class who hand in to this one."""
    found = {s.student: s for s in hostile(course, corpus_class) if s.student in WORST}
    for submission in found.values():
        submission.write(corpus_class)
    return found


@pytest.fixture(scope="module")
def formgrader(
    corpus_class: Path, worst: dict[str, Submission], course: Course, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Formgrader]:
    """The class in formgrader, with hand-ins that came later: one honest, one that is not, and the worst."""
    right = {name: variant(course, name, "solution") for name in (TWO_PASS, STREAMING)}
    HandIn("ann", code=right).write(corpus_class)
    fatal = f"# exercise: {TWO_PASS}\nimport os\nos._exit(0)\n"
    hostile = HandIn("mallory", code=right | {TWO_PASS: fatal}, written=ALL).write(corpus_class)
    (hostile / "torch.py").write_text("raise SystemExit")
    (hostile / "timestamp.txt").write_text("tomorrow")
    with serve(corpus_class, tmp_path_factory.mktemp("home")) as client:
        yield client


def log_in(page: Page, formgrader: Formgrader) -> None:
    """Come in by JupyterLab's address, as it is printed: it leaves the cookie that formgrader asks for."""
    page.goto(f"{formgrader.root}/lab?token={TOKEN}")


def press_autograde(page: Page, student: str) -> Locator:
    """Press a student's button in the list of submissions, wait for its success; give the student's row."""
    row = page.locator("tbody tr").filter(has=page.locator("td.student-id").get_by_text(student, exact=True))
    expect(row.locator(".status")).to_have_text("needs autograding", timeout=PATIENCE_MS)
    row.locator(".autograde a").click()
    expect(page.locator("#success-modal")).to_be_visible(timeout=PATIENCE_MS)
    assert f"Successfully autograded '{CHAPTER}' for student '{student}'" in page.inner_text("#success-modal")
    page.locator("#success-modal button").last.click()
    expect(page.locator("#success-modal")).to_be_hidden()
    return row


@pytest.mark.parametrize(("student", "marks"), [("ann", "20 / 24"), ("mallory", "10 / 24")], ids=["honest", "hostile"])
def test_formgraders_button_grades_one_hand_in(watched, formgrader, corpus_class, student, marks) -> None:
    page = watched.page
    log_in(page, formgrader)
    page.goto(f"{formgrader.root}/formgrader/manage_submissions/{CHAPTER}")
    expect(press_autograde(page, student).locator(".score")).to_have_text(marks)
    assert autograded(corpus_class, student).is_file()
    assert not (autograded(corpus_class, student).parent / "torch.py").exists()
    assert (watched.dialogs, watched.owned) == ([], None)


def test_formgraders_button_gives_the_worst_their_verdicts_as_listed(
    watched, formgrader, corpus_class, worst, course
) -> None:
    """One press for each, on one page, as an instructor would: there is no button for all."""
    assert set(worst) == WORST
    page = watched.page
    log_in(page, formgrader)
    page.goto(f"{formgrader.root}/formgrader/manage_submissions/{CHAPTER}")
    best = sum(course.exercises[name].points for name in (TWO_PASS, STREAMING))
    for student, submission in worst.items():
        row = press_autograde(page, student)
        points = sum(outcome.points for outcome in submission.outcomes.values())
        expect(row.locator(".score")).to_contain_text(f"{points:g} / ")
        expect(row.locator(".status")).to_have_text("needs manual grading" if submission.flagged else "graded")
        assert points <= best
    assert list(surprises(corpus_class, worst)) == []
    assert (watched.dialogs, watched.strangers, watched.owned) == ([], [], None)


def test_a_false_alarm_costs_the_instructor_one_click(watched, formgrader, corpus_class) -> None:
    """A flagged answer stands at 0 and says what it would earn; the person who looks gives that back."""
    page = watched.page
    log_in(page, formgrader)
    if not autograded(corpus_class, "orders-in-code").is_file():
        page.goto(f"{formgrader.root}/formgrader/manage_submissions/{CHAPTER}")
        press_autograde(page, "orders-in-code")
    submissions = formgrader.json(f"/submitted_notebooks/{CHAPTER}/{NOTEBOOK}")
    found = next(s for s in submissions if s["student"] == "orders-in-code")
    page.goto(f"{formgrader.root}/formgrader/submissions/{found['id']}/")
    cell = page.locator(".nbgrader_cell").filter(has=page.locator(f"[id='{solution_grade_id(TWO_PASS)}-comment']"))
    expect(cell.locator("textarea")).to_have_attribute(
        "placeholder", re.compile("would earn 10 of 10 points"), timeout=PATIENCE_MS
    )
    marks = page.locator(".nbgrader_cell").filter(has=page.locator(f"[id='{grade_id(TWO_PASS)}']"))
    expect(marks.locator("input.score")).to_have_attribute("placeholder", "0")
    with page.expect_response(lambda answer: "/api/grade/" in answer.url and answer.request.method == "PUT"):
        marks.locator(".full-credit").click()
    standing = standings(corpus_class)["orders-in-code"][TWO_PASS]
    assert (standing.manual, standing.needs_person) == (10.0, False)


def test_a_hostile_hand_in_is_read_in_formgrader_and_runs_nothing(watched, formgrader) -> None:
    log_in(watched.page, formgrader)
    submissions = formgrader.json(f"/submitted_notebooks/{CHAPTER}/{NOTEBOOK}")
    for student in ("en", "mallory"):
        found = next(s for s in submissions if s["student"] == student)
        watched.page.goto(f"{formgrader.root}/formgrader/submissions/{found['id']}/")
        expect(watched.page.locator(f"[id='{solution_grade_id(TWO_PASS)}-comment']")).to_be_attached()
        watched.page.wait_for_timeout(500)
        assert (watched.dialogs, watched.owned) == ([], None)
        assert watched.strangers == [], "not even for MathJax"
        assert watched.page.locator("math").count() > 10
        assert "<script>window.owned = 1" in watched.page.inner_text("body")
