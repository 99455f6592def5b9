"""A card's answer is judged by the judge, and two mistakes at once are named."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from autograder.course.lessons.bench import (
    AND_SCALE_MISSING,
    CHAPTER,
    NAME,
    SCALE_MISSING,
    NotAScript,
    bench,
    inputs_of,
    mistakes_of,
    script_cell,
    wrong_scripts,
)
from autograder.course.lessons.guess import about, guess_exercise, words_of
from autograder.course.model import Course, Exercise
from autograder.course.reading import load_course
from autograder.judge.client import Judge
from autograder.judge.verdict import Kind, Verdict
from tests.autograder.course.lessons.cards import ANSWER, write_course_with_blocks

RIGHT = """
import torch
from torch import *
query = randn(1, 4, 2)
key = randn(1, 4, 2)
value = randn(1, 4, 2)
weights = torch.softmax(query @ key.mT / query.shape[-1] ** 0.5, dim=-1)
def attend():
    global output
    output = weights @ value
attend()
"""


@pytest.fixture(scope="module")
def course(tmp_path_factory: pytest.TempPathFactory) -> Course:
    return load_course(write_course_with_blocks(tmp_path_factory.mktemp("blocks")))


@pytest.fixture(scope="module")
def exercise(course: Course) -> Exercise:
    return course.exercises["blocks.attend"]


@pytest.fixture(scope="module")
def judge(exercise: Exercise) -> Iterator[Judge]:
    with bench(exercise) as folder, Judge(course=folder) as judge:
        yield judge


def judged(judge: Judge, code: str) -> Verdict:
    return judge.verdict(f"{CHAPTER}.{NAME}", script_cell(code), seed=1)


def test_two_mistakes_at_once_are_named_and_told_in_both_languages(judge: Judge, exercise: Exercise) -> None:
    verdict = judged(judge, ANSWER)
    assert verdict.kind is Kind.WRONG
    assert mistakes_of(verdict) == ("block_diagonal", "scale_missing")
    assert verdict.diagnosis is not None
    for mistake in mistakes_of(verdict):
        assert exercise.wrong[mistake].en in verdict.diagnosis.en
        assert exercise.wrong[mistake].zh in verdict.diagnosis.zh


def test_a_mistake_by_itself_is_named(judge: Judge) -> None:
    scaled = ANSWER.replace("weights @", "weights @ ").replace("transpose(1, 2)", "transpose(1, 2) / 2.0")
    # The judge's inputs have four features, whose root is 2.
    assert mistakes_of(judged(judge, scaled)) == ("block_diagonal",)
    everywhere = ANSWER.replace("key[:, rows]", "key").replace("value[:, rows]", "value")
    assert mistakes_of(judged(judge, everywhere)) == ("scale_missing",)


def test_a_right_answer_passes_whatever_it_imports_and_declares(judge: Judge) -> None:
    assert judged(judge, RIGHT).passed


def test_every_known_wrong_solution_is_still_told_from_the_others_as_a_script(judge: Judge, exercise: Exercise) -> None:
    for name, file in exercise.variants("wrong").items():
        code = f"{file.read_text()}\nheads = zip(query, key, value)\n"
        code += "output = torch.stack([attend(*head, block_size) for head in heads])"
        assert mistakes_of(judged(judge, code)) == (name,)


def test_an_error_is_told_with_the_line_of_the_script(judge: Judge) -> None:
    verdict = judged(judge, "import torch\nquery = torch.zeros(1)\noutput = query\n\noutput = torch.gone(output)\n")
    assert verdict.kind is Kind.RAISED
    assert "line 5, in the cell\n    output = torch.gone(output)\nAttributeError" in verdict.error


def test_the_scripts_own_inputs_are_left_out_and_every_line_keeps_its_number() -> None:
    code = (
        'query, key = 1, 2\nquery = query * 3\nvalue = [\n    4,\n]\ntext = "a\\"b\\\\n\'"\noutput = query, text, value'
    )
    names: dict[str, object] = {}
    exec(script_cell(code), names)
    assert names["script"](5, 6, 7, 8) == (15, "a\"b\\n'", 7)  # type: ignore[operator]
    lines = str(names["SCRIPT"]).split("\n")
    assert (lines[0], lines[2:5], lines[6]) == ("", ["", "", ""], "output = query, text, value")


@pytest.mark.parametrize(
    ("code", "why"),
    [
        ("output = ", "not Python"),
        ("result = 1", "leaves nothing in `output`"),
        ("query, n = 1, 2\noutput = n", "line 1 sets 'n' together with an input"),
        ("query = 1; output = query", "does something else beside setting an input"),
    ],
)
def test_what_cannot_be_run_as_a_script_is_said_to_be_none(code: str, why: str) -> None:
    with pytest.raises(NotAScript, match=why):
        script_cell(code)


def test_an_exercise_that_takes_other_things_judges_no_script(course: Course) -> None:
    assert inputs_of(course.exercises["blocks.attend"]) == ("query", "key", "value", "block_size")
    other = course.exercises["doubling.double"]
    assert inputs_of(other) is None
    with pytest.raises(NotAScript, match=r"`double` of doubling\.double does not take"), bench(other):
        pass


def test_the_courses_own_known_wrong_solutions_are_named_alone_and_with_the_scale_missing() -> None:
    real = load_course().exercises.get("blockwise_attention.blockwise_attention")
    if real is None:
        pytest.skip("the course does not hold blockwise_attention.blockwise_attention")
    inputs = inputs_of(real)
    assert inputs is not None
    passing = []
    with bench(real) as folder, Judge(course=folder) as judge:
        for name, (_, cell) in wrong_scripts(real, inputs).items():
            verdict = judge.verdict(f"{CHAPTER}.{NAME}", cell, seed=1)
            alone = name.removesuffix(AND_SCALE_MISSING)
            expected = (alone,) if name == alone else (alone, SCALE_MISSING)
            if verdict.passed:
                passing.append(name)
            elif alone in passing:  # what is wrong with it by itself does not show in a script's outputs
                expected = (SCALE_MISSING,)
            if not verdict.passed:
                assert mistakes_of(verdict) == expected
    assert passing == ["all_keys_at_once"]


def test_nothing_of_the_bench_stays(exercise: Exercise) -> None:
    with bench(exercise) as folder:
        assert (Path(folder) / CHAPTER / NAME / "exercise.toml").is_file()
    assert not Path(folder).exists()


@pytest.mark.parametrize(
    ("title", "guessed"),
    [
        ("用分块的方式计算注意力", "blocks.attend"),
        ("Compute ATTENTION yourself", "blocks.attend"),
        ("加倍练习", "doubling.double"),
        ("完全无关", None),
    ],
)
def test_the_exercise_is_guessed_from_the_words_of_the_title(course: Course, title: str, guessed: str | None) -> None:
    found = guess_exercise(title, [(e, about(e, "")) for e in course.exercises.values()])
    assert (found and found.id) == guessed


def test_chinese_is_split_into_pairs_and_latin_into_words() -> None:
    assert words_of("Flash 分块注，X2") == {"flash", "分块", "块注", "x"}
