"""Six hand-ins made from the real release, graded once by `tilewise grade` and once by `nbgrader autograde`."""

from __future__ import annotations

import csv
import json
import re
import shutil
from pathlib import Path

import nbformat
import pytest
import typer
from typer.testing import CliRunner

from autograder.course.ids import grade_id
from autograder.course.markup import to_html
from autograder.course.model import Course
from autograder.judge.verdict import Verdict
from autograder.nbgrader_plugin import commands
from autograder.nbgrader_plugin.execute import verdicts_of
from autograder.nbgrader_plugin.seeds import secret_seed
from tests.autograder.nbgrader_plugin.gradebooks import (
    Standing,
    autograded,
    db_url,
    feedback,
    run,
    set_manual_mark,
    standings,
)
from tests.autograder.nbgrader_plugin.handins import (
    CHAPTER,
    QUESTION,
    STREAMING,
    TWO_PASS,
    WRITTEN,
    six,
    wrong_key,
)
from tests.autograder.nbgrader_plugin.secret_cases import assert_no_secret, secret_numbers

pytestmark = pytest.mark.slow
app = typer.Typer()
commands.register(app)
STUDENTS = ["ada", "bob", "cyd", "dan", "eve", "fay"]
MISTAKES = {("cyd", STREAMING): "sum_not_rescaled", ("dan", TWO_PASS): "max_starts_at_zero"}
NOT_ANSWERED = Standing(0.0, None, False)


@pytest.fixture(scope="module")
def both(empty_class: Path, course: Course, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The same class twice, with one seed: graded by `tilewise grade`, and by nbgrader's own commands."""
    ours, theirs = (tmp_path_factory.mktemp("both") / name for name in ("ours", "theirs"))
    shutil.copytree(empty_class, ours)
    for hand_in in six(course):
        hand_in.write(ours)
    secret_seed(db_url(ours), CHAPTER)
    shutil.copytree(ours, theirs)
    run(ours, "tilewise", "grade", CHAPTER, "--csv", "marks.csv")
    run(theirs, "nbgrader", "autograde", CHAPTER)
    run(theirs, "nbgrader", "generate_feedback", CHAPTER)
    return ours, theirs


@pytest.fixture(scope="module", params=["tilewise grade", "nbgrader autograde"])
def graded(both: tuple[Path, Path], request: pytest.FixtureRequest) -> Path:
    return both[0] if request.param == "tilewise grade" else both[1]


def verdicts(classroom: Path, student: str) -> dict[str, Verdict]:
    return verdicts_of(nbformat.read(autograded(classroom, student), as_version=4))


def test_both_ways_give_every_student_the_same_marks_and_verdicts(both) -> None:
    ours, theirs = both
    assert standings(ours) == standings(theirs)
    for student in STUDENTS:
        mine, yours = verdicts(ours, student), verdicts(theirs, student)
        assert {k: v.model_copy(update={"seconds": 0.0}) for k, v in mine.items()} == {
            k: v.model_copy(update={"seconds": 0.0}) for k, v in yours.items()
        }


def test_nobody_is_lost(graded) -> None:
    assert sorted(standings(graded)) == STUDENTS
    for student in STUDENTS:
        assert autograded(graded, student).is_file()
        assert feedback(graded, student).is_file()


def test_right_answers_get_all_points_by_any_method(graded, course) -> None:
    found = standings(graded)
    for student in ("ada", "bob"):
        for exercise in (TWO_PASS, STREAMING):
            assert found[student][exercise] == Standing(course.exercises[exercise].points, None, False)
        assert found[student][QUESTION] == Standing(course.questions[QUESTION].points, None, False)


def test_a_misconception_costs_points_and_is_named(graded, course) -> None:
    found = standings(graded)
    for (student, exercise), mistake in MISTAKES.items():
        verdict = verdicts(graded, student)[exercise]
        assert verdict.mistake == mistake
        assert found[student][exercise] == Standing(verdict.points, None, False)
        assert 0 <= verdict.points < course.exercises[exercise].points
        assert found[student][QUESTION] == NOT_ANSWERED
    assert found["cyd"][TWO_PASS].auto == course.exercises[TWO_PASS].points
    assert found["dan"][STREAMING].auto == course.exercises[STREAMING].points


def test_the_blank_starter_and_broken_json_are_recorded_zeros(graded) -> None:
    found = standings(graded)
    for student in ("eve", "fay"):
        assert set(found[student].values()) == {NOT_ANSWERED}


def test_a_written_answer_waits_for_a_person(graded) -> None:
    found = standings(graded)
    assert {s: found[s][WRITTEN].needs_person for s in STUDENTS} == {
        "ada": True, "bob": False, "cyd": True, "dan": True, "eve": False, "fay": False,
    }  # fmt: skip


def test_the_leak_check_finds_a_planted_number() -> None:
    with pytest.raises(AssertionError, match="secret"):
        assert_no_secret("expected 0.12345 here", {"0.1234"})


def test_feedback_and_autograded_notebooks_hold_no_secret_case(graded, course) -> None:
    release = (graded / "release" / CHAPTER / "online_softmax.ipynb").read_text(encoding="utf-8")
    numbers = secret_numbers(graded, course)
    assert len(numbers) > 100
    numbers -= set(re.findall(r"\d+\.\d{4}", release))
    for student in STUDENTS:
        notebook = nbformat.read(autograded(graded, student), as_version=4)
        outputs = json.dumps([cell.get("outputs", []) for cell in notebook.cells])
        page = feedback(graded, student).read_text(encoding="utf-8")
        body = page.partition("<body")[2]
        for text in (outputs, body):
            assert_no_secret(text, numbers)
            assert "Smallest failing input" not in text
            assert "最小的出错输入" not in text
        assert all(v.counterexample is None for v in verdicts(graded, student).values())


def words_of(html: str) -> str:
    return " ".join(re.sub(r"<[^>]*>", "", html).split())


def test_feedback_says_what_cost_points_in_the_students_language(graded, course) -> None:
    pages = {s: feedback(graded, s).read_text(encoding="utf-8") for s in STUDENTS}
    for (student, exercise), language in zip(MISTAKES, ("en", "zh"), strict=True):
        verdict = verdicts(graded, student)[exercise]
        lost = [p for p in verdict.properties if p.points < p.max_points]
        assert lost
        for lost_property in lost:
            words = re.findall(r"[\w ]{4,}", lost_property.text[language])
            assert words[0].strip() in pages[student]
    assert 'lang="zh-CN"' in pages["dan"]
    for student, language in (("cyd", "en"), ("dan", "zh")):
        chosen = next(o for o in course.questions[QUESTION].options if o.key == wrong_key(course))
        for said in (course.questions[QUESTION].prompt[language], chosen.why[language]):
            assert words_of(to_html(said)) in words_of(pages[student])
    assert "待老师评阅" in pages["dan"]
    assert "waits for your teacher" in pages["cyd"]
    assert "JSON is broken" in pages["fay"]
    assert "JSON 已损坏" in pages["fay"]


def test_feedback_runs_nothing_that_a_student_wrote(graded) -> None:
    page = feedback(graded, "cyd").read_text(encoding="utf-8")
    assert "&lt;b&gt;No&lt;/b&gt; idea" in page
    assert "<b>No</b>" not in page


def test_solution_cells_have_no_outputs_and_grade_cells_end_in_plain_points(graded) -> None:
    for student in STUDENTS:
        for cell in nbformat.read(autograded(graded, student), as_version=4).cells:
            meta = cell.metadata.get("nbgrader", {})
            if cell.cell_type == "code" and meta.get("grade"):
                assert [output.output_type for output in cell.outputs] == ["display_data", "execute_result"]
                assert 0 <= float(cell.outputs[1].data["text/plain"]) <= meta["points"]
            elif cell.cell_type == "code":
                assert cell.outputs == []


def test_the_csv_holds_marks_and_diagnoses(both, course) -> None:
    ours, _ = both
    with (ours / "marks.csv").open(encoding="utf-8", newline="") as stream:
        rows = {row["student"]: row for row in csv.DictReader(stream)}
    assert sorted(rows) == STUDENTS
    found = standings(ours)
    for student, row in rows.items():
        expected = sum(grade.auto or 0.0 for grade in found[student].values())
        assert float(row["marks"]) == expected
        for label in (TWO_PASS, STREAMING, QUESTION):
            assert float(row[label]) == found[student][label].auto
    for (student, exercise), mistake in MISTAKES.items():
        assert rows[student][f"{exercise} mistake"] == mistake
        assert rows[student][f"{exercise} failed properties"]
    assert rows["ada"][WRITTEN] == ""
    assert rows["ada"]["status"] == "to review"
    assert "JSON" in rows["fay"]["notes"]


def grade_here(classroom: Path, *options: str) -> None:
    """Run `tilewise grade` in this process, whose judge is warm."""
    done = CliRunner().invoke(app, ["grade", CHAPTER, "--course", str(classroom), *options])
    assert done.exit_code == 0, done.output


def test_manual_marks_survive_a_regrade_and_reach_the_csv(both, tmp_path) -> None:
    classroom = shutil.copytree(both[0], tmp_path / "class")
    set_manual_mark(classroom, "ada", grade_id(WRITTEN), 1.5)
    before = standings(classroom)
    grade_here(classroom, "--student", "ada", "--student", "bob")
    assert standings(classroom) == before, "what is graded already is not graded again"
    marks = tmp_path / "marks.csv"
    grade_here(classroom, "--student", "ada", "--force", "--csv", str(marks))
    assert standings(classroom)["ada"][WRITTEN] == Standing(None, 1.5, True)
    with marks.open(encoding="utf-8", newline="") as stream:
        (row,) = csv.DictReader(stream)
    assert float(row["marks"]) == sum((g.auto or 0.0) + (g.manual or 0.0) for g in before["ada"].values())
    assert row[WRITTEN] == "1.5"


def test_grading_twice_gives_the_same_marks_and_reseed_draws_others(both, tmp_path) -> None:
    classroom = shutil.copytree(both[0], tmp_path / "class")
    seed = secret_seed(db_url(classroom), CHAPTER)
    before = standings(classroom)
    grade_here(classroom, "--student", "cyd", "--force")
    assert standings(classroom) == before
    assert secret_seed(db_url(classroom), CHAPTER) == seed
    grade_here(classroom, "--reseed")
    assert secret_seed(db_url(classroom), CHAPTER) != seed
    after = standings(classroom)
    assert {s: after[s][TWO_PASS].auto for s in ("ada", "eve")} == {s: before[s][TWO_PASS].auto for s in ("ada", "eve")}
