"""Honest answers: right ones pass, wrong ones are told what they got wrong, in both languages."""

from __future__ import annotations

import re
import shutil

import pytest

from autograder.judge.client import Judge
from autograder.judge.verdict import TOGETHER, Kind, Verdict

from .conftest import TOTAL, TWICE, ask


def kinds(verdict: Verdict) -> dict[str, Kind]:
    return {result.name: result.kind for result in verdict.properties}


def test_a_right_answer_passes_with_all_points(judge: Judge) -> None:
    verdict = ask(judge, TWICE)
    assert (verdict.kind, verdict.points, verdict.max_points) == (Kind.PASSED, 3.0, 3.0)
    assert verdict.rung == judge.rung
    assert verdict.counterexample is None
    assert verdict.seconds > 0


def test_a_wrong_answer_is_named_after_the_known_wrong_one_that_behaves_alike(judge: Judge) -> None:
    verdict = ask(judge, "def twice(x, shift):\n    return x.pow(2) + shift\n")
    assert (verdict.kind, verdict.points, verdict.mistake) == (Kind.WRONG, 0.0, "squared")
    assert verdict.diagnosis is not None
    assert "squared" in verdict.diagnosis.en
    assert "平方" in verdict.diagnosis.zh


def test_properties_that_hold_earn_their_points(walled: Judge) -> None:
    source = """
        def twice(x, shift):
            y = 2 * x + shift
            if x.shape[1] % 2:
                y[:, -1] = x[:, -1]
            return y
    """
    verdict = ask(walled, source)
    assert verdict.points == 1.0
    assert verdict.mistake == "tail_dropped"
    assert kinds(verdict) == {"ordinary": Kind.PASSED, "ragged": Kind.WRONG}


def test_a_mistake_that_no_known_wrong_solution_makes_gets_no_diagnosis(walled: Judge) -> None:
    verdict = ask(walled, "def twice(x, shift):\n    return 3 * x + shift\n")
    assert verdict.kind is Kind.WRONG
    assert (verdict.mistake, verdict.diagnosis) == (None, None)
    assert "Ordinary rows" in verdict.headline.en
    assert "普通的行" in verdict.headline.zh


BOTH = """
    def twice(x, shift):
        if x.shape[1] % 2 == 0:
            return x * x + shift
        y = x.clone()
        y[:, :-1] = 2 * x[:, :-1] + shift
        return y
"""


def test_two_mistakes_in_different_cases_are_both_named_and_told(toy_course, tmp_path) -> None:
    course = shutil.copytree(toy_course, tmp_path / "course")
    even_only = "def twice(x, shift):\n    return (x if x.shape[1] % 2 else x * x / 2) * 2 + shift\n"
    (course / "01_toy" / "twice" / "wrong" / "squared.py").write_text(even_only)
    with Judge(course=course) as judge:
        verdict = ask(judge, BOTH)
        assert verdict.mistake == f"squared{TOGETHER}tail_dropped", "the one that fails the smallest case first"
        assert verdict.diagnosis is not None
        for said, named in (
            (verdict.diagnosis.en, ("squared", "column")),
            (verdict.diagnosis.zh, ("平方", "最后一列")),
        ):
            assert all(name in said for name in named)
        assert ask(judge, BOTH, grading=True).diagnosis == verdict.diagnosis


def test_two_mistakes_are_not_named_where_one_of_them_would_fail_what_is_right(walled: Judge) -> None:
    """Here `squared`, which does the same to the even rows, would fail the odd ones otherwise."""
    verdict = ask(walled, BOTH)
    assert (verdict.mistake, verdict.diagnosis) == (None, None)


def test_without_a_diagnosis_it_is_told_where_and_how_many_numbers_are_wrong(walled: Judge) -> None:
    source = """
        def twice(x, shift):
            y = 2 * x + shift
            y[-1, 0] += 1
            return y
    """
    shown = ask(walled, source, seed=11).counterexample
    assert shown is not None
    assert shown.where == "twice(x, shift)[0, 0]"
    assert shown.case == "x=(1, 2) float32, shift=1.0"
    assert shown.error.endswith("✗ 1 / 2")
    assert shown.picture == "X."


def test_the_counterexample_is_the_smallest_failing_input_and_can_be_replayed(walled: Judge) -> None:
    verdict = ask(walled, "def twice(x, shift):\n    return 3 * x + shift\n", seed=11)
    shown = verdict.counterexample
    assert shown is not None
    assert (shown.property, shown.seed) == ("ordinary", 11)
    assert shown.where == "twice(x, shift)[0, 0]"
    assert shown.inputs.keys() == {"x", "shift"}
    assert "max |error|" in shown.error
    assert shown.expected != shown.got
    assert ask(walled, "def twice(x, shift):\n    return 3 * x + shift\n", seed=11).counterexample == shown


def test_grading_keeps_every_input_out_of_the_verdict(walled: Judge) -> None:
    source = """
        def twice(x, shift):
            print("x is", x)
            raise type(f"Stolen{x.flatten()[0]:.3f}", (ValueError,), {})(f"x is {x}")
    """
    open_verdict = ask(walled, source)
    number = re.search(r"Stolen(-?\d+\.\d+)", open_verdict.error)
    assert number, "the attack must work where it is harmless, or this test proves nothing"
    graded = ask(walled, source, grading=True)
    assert number[1] not in graded.model_dump_json()
    assert graded.kind is Kind.RAISED
    assert (graded.counterexample, graded.error, graded.printed) == (None, "", "")


@pytest.mark.parametrize(
    "body",
    [
        "raise NameError(f\"name 'secret{abs(int(x[0, 0] * 1000))}' is not defined\")",
        "return x.new_zeros(abs(int(x[0, 0] * 1000)))",
        "return (x,) * abs(int(x[0, 0] * 10))",
        "return type(f'T{x[0, 0]}', (), {})()",
        "import sys; f = sys._getframe(1); m = f.f_locals['meter']\n"
        "    m.operators.add(f'flash_attention{x[0, 0]}'); return x",
    ],
    ids=["name", "shape", "count", "type", "operator"],
)
def test_a_graded_headline_says_nothing_that_the_answer_chose(walled: Judge, body: str) -> None:
    verdict = ask(walled, f"def twice(x, shift):\n    {body}\n", grading=True)
    assert verdict.points == 0
    digits = re.sub(r"`[^`]*`|torch\.Tensor", "", verdict.headline.en + verdict.headline.zh)
    assert not re.search(r"\d", digits), verdict.headline


def test_the_same_seed_gives_the_same_verdict(walled: Judge) -> None:
    first, second = (ask(walled, "def twice(x, shift):\n    return x\n") for _ in range(2))
    assert first.model_copy(update={"seconds": 0}) == second.model_copy(update={"seconds": 0})


def test_what_the_answer_prints_is_shown(judge: Judge) -> None:
    source = """
        import os, sys
        print("on loading")
        def twice(x, shift):
            print("in the call", tuple(x.shape))
            print("to stderr", file=sys.stderr)
            if os.fork() == 0:
                print("from a child process")
                os._exit(0)
            os.wait()
            return 2 * x + shift
    """
    verdict = ask(judge, source)
    assert verdict.passed
    lines = verdict.printed.splitlines()
    assert lines == ["on loading", "in the call (1, 2)", "to stderr", "from a child process"]


def test_the_starter_is_told_which_function_is_not_written(walled: Judge) -> None:
    verdict = ask(
        walled, 'def twice(x, shift):\n    # YOUR CODE HERE\n    raise NotImplementedError("YOUR CODE HERE")\n'
    )
    assert (verdict.kind, verdict.points) == (Kind.NOT_STARTED, 0.0)
    assert verdict.headline.en == "You have not written `twice` yet."
    assert "`twice`" in verdict.headline.zh
    assert set(kinds(verdict).values()) == {Kind.NOT_STARTED}
    half = TOTAL.replace("return (state[0] + tile.sum(1),)", "raise NotImplementedError")
    assert "`update`" in ask(walled, half, exercise="toy.total").headline.en


def test_an_empty_cell_is_not_started(walled: Judge) -> None:
    assert ask(walled, "  \n\n").kind is Kind.NOT_STARTED


def test_a_missing_function_is_named(walled: Judge) -> None:
    verdict = ask(walled, "def double(x, shift):\n    return 2 * x + shift\n")
    assert verdict.points == 0
    assert "no function named `twice`" in verdict.headline.en


def test_a_syntax_error_names_its_line(walled: Judge) -> None:
    verdict = ask(walled, "def twice(x, shift):\n    return 2 * * x\n")
    assert verdict.kind is Kind.RAISED
    assert "not valid Python" in verdict.headline.en
    assert "line 2" in verdict.error


@pytest.mark.parametrize("command", ["%matplotlib inline", "%%time", "!pip install einops"])
def test_a_command_of_ipythons_is_named_as_such(walled: Judge, command: str) -> None:
    verdict = ask(walled, f"{command}\n{TWICE}")
    assert f"`{command.split()[0]}` is a command of IPython's" in verdict.headline.en
    assert f"`{command.split()[0]}` 是 IPython 的命令" in verdict.headline.zh


def test_a_name_from_another_cell_says_that_the_cell_must_stand_alone(walled: Judge) -> None:
    verdict = ask(walled, "def twice(x, shift):\n    return helper(x) + shift\n")
    assert "`helper` is not defined in this cell" in verdict.headline.en
    assert "`helper`" in verdict.headline.zh


HALF_A_PAIR = r"\ud83d"


WITH_HALF_A_PAIR = {
    "in the message": (f"raise ValueError('{HALF_A_PAIR} ' * 900)", "ValueError: " + HALF_A_PAIR),
    "in the name of a function": (
        "space = {}\nexec(compile('def f(): 1 / 0', '<cell 0>', 'exec'), space)\nf = space['f']\n"
        f"f.__code__ = f.__code__.replace(co_name='{HALF_A_PAIR}' * 9000)\nf()",
        "ZeroDivisionError",
    ),
}


@pytest.mark.parametrize(("body", "told"), WITH_HALF_A_PAIR.values(), ids=WITH_HALF_A_PAIR)
def test_an_error_with_half_a_character_is_told_as_any_other(walled: Judge, body: str, told: str) -> None:
    lines = "\n    ".join(body.split("\n"))
    verdict = ask(walled, f"def twice(x, shift):\n    {lines}\n")
    assert verdict.kind is Kind.RAISED
    assert told in verdict.error


def test_the_traceback_shows_the_students_own_lines_only(walled: Judge) -> None:
    source = "import torch\ndef inner(x):\n    return torch.linalg.inv(x)\ndef twice(x, shift):\n    return inner(x)\n"
    verdict = ask(walled, source)
    assert verdict.kind is Kind.RAISED
    assert "line 5, in twice\n    return inner(x)\nline 3, in inner\n    return torch.linalg.inv(x)" in verdict.error
    assert "worker" not in verdict.error


@pytest.mark.parametrize(
    ("returned", "kind", "said"),
    [
        ("2.0", Kind.RAISED, "must return a torch.Tensor (or a tuple of them, where asked for), got float"),
        ("None", Kind.RAISED, "got NoneType"),
        ("(x, x)", Kind.WRONG, "must return one tensor, it returned a tuple of 2"),
        ("2 * x[:1, :1] + shift", Kind.WRONG, "wrong shape: expected (1, 2), got (1, 1)"),
        (
            "(2 * x + shift).double()",
            Kind.PROTOCOL,
            "must return float32 here, like its input, and it returned float64",
        ),
        ("(2 * x + shift) * float('nan')", Kind.WRONG, "does not hold yet"),
        ("(2 * x + shift).half().float()", Kind.WRONG, "does not hold yet"),
    ],
)
def test_an_answer_of_the_wrong_form_is_told_what_was_expected(
    walled: Judge, returned: str, kind: Kind, said: str
) -> None:
    verdict = ask(walled, f"def twice(x, shift):\n    return {returned}\n")
    assert (verdict.kind, verdict.points) == (kind, 0.0)
    assert said in verdict.headline.en


def test_a_view_of_the_input_and_a_changed_input_are_judged_by_their_numbers(walled: Judge) -> None:
    assert ask(walled, "def twice(x, shift):\n    x.mul_(2).add_(shift)\n    return x[:]\n").passed


def test_requires_grad_and_odd_strides_do_no_harm(walled: Judge) -> None:
    assert ask(walled, "def twice(x, shift):\n    return (2 * x + shift).T.contiguous().T.requires_grad_()\n").passed


def test_right_once_and_wrong_when_repeated_is_said_so(walled: Judge) -> None:
    source = """
        calls = []
        def twice(x, shift):
            calls.append(1)
            return 2 * x + shift if len(calls) == 1 else x
    """
    verdict = ask(walled, source)
    assert verdict.kind is Kind.WRONG
    assert "right when it is called once" in verdict.headline.en


def test_a_right_state_answer_passes_where_calls_are_kept_apart(walled: Judge) -> None:
    verdict = ask(walled, TOTAL, exercise="toy.total")
    assert (verdict.kind, verdict.points) == (Kind.PASSED, 3.0)


def test_one_pass_is_not_proven_where_calls_can_share_files(judges) -> None:
    verdict = ask(judges("child"), TOTAL, exercise="toy.total")
    assert (verdict.kind, verdict.points) == (Kind.NOT_PROVEN, 0.0)
    assert "could not be proven" in verdict.headline.en
    half = TOTAL.replace("state[0] + tile.sum(1)", "state[0] + tile.sum(1) + (tile.shape[0] == 3)")
    assert kinds(ask(judges("namespaces"), half, exercise="toy.total")) == {"total": Kind.PASSED, "steps": Kind.WRONG}
    verdict = ask(judges("child"), half, exercise="toy.total")
    assert (kinds(verdict), verdict.points) == ({"total": Kind.NOT_PROVEN, "steps": Kind.WRONG}, 0.0)


def test_a_state_that_grows_is_refused_and_named(walled: Judge) -> None:
    source = """
        import torch
        def init(rows):
            return torch.empty(rows, 0)
        def update(seen, tile):
            return torch.cat((seen, tile), dim=1)
        def finish(seen):
            return seen.sum(dim=1)
    """
    verdict = ask(walled, source, exercise="toy.total")
    assert (verdict.kind, verdict.mistake) == (Kind.MEMORY_LIMIT, "keeps_the_row")
    assert "state" in verdict.headline.en


def test_a_state_answer_may_use_a_lone_tensor(walled: Judge) -> None:
    source = """
        import torch
        def init(rows):
            return torch.zeros(rows)
        def update(total, tile):
            return total + tile.sum(1)
        def finish(total):
            return total
    """
    verdict = ask(walled, source, exercise="toy.total")
    assert kinds(verdict) == {"total": Kind.PASSED, "steps": Kind.WRONG}
    assert "must return a tuple of 1, it returned one tensor" in verdict.headline.en
    assert "含 1 个张量的元组" in verdict.headline.zh


NAMED = """
import torch
from typing import NamedTuple
class State(NamedTuple):
    total: torch.Tensor
def init(rows):
    return State(torch.zeros(rows))
def update(state, tile):
    (total,) = state
    return State(total + tile.sum(1))
def finish(state):
    return State(*state).total
"""


def test_a_state_may_be_a_named_tuple_and_travels_as_a_tuple(walled: Judge) -> None:
    assert ask(walled, NAMED, "toy.total").passed
    named = ask(walled, NAMED.replace("(total,) = state", "total = state.total"), "toy.total")
    assert named.kind is Kind.RAISED
    assert "'tuple' object has no attribute 'total'" in named.error


def test_a_named_tuple_is_read_as_it_lies_there(walled: Judge) -> None:
    """Whatever its class says of its contents: the bytes that travel are those that were counted."""
    lying = NAMED + (
        "class Lying(State):\n    def __iter__(self): raise KeyError\n    def __len__(self): return 999\n"
        "    def __getitem__(self, place): raise KeyError\nState = Lying\n"
    )
    assert ask(walled, lying, "toy.total").passed


def test_other_subclasses_of_tuple_are_refused(walled: Judge) -> None:
    for body in ("x.max(1)", "x.shape", "type('Own', (tuple,), {})((x,))"):
        verdict = ask(walled, f"def twice(x, shift):\n    return {body}\n")
        assert (verdict.kind, verdict.points) == (Kind.RAISED, 0.0)
        assert "must return a torch.Tensor" in verdict.headline.en


def test_forgetting_earlier_tiles_is_named(walled: Judge) -> None:
    source = TOTAL.replace("return (state[0] + tile.sum(1),)", "return (tile.sum(1),)")
    assert ask(walled, source, exercise="toy.total").mistake == "last_tile_only"


def test_what_an_earlier_exercise_built_is_given(judge: Judge) -> None:
    right = "import given\ndef four_times(x, shift):\n    return given.twice(x, 0) + given.twice(x, shift)\n"
    assert ask(judge, right, exercise="toy.four_times").passed
    wrong = "from given import twice\ndef four_times(y, s):\n    return twice(y, s)\n"
    assert ask(judge, wrong, exercise="toy.four_times").mistake == "twice_only"
    assert ask(judge, f"import given\n{TWICE}").kind is Kind.RAISED, "nothing is given where nothing is named"


FORBIDDEN = {
    "attribute": "import torch\ndef twice(x, shift):\n    return torch.softmax(x, 0)\n",
    "method": "def twice(x, shift):\n    return x.softmax(0)\n",
    "import": "from torch.nn.functional import softmax as s\ndef twice(x, shift):\n    return s(x, 0)\n",
    "getattr": "import torch\ndef twice(x, shift):\n    return getattr(torch, 'softmax')(x, 0)\n",
    "fused": "import torch.nn.functional as F\n"
    "def twice(x, shift):\n    return F.scaled_dot_product_attention(x, x, x)\n",
    "library": "import tilewise\ndef twice(x, shift):\n    return x\n",
    "compile": "import torch as t\n@t.compile\ndef twice(x, shift):\n    return x\n",
    "at run time": "import torch\ndef twice(x, shift):\n    return getattr(torch, 'soft' + 'max')(x, 0)\n",
    "behind try": "import torch\ndef twice(x, shift):\n    try:\n        1 / 0\n    except ZeroDivisionError:\n"
    "        return getattr(torch, 'soft' + 'max')(x, 0)\n",
}


@pytest.mark.parametrize("source", FORBIDDEN.values(), ids=FORBIDDEN.keys())
def test_somebody_elses_work_is_forbidden_and_named(walled: Judge, source: str) -> None:
    verdict = ask(walled, source)
    assert (verdict.kind, verdict.points) == (Kind.FORBIDDEN, 0.0)
    assert set(kinds(verdict).values()) == {Kind.FORBIDDEN}
    assert re.search("softmax|scaled_dot|tilewise|compile", verdict.headline.en)


HARMLESS = {
    "own function": "def softmax(x):\n    return x\ndef twice(x, shift):\n    return softmax(2 * x + shift)\n",
    "comment": "# not softmax\ndef twice(x, shift):\n    'Unlike softmax, this is linear.'\n    return 2 * x + shift\n",
    "re.compile": "import re\nP = re.compile('x')\ndef twice(x, shift):\n    return 2 * x + shift\n",
    "method of one's own": "class A:\n    def softmax(self, x):\n        return x\n    def run(self, x):\n"
    "        return self.softmax(x)\ndef twice(x, shift):\n    return A().run(2 * x + shift)\n",
}


@pytest.mark.parametrize("source", HARMLESS.values(), ids=HARMLESS.keys())
def test_a_name_that_only_looks_forbidden_is_not(walled: Judge, source: str) -> None:
    assert ask(walled, source).passed


def test_memory_that_was_never_written_is_nan_and_says_nothing_of_it(judge: Judge) -> None:
    source = """
        import torch
        def twice(x, shift):
            y = torch.empty_like(x)
            print(y.isnan().all().item(), torch.empty(3).isnan().all().item())
            return y.put_(torch.arange(1), x.flatten()[:1] * 2 + shift)
    """
    verdict = ask(judge, source)
    assert verdict.printed == "True True\n"
    assert verdict.counterexample is not None
    assert "nan" in verdict.counterexample.got
