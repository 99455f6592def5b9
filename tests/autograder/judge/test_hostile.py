"""Submissions that attack: none gains a mark, none harms the next verdict, none leaves a process behind."""

from __future__ import annotations

import contextlib
import os
import socket
import sys
import threading
import time
from pathlib import Path

import pytest

from autograder.judge.client import Judge, JudgeError
from autograder.judge.verdict import Kind, Verdict

from .conftest import CANARY, TOTAL, TWICE, ask

RIGHT = "2 * x + shift"


def answer(body: str, top: str = "import os, sys, torch\n") -> str:
    """A cell whose `twice` has the given body."""
    lines = "\n".join(f"    {line}" for line in body.strip("\n").split("\n"))
    return f"{top}\ndef twice(x, shift):\n{lines}\n"


ATTACKS: dict[str, tuple[str, set[Kind]]] = {
    "endless loop": (answer("while True: pass"), {Kind.TIME_LIMIT}),
    "endless loop on loading": ("while True:\n    pass\n" + TWICE, {Kind.TIME_LIMIT}),
    "loop that swallows interrupts": (
        answer(
            "import signal\nfor n in range(1, 32):\n    try: signal.signal(n, signal.SIG_IGN)\n"
            "    except OSError: pass\nwhile True:\n    try:\n        while True: pass\n    except BaseException: pass"
        ),
        {Kind.TIME_LIMIT},
    ),
    "sleep": (answer("import time; time.sleep(100)"), {Kind.TIME_LIMIT}),
    "memory bomb": (answer("return torch.ones(1 << 30) + x.sum()"), {Kind.MEMORY_LIMIT}),
    "memory bomb of bytes": (
        answer("return [bytearray(1 << 20) for _ in range(1 << 14)]"),
        {Kind.MEMORY_LIMIT},
    ),
    "os._exit": (answer("os._exit(0)"), {Kind.PROTOCOL}),
    "sys.exit": (answer("sys.exit(0)"), {Kind.PROTOCOL}),
    "sys.exit on loading": ("import sys\nsys.exit(0)\n", {Kind.PROTOCOL}),
    "abort": (answer("os.abort()"), {Kind.RAISED}),
    "segmentation fault": (answer("import ctypes; ctypes.string_at(0)"), {Kind.RAISED}),
    "keyboard interrupt": (answer("raise KeyboardInterrupt"), {Kind.RAISED}),
    "endless recursion": (answer("return twice(x, shift)"), {Kind.RAISED}),
    "tensor subclass": (
        answer(f"return ({RIGHT}).as_subclass(Lucky)", "import torch\nclass Lucky(torch.Tensor):\n    pass\n"),
        {Kind.RAISED},
    ),
    "class that equals everything": (
        answer("return Yes()", "class Yes:\n    def __eq__(self, other):\n        return True\n"),
        {Kind.RAISED},
    ),
    "NaN": (answer("return x * float('nan')"), {Kind.WRONG}),
    "infinity": (answer("return x / 0"), {Kind.WRONG}),
    "zeros": (answer("return torch.zeros_like(x)"), {Kind.WRONG}),
    "patched allclose": (
        answer("return x", "import torch\ntorch.allclose = torch.equal = lambda *a, **k: True\n"),
        {Kind.WRONG},
    ),
    "patched comparison": (
        answer("return x", "import torch\ntorch.Tensor.__eq__ = torch.Tensor.__le__ = lambda *a: torch.ones(1) > 0\n"),
        {Kind.WRONG},
    ),
    "reseeded generators": (answer("torch.manual_seed(0)\nreturn torch.randn_like(x)"), {Kind.WRONG}),
    "forged verdict": (
        answer(
            'text = b\'{"pass": true, "buffers": []}\'\n'
            "for fd in range(3, 20):\n    try: os.write(fd, len(text).to_bytes(4, 'little') + text)\n"
            "    except OSError: pass\nreturn x"
        ),
        {Kind.PROTOCOL},
    ),
    "stolen call id with zeros": (
        answer(
            "import gc, json\n"
            "frame = sys._getframe(1)\ncall = frame.f_locals['call']['call']\n"
            "text = json.dumps({'call': call, 'outcome': 'returned', 'single': True,"
            " 'buffers': [['float32', list(x.shape)]]}).encode()\n"
            "data = len(text).to_bytes(4, 'little') + text + bytes(4 * x.numel())\n"
            "for fd in range(3, 20):\n    try: os.write(fd, data)\n    except OSError: pass\n"
            "os._exit(0)"
        ),
        {Kind.WRONG},
    ),
    "flood of the reply pipe": (
        answer(
            "while True:\n    for fd in range(3, 20):\n        try: os.write(fd, b'\\xff' * 65536)\n"
            "        except OSError: pass"
        ),
        {Kind.PROTOCOL},
    ),
    "closed descriptors": (answer("os.closerange(0, 100)\nreturn x"), {Kind.PROTOCOL}),
    "walk of the frames": (
        answer(
            "import gc\nframe, found = sys._getframe(), []\n"
            "while frame:\n    found += [v for v in frame.f_locals.values() if isinstance(v, torch.Tensor)]\n"
            "    frame = frame.f_back\n"
            "found += [o for o in gc.get_objects() if isinstance(o, torch.Tensor)]\n"
            "for t in found:\n    if t is not x and t.shape == x.shape and t.is_floating_point(): return t.clone()\n"
            "return x.clone()"
        ),
        {Kind.WRONG},
    ),
    "freed memory": (answer("return torch.empty_like(x)"), {Kind.WRONG}),
}


@pytest.mark.parametrize(("source", "kinds"), ATTACKS.values(), ids=ATTACKS.keys())
def test_an_attack_earns_nothing_and_is_called_what_it_is(judge: Judge, source: str, kinds: set[Kind]) -> None:
    started = time.monotonic()
    verdict = ask(judge, source)
    assert verdict.kind in kinds, verdict
    assert verdict.points == 0
    assert time.monotonic() - started < 20
    assert ask(judge, TWICE).passed, "the next verdict must not suffer"


@pytest.mark.parametrize("rung", ["bubblewrap", "landlock"])
@pytest.mark.parametrize("attack", ["endless loop on loading", "os._exit", "memory bomb"])
def test_the_rungs_for_other_machines_hold_too(judges, attack: str, rung: str) -> None:
    source, kinds = ATTACKS[attack]
    verdict = ask(judges(rung), source)
    assert (verdict.kind in kinds, verdict.points) == (True, 0.0), verdict


def test_bubblewrap_judges_honest_answers_and_contracts(judges) -> None:
    bubblewrap = judges("bubblewrap")
    assert ask(bubblewrap, TWICE).passed
    verdict = ask(bubblewrap, TOTAL, exercise="toy.total")
    assert (verdict.kind, verdict.rung) == (Kind.PASSED, "bubblewrap")


def test_fifty_megabytes_on_one_line_are_capped_and_harm_nothing(judge: Judge) -> None:
    verdict = ask(judge, answer(f"print('a' * 50_000_000 + 'the end')\nreturn {RIGHT}"))
    assert verdict.passed
    assert len(verdict.printed) < 70_000
    assert "bytes left out" in verdict.printed


def test_terminal_escapes_do_not_reach_the_reader(walled: Judge) -> None:
    verdict = ask(walled, answer(f"print('\\x1b]0;owned\\x07\\x1b[2Jhello\\u202e')\nreturn {RIGHT}"))
    assert verdict.printed.strip() == "hello"


HOARDERS = {
    "file in the temporary folder": (
        "import os, torch\nF = '/tmp/hoard.pt'\n"
        "def init(rows):\n    return torch.zeros(rows)\n"
        "def update(s, tile):\n"
        "    seen = torch.load(F) if os.path.exists(F) else []\n    torch.save(seen + [tile], F)\n    return s\n"
        "def finish(s):\n    return torch.cat(torch.load(F), 1).sum(1)\n"
    ),
    "global": (
        "import torch\nSEEN = []\ndef init(rows):\n    return torch.zeros(rows)\n"
        "def update(s, tile):\n    SEEN.append(tile)\n    return s\n"
        "def finish(s):\n    return torch.cat(SEEN, 1).sum(1)\n"
    ),
    "attribute of torch": (
        "import torch\ndef init(rows):\n    torch.seen = []\n    return torch.zeros(rows)\n"
        "def update(s, tile):\n    torch.seen.append(tile)\n    return s\n"
        "def finish(s):\n    return torch.cat(torch.seen, 1).sum(1)\n"
    ),
    "file in another place": (
        "import os, torch\nPLACES = '/dev/shm /var/tmp /run /root /home . /usr/lib'.split()\n"
        "def paths():\n    return [p + '/hoard.pt' for p in PLACES]\n"
        "def init(rows):\n    return torch.zeros(rows)\n"
        "def update(s, tile):\n    for p in paths():\n"
        "        try:\n            seen = torch.load(p) if os.path.exists(p) else []\n"
        "            torch.save(seen + [tile], p)\n"
        "        except (OSError, RuntimeError): pass\n    return s\n"
        "def finish(s):\n    for p in paths():\n        if os.path.exists(p):\n"
        "            return torch.cat(torch.load(p), 1).sum(1)\n"
        "    raise ValueError('nothing kept')\n"
    ),
    "daemon on an abstract socket": (
        "import os, socket, time, torch\n"
        "def init(rows):\n"
        "    if os.fork() == 0:\n        os.setsid()\n        s = socket.socket(socket.AF_UNIX)\n"
        "        s.bind('\\0tilewise-hoard')\n        s.listen()\n        time.sleep(60)\n        os._exit(0)\n"
        "    time.sleep(0.1)\n    return torch.zeros(rows)\n"
        "def update(s, tile):\n    socket.socket(socket.AF_UNIX).connect('\\0tilewise-hoard')\n"
        "    return s + tile.sum(1)\n"
        "def finish(s):\n    return s\n"
    ),
}


@pytest.mark.parametrize("source", HOARDERS.values(), ids=HOARDERS.keys())
def test_what_a_call_hides_is_gone_at_the_next_tile(walled: Judge, source: str) -> None:
    verdict = ask(walled, source, exercise="toy.total")
    assert verdict.points == 0, verdict
    assert verdict.kind in {Kind.RAISED, Kind.WRONG}


def test_no_process_holds_two_tiles_of_rows_that_share_their_numbers(walled: Judge) -> None:
    """The toy course cuts one row in two ways; a process that saw both could answer from the wider tile."""
    source = (
        "import torch\nWIDEST = {}\ndef init(rows):\n    return torch.zeros(rows)\n"
        "def update(s, tile):\n    print(tuple(tile.shape))\n    key = tile.shape[0]\n"
        "    WIDEST.setdefault(key, set()).add(tile.shape[1])\n"
        "    assert len(WIDEST[key]) == 1, 'saw two tilings of one row'\n    return s + tile.sum(1)\n"
        "def finish(s):\n    return s\n"
    )
    verdict = ask(walled, source, exercise="toy.total")
    assert {r.name: r.kind for r in verdict.properties}["total"] is Kind.PASSED


@pytest.fixture(params=["namespaces", "bubblewrap"])
def isolating(request: pytest.FixtureRequest, judges) -> Judge:
    """The rungs that promise walls."""
    return judges(request.param)


def spied(judge: Judge, look: str) -> Verdict:
    """What the student's code prints when it looks around and then answers rightly."""
    verdict = ask(judge, answer(f"{look}\nreturn {RIGHT}"))
    assert verdict.passed, verdict
    return verdict


def test_no_environment_of_the_machine_shows(isolating: Judge) -> None:
    look = (
        "import glob\nfor p in glob.glob('/proc/[0-9]*/environ'):\n"
        "    try: print(p, open(p).read())\n    except OSError as e: print(p, type(e).__name__)\n"
        "print(dict(os.environ))"
    )
    printed = spied(isolating, look).printed
    assert "/proc/1/environ" in printed
    assert CANARY not in printed
    assert str(Path.home()) not in printed.replace(os.path.realpath(sys.base_prefix), "")


@pytest.mark.parametrize("rung", ["namespaces", "bubblewrap"])
def test_the_name_of_the_machine_does_not_show(judges, rung: str) -> None:
    assert spied(judges(rung), "import socket\nprint(socket.gethostname())").printed.split()[-1] == "tilewise"


def test_neither_course_nor_judge_nor_library_can_be_found(isolating: Judge, toy_course: Path) -> None:
    repository = Path(__file__).resolve().parents[3]
    ours = "('auto' + 'grader', 'tile' + 'wise', 'tile' + 'wise_lab')"  # the names themselves are forbidden
    look = (
        "import importlib.util, pathlib\n"
        "places = {q for p in sys.path for q in [pathlib.Path(p), *pathlib.Path(p).parents]}\n"
        f"for path in [q / name for q in places for name in ('course', 'pyproject.toml', *{ours})]:\n"
        "    signs = [path / '__init__.py', path / 'course.toml']\n"
        "    if path.is_file() or any(sign.exists() for sign in signs): print('found', path)\n"
        f"for path in {[str(repository / 'course'), str(repository / 'tests'), str(toy_course)]!r}:\n"
        "    if os.path.exists(path): print('found', path)\n"
        f"for name in {ours}:\n"
        "    if importlib.util.find_spec(name): print('found', name)\n"
        f"print([m for m in sys.modules if m.startswith({ours})])"
    )
    verdict = ask(isolating, answer(f"{look}\nreturn {RIGHT}"))
    assert verdict.passed, verdict
    assert "found" not in verdict.printed
    assert verdict.printed.strip().endswith("[]")


def test_the_network_is_out_of_reach(isolating: Judge) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        look = (
            "import socket\ntry:\n    s = socket.socket()\n    s.settimeout(1)\n"
            f"    s.connect(('127.0.0.1', {server.getsockname()[1]}))\n    print('reached')\n"
            "except OSError as e: print(type(e).__name__)"
        )
        assert "reached" not in spied(isolating, look).printed


def test_a_worker_is_nobody_and_may_nothing(isolating: Judge) -> None:
    look = (
        "import ctypes\nlibc = ctypes.CDLL(None, use_errno=True)\n"
        "for line in open('/proc/self/status'):\n"
        "    if line.startswith(('CapEff', 'CapPrm', 'CapBnd', 'NoNewPrivs', 'Uid')): print(*line.split())\n"
        "print('unshare', libc.unshare(0x10000000), 'mount', libc.mount(b'none', b'/tmp', b'tmpfs', 0, None))\n"
        "print('pids', sorted(int(p) for p in os.listdir('/proc') if p.isdigit())[-1] < 20)\n"
        "for p in ('/usr/x', '/x', os.path.dirname(torch.__file__) + '/x', '/proc/sys/kernel/hostname'):\n"
        "    try: open(p, 'w').write('x'); print('wrote', p)\n    except OSError as e: print('no')"
    )
    printed = spied(isolating, look).printed
    for line in ("CapEff: 0000000000000000", "CapPrm: 0000000000000000", "CapBnd: 0000000000000000", "NoNewPrivs: 1"):
        assert line in printed
    assert "Uid: 65534" in printed
    assert "unshare -1 mount -1" in printed
    assert "pids True" in printed
    assert "wrote" not in printed


def test_the_filter_stands(isolating: Judge) -> None:
    numbers = {"ptrace": 101, "keyctl": 250, "unshare": 272, "io_uring_setup": 425, "bpf": 321, "memfd_create": 319}
    look = (
        "import ctypes, socket\nlibc = ctypes.CDLL(None, use_errno=True)\n"
        "print([line.split()[1] for line in open('/proc/self/status') if line.startswith('Seccomp:')])\n"
        f"for name, number in {numbers}.items():\n"
        "    print(name, libc.syscall(number, 0, 0, 0, 0, 0), ctypes.get_errno())\n"
        "for family in (socket.AF_INET, 40, 16):\n"
        "    try: socket.socket(family, socket.SOCK_STREAM); print('open', family)\n"
        "    except OSError as e: print('closed')"
    )
    if os.uname().machine != "x86_64":
        pytest.skip("the numbers of system calls above are those of x86-64")
    printed = spied(isolating, look).printed
    assert "['2']" in printed
    for name in numbers:
        assert f"{name} -1 1\n" in printed
    assert printed.count("closed") == 3


def test_processes_are_counted_so_that_a_fork_bomb_fizzles(isolating: Judge) -> None:
    # Bounded, in case the limit does not hold.
    look = (
        "import time\nmade = 0\nfor _ in range(300):\n"
        "    try:\n        if os.fork() == 0:\n            time.sleep(30)\n            os._exit(0)\n"
        "    except OSError: break\n    made += 1\nprint('made', made)"
    )
    printed = spied(isolating, look).printed
    assert 1 <= int(printed.split("made")[1].split()[0]) <= 64


@pytest.mark.parametrize(("processes", "tried"), [(45, 1), (5, 2)])
def test_a_swarm_is_met_once_and_the_other_cases_are_left(judge: Judge, processes: int, tried: int) -> None:
    verdict = ask(
        judge,
        answer(
            f"for _ in range({processes}):\n    if os.fork() == 0:\n        import time\n        time.sleep(30)\n"
            "        os._exit(0)\nwhile True: pass"
        ),
    )
    ends = [result.kind for result in verdict.properties]
    assert sorted(ends) == sorted([Kind.TIME_LIMIT] * tried + [Kind.NOT_RUN] * (len(ends) - tried))


def test_the_disk_and_memory_files_fill_up_without_harm(isolating: Judge) -> None:
    look = (
        "try:\n    with open('/tmp/big', 'wb') as f:\n        for _ in range(1000): f.write(bytes(1 << 20))\n"
        "    print('wrote it all')\nexcept OSError as e: print('full', e.errno)"
    )
    assert "full" in spied(isolating, look).printed


def named(comm: str) -> list[int]:
    """The processes of this machine by that name."""
    found = []
    for path in Path("/proc").glob("[0-9]*/comm"):
        try:
            if path.read_text().strip() == comm:
                found.append(int(path.parent.name))
        except (FileNotFoundError, ProcessLookupError):
            continue
    return found


@pytest.mark.parametrize("rung", ["namespaces", "child", "bubblewrap"])
def test_daemons_and_threads_are_gone_when_the_verdict_comes(judges, rung: str) -> None:
    comm = f"tw-daemon-{rung[:4]}"
    body = (
        f"import ctypes, threading, time\nctypes.CDLL(None).prctl(15, b'{comm}', 0, 0, 0)\n"
        "threading.Thread(target=time.sleep, args=(60,)).start()\n"
        "if os.fork() == 0:\n    os.setsid()\n    if os.fork() == 0:\n        os.setsid()\n"
        "        ctypes.CDLL(None).prctl(1, 0, 0, 0, 0)\n        time.sleep(60)\n    os._exit(0)\n"
        "ctypes.CDLL(None).prctl(1, 0, 0, 0, 0)\n"
        f"time.sleep(0.05)\nprint('running as', open('/proc/self/comm').read())\nreturn {RIGHT}"
    )
    verdict = ask(judges(rung), answer(body))
    assert verdict.passed, verdict
    assert comm in verdict.printed
    assert named(comm) == []


def test_a_dying_judge_takes_its_workers_along(toy_course: Path) -> None:
    comm = "tw-orphan"
    source = answer(f"import ctypes, time\nctypes.CDLL(None).prctl(15, b'{comm}', 0, 0, 0)\ntime.sleep(60)")
    judge = Judge(course=toy_course, rung="namespaces")
    thread = threading.Thread(target=lambda: _quietly(judge, source))
    thread.start()
    _wait_for(lambda: named(comm))
    assert judge._child is not None
    judge._child._process.kill()
    thread.join(20)
    _wait_for(lambda: not named(comm))
    judge.close()


def _quietly(judge: Judge, source: str) -> None:
    with contextlib.suppress(JudgeError):
        ask(judge, source)


def _wait_for(condition) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline, "it did not come about within 20 s"
        time.sleep(0.02)
