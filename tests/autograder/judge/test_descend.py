"""Started by root, the judge is root no more before it reads anything; what it cannot leave behind it tells."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from autograder.judge import descend, isolation
from autograder.judge.client import Judge

from .conftest import TWICE, ask
from .forks import in_a_fork
from .test_hostile import RIGHT, answer

REPOSITORY = Path(__file__).resolve().parents[3]
pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root can stop being root")


def status_of(pid: int) -> dict[str, str]:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}


def everybody_below(pid: int) -> list[int]:
    found = [pid]
    for parent in found:
        found += map(int, Path(f"/proc/{parent}/task/{parent}/children").read_text().split())
    return found


def copied(toy_course: Path, folder: Path) -> Path:
    """A course of one chapter below a folder that only its owner may enter."""
    home = folder / "home"
    home.mkdir(mode=0o700)
    course = home / "class" / "course"
    course.parent.mkdir()
    subprocess.run(["cp", "-r", str(toy_course), str(course)], check=True)
    return course


@pytest.mark.parametrize("rung", ["namespaces", "bubblewrap", "landlock", "child"])
def test_no_process_of_the_judge_is_root_on_any_rung(judges, rung: str) -> None:
    judge = judges(rung)
    assert judge.remarks == []
    service = judge._child._process.pid
    users = {user for pid in everybody_below(service) for user in status_of(pid)["Uid"].split()}
    assert [int(user) in descend.STRANGERS for user in users] == [True]
    for name in ("CapEff", "CapPrm", "CapInh", "CapAmb"):
        assert int(status_of(service)[name], 16) == 0
    # `bwrap` may be one of the programs that raise their own rights.
    assert status_of(service)["NoNewPrivs"] == ("0" if rung == "bubblewrap" else "1")


TOP = "import os, time, torch\n"
BOMB = """
made = 0
for _ in range(400):  # bounded, in case the limit does not hold
    try:
        if os.fork() == 0:
            time.sleep(30)
            os._exit(0)
    except OSError: break
    made += 1
"""


@pytest.mark.parametrize("rung", ["landlock", "child"])
def test_a_fork_bomb_is_held_though_root_started_the_judge(judges, rung: str) -> None:
    verdict = ask(judges(rung), answer(f"{BOMB}\nprint('made', made)\nreturn {RIGHT}", TOP))
    assert verdict.passed, verdict
    assert 1 <= int(verdict.printed.split("made")[1].split()[0]) < 200


def test_a_fork_bomb_before_one_judge_takes_no_room_of_another(toy_course: Path) -> None:
    """Their limits are set before the bomb goes off, when nobody's processes are there yet."""
    with Judge(course=toy_course, rung="child") as bombed, Judge(course=toy_course, rung="child") as calm:
        assert ask(bombed, TWICE).passed
        assert ask(calm, TWICE).passed
        with ThreadPoolExecutor() as pool:
            bomb = pool.submit(ask, bombed, answer(f"time.sleep(0.5)\n{BOMB}\ntime.sleep(0.5)\nreturn {RIGHT}", TOP))
            verdict = ask(calm, answer(f"time.sleep(0.8)\nif os.fork() == 0: os._exit(0)\nreturn {RIGHT}", TOP))
        assert bomb.result().passed, bomb.result()
        assert verdict.passed, verdict


def test_a_course_that_is_itself_closed_is_read(toy_course: Path) -> None:
    with tempfile.TemporaryDirectory(prefix="tilewise-course-", dir="/tmp") as folder:
        course = Path(folder)  # which only its owner may enter, though everybody may come to its door
        subprocess.run(["cp", "-r", f"{toy_course}/.", folder], check=True)
        course.chmod(0o700)
        with Judge(course=course) as judge:
            assert ask(judge, TWICE).passed
            assert judge.remarks == []


@pytest.mark.parametrize("mode", [0o700, 0o755])
def test_a_course_below_a_closed_home_is_read_and_stays_closed_to_others(
    toy_course: Path, tmp_path: Path, mode: int
) -> None:
    course = copied(toy_course, tmp_path)
    course.chmod(mode)
    with Judge(course=course) as judge:
        assert ask(judge, TWICE).passed
        assert judge.remarks == []
        user = status_of(judge._child._process.pid)["Uid"].split()[0]  # type: ignore[union-attr]
        assert int(user) in descend.STRANGERS

    def as_nobody() -> bool:
        isolation.become(isolation.NOBODY)
        return os.access(course, os.R_OK)

    assert in_a_fork(as_nobody) is False


def test_what_keeps_the_judge_root_is_told_and_its_capabilities_go_all_the_same(
    toy_course: Path, tmp_path: Path
) -> None:
    course = copied(toy_course, tmp_path)
    private = course / "01_toy" / "twice" / "solution.py"
    private.chmod(0o600)
    with Judge(course=course) as judge:
        assert ask(judge, TWICE).passed
        remark = judge.remarks[0].en
        assert f"another user cannot read {private}" in remark
        assert "stays the user root" in remark
        status = status_of(judge._child._process.pid)  # type: ignore[union-attr]
        assert int(status["CapEff"], 16) == int(status["CapBnd"], 16) == 0
        assert status["NoNewPrivs"] == "1"


ONLY_ROOT_MAKES_NAMESPACES = """
import json, pathlib, sys
from autograder.judge import descend, service
descend._makes_namespaces = lambda: False
judge = service.Service(pathlib.Path(sys.argv[1]), None)
request = {"exercise": "toy.twice", "source": sys.argv[2], "seed": 5, "grading": False}
kind = judge.verdict(request)["kind"]
server = judge._sandbox._launcher._process.pid
from autograder.judge.processes import descendants
from autograder.judge.sandbox import Call, Limits
with judge._sandbox.worker(["import torch; f = lambda: torch.ones(1)"], Limits(5, 400)) as worker:
    worker.call(Call(0, "f"))
    (inside,) = descendants(worker._wires.life.root)
    is_seen = "Pss_Anon" in open(f"/proc/{inside}/smaps_rollup").read()
users = [open(f"/proc/{pid}/status").read().split("Uid:")[1].split()[0] for pid in ("self", server)]
print(json.dumps([judge.rung, kind, is_seen, *users, *(r.en for r in judge.remarks)]))
judge.close()
"""


def test_where_only_root_may_make_namespaces_the_fork_server_alone_keeps_its_rights(toy_course: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", ONLY_ROOT_MAKES_NAMESPACES, str(toy_course), TWICE],
        env=os.environ | {"PYTHONPATH": f"{REPOSITORY}:{REPOSITORY / 'src'}", "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    *found, remark = json.loads(done.stdout)
    user = found.pop(3)
    assert int(user) in descend.STRANGERS
    assert found == ["namespaces", "OK", True, "0"]
    assert "fork server keeps root's rights" in remark


def test_the_way_is_opened_in_a_view_of_its_own(tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    (closed / "deep").mkdir(parents=True)
    (closed / "deep" / "file").write_text("read me")
    (closed / "other").write_text("private")
    (closed / "link").symlink_to("deep")
    closed.chmod(0o700)

    def go_down() -> list[object]:
        isolation.open_the_way([str(closed / "deep"), str(closed / "link")])
        isolation.become(isolation.NOBODY)
        return [(closed / "link" / "file").read_text(), sorted(os.listdir(closed))]

    assert in_a_fork(go_down) == ["read me", ["deep", "link"]]
    assert sorted(os.listdir(closed)) == ["deep", "link", "other"]
    assert closed.stat().st_mode & 0o777 == 0o700


def test_looking_ahead_changes_nothing_here(toy_course: Path) -> None:
    before = os.getresuid(), Path("/proc/self/mountinfo").read_text()
    assert descend.outlook(toy_course).obstacle == ""
    assert (os.getresuid(), Path("/proc/self/mountinfo").read_text()) == before
