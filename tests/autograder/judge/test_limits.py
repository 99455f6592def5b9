"""Memory and files of a worker and all that it starts are held to their limits together, on every rung."""

from __future__ import annotations

import pytest

from autograder.judge.client import Judge
from autograder.judge.launchers import TEMPORARY_BYTES
from autograder.judge.verdict import Kind

from .conftest import ask

MIB = 1 << 20
QUICK = ["namespaces", "landlock", "child"]


@pytest.fixture(params=QUICK)
def quick(request: pytest.FixtureRequest, judges) -> Judge:
    """The rungs whose workers are forks."""
    return judges(request.param)


CHILDREN = """
    import os, time
    def twice(x, shift):
        for _ in range(8):
            if os.fork() == 0:
                held = b"x" * (100 << 20)
                time.sleep(1000)
        while True: time.sleep(0.01)
    """
SWALLOWS = """
    def twice(x, shift):
        held = []
        while True:
            try: held.append(b"x" * (1 << 20))
            except MemoryError: pass
    """
SWALLOWS_AND_FREES = """
    import torch
    def twice(x, shift):
        while True:
            held = []
            try:
                while True: held.append(torch.ones(4 << 20))
            except Exception: pass
    """


@pytest.mark.parametrize("source", [CHILDREN, SWALLOWS, SWALLOWS_AND_FREES], ids=["children", "keeps", "frees"])
def test_a_memory_bomb_ends_as_one_however_it_goes_off(quick: Judge, source: str) -> None:
    """The toy exercise gives 400 MiB; eight children hold 100 each."""
    verdict = ask(quick, source)
    assert (verdict.kind, verdict.points) == (Kind.MEMORY_LIMIT, 0.0), verdict


def test_children_that_share_what_their_parent_holds_are_within_its_memory(quick: Judge) -> None:
    source = """
        import os, time
        def twice(x, shift):
            held = b"x" * (200 << 20)
            for _ in range(4):
                if os.fork() == 0:
                    time.sleep(0.3)
                    os._exit(0)
            for _ in range(4): os.wait()
            return 2 * x + shift
        """
    verdict = ask(quick, source)
    assert verdict.kind is Kind.PASSED, verdict


def test_files_in_memory_count_as_memory_where_they_can_be_made(quick: Judge) -> None:
    source = """
        import os
        def twice(x, shift):
            files, piece = [], bytes(1 << 20)
            while True:
                files.append(os.memfd_create("hoard"))
                for _ in range(15): os.write(files[-1], piece)
                if len(files) == 60:
                    while True: os.sched_yield()
        """
    verdict = ask(quick, source)
    assert verdict.kind is (Kind.MEMORY_LIMIT if quick.rung == "child" else Kind.RAISED), verdict


FILL = """
    import os
    def twice(x, shift):
        places = {line.split()[1] for line in open("/proc/mounts")} | {"/", "/dev/shm", "/var/tmp", "/run", "."}
        places |= {place for place, _, _ in os.walk("/dev")}
        written = 0
        for place in sorted(os.path.realpath(place) for place in places if os.path.isdir(place)):
            try:
                for number in range(20):
                    with open(os.path.join(place, f"fill{number}"), "xb", buffering=0) as file:
                        for _ in range(15): written += file.write(bytes(1 << 20))
            except OSError: pass
        print("wrote", written)
        return 2 * x + shift
    """


@pytest.mark.parametrize("rung", ["namespaces", "bubblewrap"])
def test_all_places_to_write_in_hold_one_allowance_together(judges, rung: str) -> None:
    verdict = ask(judges(rung), FILL)
    assert verdict.kind is Kind.PASSED, verdict
    written = [int(line.split()[1]) for line in verdict.printed.splitlines()]
    assert TEMPORARY_BYTES // 2 < max(written) <= TEMPORARY_BYTES


@pytest.mark.parametrize("rung", ["landlock", "child"])
def test_a_folder_on_the_disk_is_weighed_where_nothing_else_bounds_it(judges, rung: str) -> None:
    source = """
        import os
        def twice(x, shift):
            for number in range(12):
                with open(f"fill{number}", "wb") as file:
                    file.write(bytes(15 << 20))
            while True: os.sched_yield()
        """
    verdict = ask(judges(rung), source)
    assert (verdict.kind, verdict.points) == (Kind.RAISED, 0.0), verdict
