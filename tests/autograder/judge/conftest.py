"""A course of two small exercises, and one judge for each rung that this machine gives."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from textwrap import dedent

import pytest

from autograder.judge import landlock
from autograder.judge.client import Judge, JudgeError
from autograder.judge.verdict import Verdict

CANARY = "tilewise-canary-5f1c"

CALL_EXERCISE = """
functions = ["twice"]
contract = "call"
forbidden = ["softmax"]
[title]
en = "Twice"
zh = "两倍"
[limits]
seconds = 1.0
memory_mib = 400
[property.ordinary]
points = 1
en = "Ordinary rows."
zh = "普通的行。"
[property.ragged]
points = 2
en = "Rows whose length is odd."
zh = "长度为奇数的行。"
[[hint]]
en = "Add a number to itself."
zh = "把一个数与自己相加。"
[wrong.tail_dropped]
en = "The last column is left as it was."
zh = "最后一列没有处理。"
[wrong.squared]
en = "You squared the numbers."
zh = "你把数平方了。"
"""

CALL_CHECKS = """
from autograder.judge.checks import Case, prop

def reference(x, shift):
    return 2 * x + shift

@prop
def ordinary(draw):
    yield Case(x=draw.normal(1, 2), shift=1.0)
    yield Case(x=draw.normal(3, 4), shift=0.5)

@prop
def ragged(draw):
    yield Case(x=draw.normal(2, 3), shift=1.0)
    yield Case(x=draw.normal(2, 10)[:, ::2], shift=-1.0)
"""

STATE_EXERCISE = """
functions = ["init", "update", "finish"]
contract = "state"
[title]
en = "Running total"
zh = "累加"
[limits]
seconds = 1.0
memory_mib = 400
[property.total]
points = 2
en = "The total of each row."
zh = "每一行的总和。"
[property.steps]
points = 1
en = "The total after each tile."
zh = "每一块之后的总和。"
[[hint]]
en = "Keep one number a row."
zh = "每行记一个数。"
[wrong.last_tile_only]
en = "Only the last tile counts."
zh = "只算了最后一块。"
[wrong.keeps_the_row]
en = "The state holds the whole row."
zh = "状态里存了整行。"
"""

STATE_CHECKS = """
import torch
from autograder.judge.checks import Case, prop

def reference(x, block):
    return x.sum(1)

def start(x, block):
    return (x.shape[0],)

def tiles(x, block):
    return [(tile,) for tile in x.split(block, dim=1)]

def state_bytes(x, block):
    return 4 * x.shape[0]

def reference_states(x, block):
    return [(total,) for total in torch.stack([t.sum(1) for (t,) in tiles(x, block)]).cumsum(0)]

@prop
def total(draw):
    x = draw.normal(2, 4)
    yield Case(x=x, block=2)
    yield Case(x=x, block=3)

@prop(states=True)
def steps(draw):
    yield Case(x=draw.normal(3, 6), block=2)
"""

GIVEN_EXERCISE = (
    CALL_EXERCISE.replace("twice", "four_times")
    .replace('contract = "call"', 'contract = "call"\ngiven = ["toy.twice"]')
    .split("[wrong.tail_dropped]")[0]
    + '[wrong.twice_only]\nen = "Only doubled."\nzh = "只乘了 2。"\n'
)

TWICE = "def twice(x, shift):\n    return x + x + shift\n"
TOTAL = """
import torch
def init(rows):
    return (torch.zeros(rows),)
def update(state, tile):
    return (state[0] + tile.sum(1),)
def finish(state):
    return state[0]
"""


def write_exercise(folder: Path, exercise: str, checks: str, wrong: dict[str, str], solution: str) -> None:
    """Write one exercise folder as the course model wants it."""
    (folder / "wrong").mkdir(parents=True)
    (folder / "exercise.toml").write_text(dedent(exercise), encoding="utf-8")
    (folder / "checks.py").write_text(checks, encoding="utf-8")
    (folder / "solution.py").write_text(solution, encoding="utf-8")
    for language in ("en", "zh"):
        (folder / f"statement.{language}.md").write_text("Do it. 做吧。", encoding="utf-8")
    for name, source in wrong.items():
        (folder / "wrong" / f"{name}.py").write_text(source, encoding="utf-8")


@pytest.fixture(scope="session")
def toy_course(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A course folder with the exercises toy.twice, toy.four_times (which builds on it), toy.total (state contract)."""
    course = tmp_path_factory.mktemp("toy-course")
    wrong_calls = {
        "tail_dropped": "def twice(x, shift):\n    y = x.clone()\n    n = x.shape[1] // 2 * 2\n"
        "    y[:, :n] = 2 * x[:, :n] + shift\n    return y\n",
        "squared": "def twice(x, shift):\n    return x * x + shift\n",
    }
    wrong_states = {
        "last_tile_only": TOTAL.replace("state[0] + ", ""),
        "keeps_the_row": "import torch\ndef init(rows):\n    return torch.zeros(rows, 0)\n"
        "def update(state, tile):\n    return torch.cat([state, tile], 1)\n"
        "def finish(state):\n    return state.sum(1)\n",
    }
    write_exercise(course / "01_toy" / "twice", CALL_EXERCISE, CALL_CHECKS, wrong_calls, TWICE)
    write_exercise(course / "01_toy" / "total", STATE_EXERCISE, STATE_CHECKS, wrong_states, TOTAL)
    once = {"twice_only": "from given import twice\ndef four_times(x, shift):\n    return twice(x, shift)\n"}
    four = "from given import twice\ndef four_times(x, shift):\n    return twice(twice(x, 0), shift)\n"
    checks = CALL_CHECKS.replace("2 * x", "4 * x")
    write_exercise(course / "01_toy" / "four_times", GIVEN_EXERCISE, checks, once, four)
    return course


@pytest.fixture(scope="session")
def judges(toy_course: Path) -> Iterator[Callable[[str], Judge]]:
    """Give the judge of a rung, started when first asked for; skip where the machine lacks the rung."""
    started: dict[str, Judge | JudgeError] = {}
    os.environ["TILEWISE_TEST_CANARY"] = CANARY

    def get(rung: str) -> Judge:
        if rung not in started:
            judge = Judge(course=toy_course, rung=rung)
            try:
                assert judge.rung == rung
                started[rung] = judge
            except JudgeError as error:
                judge.close()
                started[rung] = error
        found = started[rung]
        if isinstance(found, JudgeError):
            if _is_all_there(rung, get):
                raise found  # so this is a fault of ours
            pytest.skip(f"this machine lacks the rung {rung}: {found}")
        return found

    yield get
    del os.environ["TILEWISE_TEST_CANARY"]
    for judge in started.values():
        if isinstance(judge, Judge):
            judge.close()


def _is_all_there(rung: str, get: Callable[[str], Judge]) -> bool:
    """Whether this machine has what the rung needs."""
    if rung == "bubblewrap":
        return shutil.which("bwrap") is not None and isinstance(get("namespaces"), Judge)
    try:
        return rung == "landlock" and landlock.version() > 0
    except OSError:
        return False


@pytest.fixture(params=["namespaces", "child"])
def judge(request: pytest.FixtureRequest, judges: Callable[[str], Judge]) -> Judge:
    """The quick rungs; bubblewrap, seconds a verdict, has tests of its own."""
    return judges(request.param)


@pytest.fixture
def walled(judges: Callable[[str], Judge]) -> Judge:
    """The rung that everything else is measured by: fresh namespaces."""
    return judges("namespaces")


def ask(judge: Judge, source: str, exercise: str = "toy.twice", seed: int = 5, **more: bool) -> Verdict:
    """Judge dedented source."""
    return judge.verdict(exercise, dedent(source), seed=seed, **more)
