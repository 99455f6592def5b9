"""Arguments that are tuples of tensors, however deep; and exercises that ask for more than one function."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from autograder.course.reading import load_exercise
from autograder.judge.checks import Case, Draw, Property, load_checks
from autograder.judge.client import Judge
from autograder.judge.contracts import lanes
from autograder.judge.drawing import CheckError, Drawn, Expected, draw
from autograder.judge.verdict import Kind

from .conftest import ask, write_exercise

EXERCISE = """
functions = ["total", "swap"]
[title]
en = "Pairs"
zh = "一对"
[property.totals]
points = 2
en = "All parts are counted."
zh = "每一部分都算进去。"
[property.swaps]
points = 1
en = "The second comes first."
zh = "第二个在前。"
[[hint]]
en = "Open the tuples."
zh = "把元组打开。"
[wrong.first_part_only]
en = "Only the first part counts."
zh = "只算了第一部分。"
[wrong.not_swapped]
en = "The pair comes back as it went in."
zh = "这一对原样返回了。"
"""

CHECKS = """
from autograder.judge.checks import Case, prop

def reference(parts, more):
    return sum(l * f.sum() for l, f in parts) + more

def reference_swap(pair):
    return pair[1], pair[0]

@prop
def totals(draw):
    yield Case(parts=((draw.normal(1), draw.normal(2, 3)), (draw.normal(1), draw.normal(2, 0))), more=0.5)
    yield Case(parts=((draw.normal(1), draw.normal(1, 1)),) * 3, more=-1.0)

@prop(calls="swap")
def swaps(draw):
    yield Case(pair=(draw.normal(0), draw.normal(3, 0)))
    yield Case(pair=(draw.normal(2), draw.normal(3)))
"""

SWAP = "def swap(pair):\n    a, b = pair\n    return b, a\n"
TOTAL = "def total(parts, more):\n    return sum(l * f.sum() for l, f in parts) + more\n"
FIRST_PART = "def total(parts, more):\n    l, f = parts[0]\n    return l * f.sum() + more\n"
UNWRITTEN_SWAP = "def swap(pair):\n    raise NotImplementedError\n"
UNWRITTEN_TOTAL = "def total(parts, more):\n    raise NotImplementedError\n"


@pytest.fixture(scope="module")
def course(tmp_path_factory: pytest.TempPathFactory) -> Path:
    course = tmp_path_factory.mktemp("pairs")
    wrong = {"first_part_only": FIRST_PART + SWAP, "not_swapped": TOTAL + "def swap(pair):\n    return pair\n"}
    write_exercise(course / "01_toy" / "pairs", EXERCISE, CHECKS, wrong, TOTAL + SWAP)
    return course


@pytest.fixture(scope="module")
def pairs(course: Path) -> Iterator[Judge]:
    with Judge(course=course) as judge:
        yield judge


def test_tuples_reach_the_function_as_tuples_however_deep(pairs: Judge) -> None:
    told = "    assert type(parts) is tuple and all(type(part) is tuple for part in parts), parts\n"
    strict = TOTAL.replace("more):\n", f"more):\n{told}") + SWAP
    assert ask(pairs, strict, "toy.pairs").passed


def test_each_property_calls_its_own_function_and_uses_its_reference(pairs: Judge) -> None:
    verdict = ask(pairs, TOTAL + "def swap(pair):\n    return pair\n", "toy.pairs")
    assert {p.name: p.kind for p in verdict.properties} == {"totals": Kind.PASSED, "swaps": Kind.WRONG}
    assert (verdict.points, verdict.mistake) == (2, "not_swapped")


def test_a_failure_shows_the_tensors_of_a_tuple_one_by_one(pairs: Judge) -> None:
    verdict = ask(pairs, FIRST_PART + SWAP, "toy.pairs")
    assert verdict.counterexample is not None
    assert list(verdict.counterexample.inputs) == [f"parts[{i}][{j}]" for i in range(3) for j in range(2)] + ["more"]
    assert verdict.counterexample.case.startswith("parts=(((1,) float32, (1, 1) float32), (")


def test_one_function_earns_its_points_while_the_other_is_not_written(pairs: Judge) -> None:
    verdict = ask(pairs, TOTAL + UNWRITTEN_SWAP, "toy.pairs")
    assert (verdict.kind, verdict.points) == (Kind.NOT_STARTED, 2)
    assert "`swap`" in verdict.headline.en
    assert verdict.counterexample is None


def test_a_mistake_is_named_while_the_other_function_is_not_written(pairs: Judge) -> None:
    verdict = ask(pairs, FIRST_PART + UNWRITTEN_SWAP, "toy.pairs")
    assert (verdict.kind, verdict.mistake, verdict.points) == (Kind.WRONG, "first_part_only", 0)


def test_nothing_written_is_the_end_of_the_whole(pairs: Judge) -> None:
    verdict = ask(pairs, UNWRITTEN_TOTAL + UNWRITTEN_SWAP, "toy.pairs")
    assert (verdict.kind, verdict.points) == (Kind.NOT_STARTED, 0)
    assert {p.kind for p in verdict.properties} == {Kind.NOT_STARTED}


def test_a_property_that_calls_no_function_of_the_exercise_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "01_toy" / "pairs"
    wrong = {"first_part_only": FIRST_PART, "not_swapped": FIRST_PART}
    write_exercise(folder, EXERCISE, CHECKS.replace('calls="swap"', 'calls="swop"'), wrong, TOTAL + SWAP)
    with pytest.raises(CheckError, match=r"'swaps' calls 'swop', which is none of .*: total, swap"):
        draw(load_exercise(folder), load_checks(folder / "checks.py"), seed=1)


def test_the_oracle_gets_float64_at_every_depth(course: Path) -> None:
    folder = course / "01_toy" / "pairs"
    drawn = draw(load_exercise(folder), load_checks(folder / "checks.py"), seed=1)
    assert {t.dtype for d in drawn for t in d.expected.oracle} == {torch.float64}
    assert {t.dtype for d in drawn for t in d.expected.plain} == {torch.float32}


def test_a_case_counts_every_number_of_its_tuples() -> None:
    case = Case(parts=((torch.zeros(2), torch.zeros(2, 3)), (torch.zeros(2), torch.zeros(2, 0))), block=4, none=())
    assert case.size == 2 + 6 + 2 + 0 + 1
    assert str(case) == "parts=(((2,) float32, (2, 3) float32), ((2,) float32, (2, 0) float32)), block=4, none=()"


def test_an_input_that_holds_no_number_is_shown_last(pairs: Judge) -> None:
    raising_when_empty = "def swap(pair):\n    a, b = pair\n    a[0]\n    return a, b\n"
    assert Case(pair=(torch.empty(0), torch.empty(3, 0))).is_empty
    verdict = ask(pairs, TOTAL + raising_when_empty, "toy.pairs")
    assert verdict.kind is Kind.WRONG
    assert verdict.counterexample is not None
    assert verdict.counterexample.case == "pair=((2,) float32, (3,) float32)"


def test_cases_that_share_a_tensor_inside_a_tuple_go_into_different_lanes() -> None:
    x = Draw(1).normal(2, 3)
    found, right = Property("any", lambda draw: []), Expected((), (), single=False)
    cases = [Case(parts=((x,),)), Case(x=torch.zeros(1)), Case(parts=(x[:, 1:], 0.5))]
    split = list(lanes([Drawn(number, found, case, right) for number, case in enumerate(cases)]))
    assert [[drawn.number for drawn in lane] for lane in split] == [[0, 1], [2]]
