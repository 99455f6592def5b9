"""What a property may have of its own: a memory budget, a rule in place of a reference.

And the state contract with the update alone, where the judge makes the first state and finishes.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from autograder.course.model import Limits
from autograder.judge.client import Judge, JudgeError
from autograder.judge.verdict import Kind

from .conftest import ask, write_exercise

HEAD = """
contract = "{contract}"
functions = {functions}
[title]
en = "Toy"
zh = "玩具"
[[hint]]
en = "Play."
zh = "玩吧。"
"""
PROPERTY = """
[property.{name}]
points = 1
en = "It holds."
zh = "成立。"
"""
WRONG = """
[wrong.{name}]
en = "That is {name}."
zh = "这是错的。"
"""

# Each row's total of all pairs; at 5000 numbers their matrix is 100 MB in float32.
PAIRS_CHECKS = """
from autograder.judge.checks import Case, prop

def reference(x):
    return (x[:, None] * x[None, :]).sum(1)

@prop
def small(draw):
    yield Case(x=draw.normal(5))

@prop
def large(draw):
    yield Case(x=draw.normal(5000))
"""
AT_ONCE = "def pairs(x):\n    return (x[:, None] * x[None, :]).sum(1)\n"
ONE_BY_ONE = "def pairs(x):\n    return x * x.sum()\n"
HANGS = "def pairs(x):\n    while len(x) > 100:\n        pass\n    return x\n"
TRANSPOSED = "def pairs(x):\n    return (x[:, None] * x[None, :]).sum()\n"

FACTORS_CHECKS = """
from autograder.course.model import Text
from autograder.judge.checks import Case, prop

NOT_WHOLE = Text(en="Give two whole numbers.", zh="请给出两个整数。")
TRIVIAL = Text(en="One factor is 1.", zh="有一个因子是 1。")

def reference(n):
    return n + 1

def no_factors(answer):
    if len(answer) != 2 or any(a.ndim or a.is_floating_point() for a in answer):
        return NOT_WHOLE
    return TRIVIAL if 1 in (int(answer[0]), int(answer[1])) else None

@prop(calls="factors", objection=no_factors)
def factors_found(draw):
    yield Case(n=91)

@prop
def successor(draw):
    yield Case(n=draw.normal(2))
"""
FACTORS = (
    "import torch\ndef factors(n):\n    return torch.tensor(7), torch.tensor(n // 7)\ndef after(n):\n    return n + 1\n"
)

UPDATE_CHECKS = """
import torch
from autograder.judge.checks import Case, prop

def reference(x):
    return x.mean(1)

def first_state(x):
    return torch.zeros(x.shape[0]), torch.zeros(())

def tiles(x):
    return [(tile,) for tile in x.split(2, dim=1)]

def finish(state, x):
    total, count = state
    return total / count

def reference_states(x):
    return [(x[:, :n].sum(1), torch.tensor(float(n), dtype=x.dtype)) for n in range(2, x.shape[1] + 1, 2)]

@prop
def average(draw):
    yield Case(x=draw.normal(3, 6))

@prop(states=True)
def steps(draw):
    yield Case(x=draw.normal(2, 4))
"""
UPDATE = "def update(state, tile):\n    return state[0] + tile.sum(1), state[1] + tile.shape[1]\n"
LATEST = "import torch\ndef update(state, tile):\n    return tile.sum(1), torch.tensor(float(tile.shape[1]))\n"


def toml(functions: list[str], properties: list[str], wrong: dict[str, str], contract: str = "call") -> str:
    text = HEAD.format(contract=contract, functions=functions)
    return text + "".join(PROPERTY.format(name=p) for p in properties) + "".join(WRONG.format(name=w) for w in wrong)


@pytest.fixture(scope="module")
def course(tmp_path_factory: pytest.TempPathFactory) -> Path:
    course = tmp_path_factory.mktemp("budgets")

    def write(name: str, text: str, checks: str, wrong: dict[str, str], solution: str) -> None:
        write_exercise(course / "01_toy" / name, text, checks, wrong, solution)

    wrong = {"hangs": HANGS, "at_once": AT_ONCE, "one_total": TRANSPOSED}
    budget = PROPERTY.format(name="large").replace("points", "memory_mib = 32\npoints")
    write("pairs", toml(["pairs"], ["small"], wrong) + budget, PAIRS_CHECKS, wrong, ONE_BY_ONE)
    wrong = {
        "trivial": FACTORS.replace("tensor(7)", "tensor(1)"),
        "halves": FACTORS.replace("tensor(7)", "tensor(3.5)"),
    }
    write("factors", toml(["after", "factors"], ["factors_found", "successor"], wrong), FACTORS_CHECKS, wrong, FACTORS)
    wrong = {"latest": LATEST, "uncounted": UPDATE.replace("+ tile.shape[1]", "+ 1")}
    write("update", toml(["update"], ["average", "steps"], wrong, "state"), UPDATE_CHECKS, wrong, UPDATE)
    return course


@pytest.fixture(scope="module")
def judge(course: Path) -> Iterator[Judge]:
    with Judge(course=course) as judge:
        yield judge


def test_a_property_with_a_budget_refuses_what_does_not_fit_and_the_others_do_not(judge: Judge) -> None:
    verdict = ask(judge, AT_ONCE, "toy.pairs")
    assert {p.name: p.kind for p in verdict.properties} == {"small": Kind.PASSED, "large": Kind.MEMORY_LIMIT}
    assert "32 MiB" in verdict.headline.en
    assert verdict.mistake == "at_once"


def test_a_large_case_is_played_first_by_those_that_are_right_on_small_ones(judge: Judge) -> None:
    verdict = ask(judge, AT_ONCE, "toy.pairs")
    assert verdict.mistake == "at_once"
    assert verdict.seconds < Limits().seconds, (
        "`hangs` is wrong on the small case already, and need not hang on the large"
    )


def test_what_fits_into_the_budget_passes(judge: Judge) -> None:
    assert ask(judge, ONE_BY_ONE, "toy.pairs").passed


def test_a_mistake_is_named_across_cases_of_different_budgets(judge: Judge) -> None:
    assert ask(judge, TRANSPOSED.replace("pairs(x)", "pairs(x, unused=0)"), "toy.pairs").mistake == "one_total"


def test_an_objection_is_the_headline_and_shows_what_came(judge: Judge) -> None:
    verdict = ask(judge, FACTORS.replace("tensor(7)", "tensor(1)").replace("n // 7", "n"), "toy.factors")
    assert verdict.headline.en == "One factor is 1."
    assert verdict.counterexample is not None
    assert verdict.counterexample.got == "1\n91"
    assert verdict.mistake == "trivial"


def test_what_meets_no_objection_passes_whatever_it_is(judge: Judge) -> None:
    assert ask(judge, FACTORS.replace("tensor(7)", "tensor(13)"), "toy.factors").passed


def test_an_objection_of_another_kind_is_another_mistake(judge: Judge) -> None:
    assert ask(judge, FACTORS.replace("tensor(7)", "tensor([7.5])"), "toy.factors").mistake == "halves"


def test_the_judge_starts_and_finishes_where_the_update_alone_is_asked_for(judge: Judge) -> None:
    assert ask(judge, UPDATE, "toy.update").passed
    verdict = ask(judge, LATEST, "toy.update")
    assert (verdict.kind, verdict.mistake) == (Kind.WRONG, "latest")


@pytest.mark.parametrize(
    "returned", ["state[0][:, None], state[1]", "state[0].half(), state[1]", "state[0]", "state[0], state[1], state[1]"]
)
def test_a_state_of_another_form_never_reaches_the_judges_finish(judge: Judge, returned: str) -> None:
    verdict = ask(judge, f"def update(state, tile):\n    return {returned}\n", "toy.update")
    assert verdict.points == 0
    assert verdict.kind in (Kind.WRONG, Kind.MEMORY_LIMIT)
    assert "state" in verdict.headline.en


def test_a_global_does_not_survive_from_one_update_to_the_next(judge: Judge) -> None:
    hoards = "seen = []\ndef update(state, tile):\n    seen.append(tile)\n"
    hoards += "    return sum(t.sum(1) for t in seen), state[1] + tile.shape[1]\n"
    assert ask(judge, hoards, "toy.update").points == 0


def test_a_state_contract_of_two_functions_is_an_error_of_the_author(tmp_path: Path) -> None:
    wrong = {"latest": LATEST}
    text = toml(["init", "update"], ["average", "steps"], wrong, "state")
    write_exercise(tmp_path / "01_toy" / "two", text, UPDATE_CHECKS, wrong, UPDATE)
    with Judge(course=tmp_path) as judge, pytest.raises(JudgeError, match=r"or \[update\]"):
        ask(judge, UPDATE, "toy.two")
