from __future__ import annotations

from pathlib import Path

import pytest

from autograder.course.model import CourseError
from autograder.course.slides import Piece, check_in_step, check_slides_in_step, figures, read_slides

FILE = Path("slides.zh.md")


def test_a_rule_inside_a_code_block_does_not_end_the_slide() -> None:
    assert read_slides("a\n\n```\n---\n```\n", FILE) == [(Piece("markdown", "a\n\n```\n---\n```"),)]


def test_code_to_run_becomes_a_piece_between_its_texts() -> None:
    text = "before\n\n```python run\nx = 1\n\ny = 2\n```\nafter\n---\n{{quiz q1}}\n"
    before, demo, after = Piece("markdown", "before"), Piece("demo", "x = 1\n\ny = 2"), Piece("markdown", "after")
    assert read_slides(text, FILE) == [(before, demo, after), (Piece("quiz", "q1"),)]


def test_a_longer_fence_may_show_a_shorter_one() -> None:
    text = "````\n```python run\n1\n```\n````"
    assert read_slides(text, FILE) == [(Piece("markdown", text),)]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("a\n---\n---\nb", "slide 2: is empty"),
        ("```python run\nx", "never ends"),
        ("text\n{{quiz q1}}", "beside other text"),
        ("{{quizz q1}}", "is unknown"),
    ],
)
def test_a_misshapen_slide_is_named(text: str, problem: str) -> None:
    with pytest.raises(CourseError, match=problem):
        read_slides(text, FILE)


def test_braces_of_a_formula_are_no_directive() -> None:
    assert read_slides("$x_{{i}}$ and ${{a b}}$", FILE)[0][0].kind == "markdown"


def test_figures_are_local_images_in_either_notation() -> None:
    text = '![a](figures/a.svg "title") <img alt="b" src="figures/b.png"> ![c](https://example.org/c.svg)'
    assert figures(text) == ["figures/a.svg", "figures/b.png"]


@pytest.mark.parametrize(
    ("english", "chinese", "problem"),
    [
        ("# a\n## b", "# 一", "nothing where English has a heading of level 2"),
        ("## a", "### 一", "a heading of level 3 where English has a heading of level 2"),
        ("![a](figures/a.svg)", "![一](figures/b.svg)", "figures/b.svg where English has the figure figures/a.svg"),
        ("```python\n1\n```", "```\n1\n```", "a code block of no language"),
    ],
)
def test_texts_out_of_step_are_told_apart(english: str, chinese: str, problem: str) -> None:
    with pytest.raises(CourseError, match=problem):
        check_in_step(FILE, {"en": english, "zh": chinese})


@pytest.mark.parametrize(
    ("english", "chinese", "problem"),
    [
        ("a\n---\nb", "一", "has 1 slides where English has 2"),
        ("a\n---\n{{quiz q1}}", "一\n---\n{{quiz q2}}", "slide 2: .*quiz 'q2' where English has quiz 'q1'"),
        ("```python run\n1\n```", "```python run\n2\n```", "demo '2' where English has demo '1'"),
        ("a\n```python run\n1\n```\nb", "一\n```python run\n1\n```", "nothing where English has text"),
    ],
)
def test_slides_out_of_step_are_told_apart(english: str, chinese: str, problem: str) -> None:
    slides = {"en": read_slides(english, FILE), "zh": read_slides(chinese, FILE)}
    with pytest.raises(CourseError, match=problem):
        check_slides_in_step(FILE, slides)  # type: ignore[arg-type]
