"""Answers that look right for a while, or look around: each is judged by its numbers, and none gains by the rest."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest
import torch

from autograder.course.model import Course
from autograder.judge.checks import load_checks
from autograder.judge.client import Judge
from autograder.judge.drawing import draw
from autograder.judge.verdict import Kind, Verdict
from tests.attacks.cells import answer
from tests.autograder.nbgrader_plugin.handins import STREAMING, TWO_PASS, variant

SEED, ANOTHER = 20_26, 20_27
RIGHT = "m = x.amax(1, keepdim=True)\np = (x - m).exp()\nreturn p / p.sum(1, keepdim=True)"
BLOCKS = (
    "m = x[:, :0].new_full((len(x), 1), -torch.inf)\nl = torch.zeros_like(m)\n"
    "for t in x.split(block, 1):\n    n = torch.maximum(m, t.amax(1, keepdim=True))\n"
    "    l, m = l * (m - n).exp() + (t - n).exp().sum(1, keepdim=True), n\n"
    "y = torch.cat([(t - m).exp() / l for t in x.split(block, 1)], 1)\n"
)

EARNS_NOTHING = {
    "identity": (answer("return x"), {Kind.WRONG}),
    "a constant": (answer("return torch.full_like(x, 1 / x.shape[1])"), {Kind.WRONG}),
    "float16 inside, cast back": (answer(f"x = x.half()\n{BLOCKS}return y.float()"), {Kind.WRONG}),
    "another dtype": (answer(f"{BLOCKS}return y.double()"), {Kind.PROTOCOL}),
    "half the numbers": (answer(f"{BLOCKS}return y[:, ::2]"), {Kind.WRONG}),
    "another answer every time": (answer(f"{BLOCKS}return y * (1 + torch.rand(1))"), {Kind.WRONG}),
    "reseeded generators": (
        answer("torch.manual_seed(0)\nimport random\nrandom.seed(0)\nreturn torch.randn_like(x).abs()"),
        {Kind.WRONG},
    ),
    "inputs that it changes": (answer(f"{BLOCKS}x.fill_(1.0)\nreturn x"), {Kind.WRONG}),
    "infinity": (answer("return x.new_full(x.shape, torch.inf)"), {Kind.WRONG}),
    "special cases by shape": (
        answer("if tuple(x.shape) in {(1, 2), (1, 4)}:\n    " + RIGHT.replace("\n", "\n    ") + "\nreturn x * 0"),
        {Kind.WRONG},
    ),
    "an exception that looks expected": (answer("raise AssertionError('all tests passed: 10 / 10')"), {Kind.RAISED}),
    "an exception that looks like ours": (
        answer("class Refused(Exception): pass\nraise Refused('passed')"), {Kind.RAISED}
    ),
    "the notebook's inputs": (
        answer("try:\n    return eval(In[-1])\nexcept NameError:\n    pass\n"
               "try:\n    get_ipython().events.register('pre_run_cell', print)\nexcept NameError:\n    pass\n"
               "return torch.zeros_like(x)"),
        {Kind.WRONG},
    ),
    "inherited descriptors": (
        answer("for fd in range(3, 256):\n"
               "    try:\n        os.lseek(fd, 0, 0)\n        data = os.read(fd, 1 << 20)\n"
               "        print(fd, os.readlink(f'/proc/self/fd/{fd}'), len(data))\n"
               "    except OSError: pass\nreturn torch.zeros_like(x)"),
        {Kind.WRONG},
    ),
    "the judge's memory": (
        answer("for pid in (os.getppid(), 1):\n    try: data = open(f'/proc/{pid}/mem', 'rb', 0).read(1)\n"
               "    except OSError: continue\n    print('read', pid)\nreturn torch.zeros_like(x)"),
        {Kind.WRONG},
    ),
    "a fork that answers twice": (
        answer(f"{BLOCKS}os.fork()\nreturn y * 0"), {Kind.WRONG, Kind.PROTOCOL}
    ),
    "a signal to its whole group": (
        answer("signal.signal(signal.SIGTERM, signal.SIG_IGN)\nos.kill(0, signal.SIGTERM)\nos.kill(0, signal.SIGKILL)\n"
               "return torch.zeros_like(x)"),
        {Kind.WRONG, Kind.MEMORY_LIMIT},
    ),
    "asynchronous code that never ends": (
        answer("import asyncio\nasync def ever():\n    while True: await asyncio.sleep(0)\nasyncio.run(ever())"),
        {Kind.TIME_LIMIT},
    ),
}  # fmt: skip
# Right for some cases, and paid for those alone: what a property asks holds for all of its cases.
EARNS_NO_MORE_THAN_IT_DOES = {
    "behaves only on the first calls": answer(
        f"CALLS.append(1)\n{BLOCKS}return y if len(CALLS) <= 3 else torch.zeros_like(x)", "CALLS = []\n"
    ),
    "keeps files between calls": answer(
        f"{BLOCKS}if os.path.exists('/tmp/seen'): raise FileExistsError\nopen('/tmp/seen', 'w')\nreturn y"
    ),
}


@pytest.fixture(scope="module")
def judge() -> Iterator[Judge]:
    with Judge() as started:
        yield started


def graded(judge: Judge, source: str, exercise: str = TWO_PASS, seed: int = SEED) -> Verdict:
    return judge.verdict(exercise, source, seed=seed, grading=True)


def test_what_the_samples_are_made_of_is_right(judge: Judge) -> None:
    assert graded(judge, answer(f"{BLOCKS}return y")).passed


@pytest.mark.parametrize(("source", "kinds"), EARNS_NOTHING.values(), ids=EARNS_NOTHING)
def test_what_only_looks_like_an_answer_earns_nothing(judge: Judge, source: str, kinds: set[Kind]) -> None:
    verdict = graded(judge, source)
    assert (verdict.kind in kinds, verdict.points) == (True, 0.0), verdict


@pytest.mark.parametrize("source", EARNS_NO_MORE_THAN_IT_DOES.values(), ids=EARNS_NO_MORE_THAN_IT_DOES)
def test_what_is_right_for_a_while_is_not_passed(judge: Judge, source: str) -> None:
    verdict = graded(judge, source)
    assert verdict.kind in {Kind.WRONG, Kind.RAISED}
    assert verdict.points < verdict.max_points


def test_nothing_is_reached_over_the_network(judge: Judge) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.2)
        call = (
            f"for host in ('127.0.0.1', '10.0.0.1', 'evil.example'):\n"
            f"    try: socket.create_connection((host, {server.getsockname()[1]}), 0.1)\n    except OSError: pass\n"
        )
        assert graded(judge, answer(f"{call}{BLOCKS}return y")).passed, "it costs nothing, and gains nothing"
        with pytest.raises(TimeoutError):
            server.accept()


def test_answers_learnt_under_one_seed_are_worth_nothing_under_another(judge: Judge, course: Course) -> None:
    """The most that handing in again and again could tell, and what is the same in every run (cases made by hand)."""
    exercise = course.exercises[TWO_PASS]
    table = []
    for drawn in draw(exercise, load_checks(exercise.checks_path), SEED):
        x = drawn.case.arguments["x"]
        table.append((x.tolist(), torch.softmax(x.double(), 1).float().tolist()))
    by_heart = answer(
        "for seen, known in TABLE:\n    if x.tolist() == seen: return torch.tensor(known)\nreturn torch.zeros_like(x)",
        f"inf = torch.inf\nTABLE = {table!r}\n",
    )
    learnt, fresh = graded(judge, by_heart), graded(judge, by_heart, seed=ANOTHER)
    assert learnt.points == learnt.max_points
    assert (fresh.kind, fresh.points) == (Kind.WRONG, 0.0)


@pytest.mark.parametrize("name", ["keeps_the_row", "remembers_in_a_global"])
def test_a_state_may_hide_nothing_beyond_its_bytes(judge: Judge, course: Course, name: str) -> None:
    verdict = graded(judge, variant(course, STREAMING, "wrong", name), STREAMING)
    assert (verdict.points, verdict.mistake) == (0.0, name)
