"""Hostile cells: what a student's code can try from inside. Every one answers `online_softmax.two_pass`.

Where an attack comes with a right answer, it must not cost the student a mark; where it takes the place of one, it must
not earn any. Processes that an attack leaves running are named PROCESS, files that it makes hold MARK in their name.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from autograder.judge.verdict import Kind
from tests.attacks.roll import RIGHT, Outcome, nothing
from tests.autograder.nbgrader_plugin.handins import TWO_PASS

PROCESS = "tw-was-here"
MARK = "tilewise-was-here"
HEAD = f"# exercise: {TWO_PASS}\nimport ctypes, os, signal, socket, sys, threading, time\nimport torch\n"
# Called with the id of a call that it stole from the worker's frames, or with one of its own.
REPLY = """
def reply(call, outcome="returned", shape=(), operators=()):
    import json
    header = {"call": call, "outcome": outcome, "single": True, "buffers": [["float32", list(shape)]],
              "operators": list(operators)}
    text = json.dumps(header).encode()
    size = 4
    for side in shape:
        size *= side
    data = len(text).to_bytes(4, "little") + text + bytes(size)
    for descriptor in range(3, 20):
        try:
            os.write(descriptor, data)
        except OSError:
            pass
"""

# In a fresh interpreter nothing would be switched off.
FRESH = """
import pickle, subprocess
FRESH = "; ".join([
    "import pickle, sys", "sys.path[:] = pickle.load(sys.stdin.buffer)", "import torch",
    "x = torch.tensor(pickle.load(sys.stdin.buffer))", "f = getattr(torch, 'soft' + 'max')",
    "sys.stdout.buffer.write(pickle.dumps(f(x, 1).tolist()))",
])
"""


def answer(body: str, top: str = "") -> str:
    """A cell whose `online_softmax` has the given body."""
    lines = "\n".join(f"    {line}" for line in body.strip("\n").split("\n"))
    return f"{HEAD}{top}\ndef online_softmax(x, block):\n{lines}\n"


def cells(solution: str, classroom: Path) -> Mapping[str, tuple[str, Outcome]]:
    """Give name -> (cell, what it must come to). solution: a right cell.   classroom: where the gradebook lies."""
    return {
        **_exhaustion(solution),
        **_tampering(solution, classroom),
        **_theft(),
        **_escape(solution),
        **_forbidden(),
    }


def _exhaustion(solution: str) -> dict[str, tuple[str, Outcome]]:
    return {
        "loop-that-swallows-interrupts": (
            answer(
                "for n in range(1, 65):\n    try: signal.signal(n, signal.SIG_IGN)\n"
                "    except (OSError, ValueError): pass\n"
                "while True:\n    try:\n        while True: pass\n    except BaseException: pass"
            ),
            nothing(Kind.TIME_LIMIT),
        ),
        "sleeper": (answer("time.sleep(10_000)"), nothing(Kind.TIME_LIMIT)),
        "memory-bomb": (
            # Taken and not touched: to fill two GiB takes a busy machine longer than the class waits.
            answer("held = []\nwhile True: held.append(bytes(1 << 28))"), nothing(Kind.MEMORY_LIMIT)
        ),
        "fork-bomb": (
            answer("while True:\n    try: os.fork()\n    except OSError: pass"),
            nothing(Kind.TIME_LIMIT, Kind.PROTOCOL),
        ),
        "disk-filler": (
            answer(
                f"with open('/tmp/{MARK}', 'wb') as file:\n    while True: file.write(bytes(1 << 20))"
            ),
            nothing(Kind.RAISED),
        ),
        "memory-file-filler": (
            answer("file = os.memfd_create('x')\nwhile True: os.write(file, bytes(1 << 20))"),
            nothing(Kind.RAISED, Kind.MEMORY_LIMIT),
        ),
        "fifty-megabytes-on-one-line": (f"{solution}\nprint('a' * 50_000_000)\n", RIGHT),
        "flood-of-the-reply-pipe": (
            answer(
                "while True:\n    for fd in range(3, 20):\n        try: os.write(fd, b'\\xff' * 65536)\n"
                "        except OSError: pass"
            ),
            nothing(Kind.PROTOCOL),
        ),
        "brackets-without-end": (f"{HEAD}x = {'(' * 20_000}\n", nothing(Kind.RAISED)),
        "deep-recursion": (answer("return online_softmax(x, block)"), nothing(Kind.RAISED)),
    }  # fmt: skip


def _tampering(solution: str, classroom: Path) -> dict[str, tuple[str, Outcome]]:
    gradebook = (
        "import atexit, glob, sqlite3\n"
        "def rob():\n"
        f"    places = [{str(classroom / 'gradebook.db')!r}, *glob.glob('/*/*/gradebook.db'), 'gradebook.db']\n"
        "    for place in places:\n"
        "        try:\n"
        "            with sqlite3.connect(place) as book:\n"
        "                book.execute('UPDATE grade SET auto_score = 10, manual_score = 10')\n"
        "        except sqlite3.Error: pass\n"
        "atexit.register(rob)\n"
    )
    stolen = "frame = sys._getframe(1)\nreply(frame.f_locals['call']['call'], shape=x.shape)\nos._exit(0)"
    return {
        "os-exit": (answer("os._exit(0)"), nothing(Kind.PROTOCOL)),
        "sys-exit-on-loading": (f"{HEAD}sys.exit(0)\n", nothing(Kind.PROTOCOL)),
        "keyboard-interrupt": (answer("raise KeyboardInterrupt"), nothing(Kind.RAISED)),
        "segmentation-fault": (answer("ctypes.string_at(0)"), nothing(Kind.RAISED)),
        "patched-allclose": (
            answer(
                "return torch.zeros_like(x)",
                "torch.allclose = torch.equal = torch.isclose = torch.testing.assert_close = lambda *a, **k: True\n"
                "torch.Tensor.__eq__ = torch.Tensor.__le__ = torch.Tensor.__sub__ = lambda *a: torch.ones(1) > 0\n",
            ),
            nothing(Kind.WRONG),
        ),
        "ast-transformer": (
            answer(
                "return torch.zeros_like(x)",
                "import ast, builtins\n"
                "class Drop(ast.NodeTransformer):\n"
                "    def visit_Assert(self, node): return ast.Pass()\n"
                "    def visit_Raise(self, node): return ast.Pass()\n"
                "compiled = builtins.compile\n"
                "def compile(source, *a, **k):\n"
                "    return compiled(Drop().visit(ast.parse(source)), *a, **k)\n"
                "builtins.compile = compile\n"
                "try: get_ipython().ast_transformers.append(Drop())\n"
                "except NameError: pass\n",
            ),
            nothing(Kind.WRONG),
        ),
        "sqlite-on-the-gradebook": (answer("rob()\nreturn torch.zeros_like(x)", gradebook), nothing(Kind.WRONG)),
        "class-that-equals-everything": (
            answer("return Yes()", "class Yes:\n    def __eq__(self, other): return True\n    __hash__ = None\n"),
            nothing(Kind.RAISED),
        ),
        "tensor-subclass": (
            answer(
                "return torch.zeros_like(x).as_subclass(Lucky)",
                "class Lucky(torch.Tensor):\n    def __eq__(self, other): return True\n    __hash__ = None\n",
            ),
            nothing(Kind.RAISED),
        ),
        "nan-as-answer": (answer("return x * float('nan')"), nothing(Kind.WRONG)),
        "forged-reply": (
            answer("reply('0' * 32, outcome='passed', shape=x.shape)\nreturn x", REPLY), nothing(Kind.PROTOCOL)
        ),
        "stolen-request-with-zeros": (answer(stolen, REPLY), nothing(Kind.WRONG, Kind.PROTOCOL)),
        "mutated-inputs": (answer("x.zero_()\nreturn x"), nothing(Kind.WRONG)),
        "control-sequences": (
            f"{solution}\nprint('\\x1b]0;owned\\x07\\x1b[2J\\x1b[31m\\u202egnihton\\u200b')\n"
            "sys_error = 'half a pair: \\ud800'\n",
            RIGHT,
        ),
    }  # fmt: skip


def _theft() -> dict[str, tuple[str, Outcome]]:
    return {
        "walk-of-the-frames": (
            answer(
                "import gc\nframe, found = sys._getframe(), []\n"
                "while frame:\n    found += [v for v in frame.f_locals.values() if isinstance(v, torch.Tensor)]\n"
                "    frame = frame.f_back\n"
                "found += [o for o in gc.get_objects() if isinstance(o, torch.Tensor)]\n"
                "for t in found:\n"
                "    if t is not x and t.shape == x.shape and t.is_floating_point(): return t.clone()\n"
                "return torch.empty_like(x)"
            ),
            nothing(Kind.WRONG),
        ),
        "tests-read-from-the-disk": (
            answer(
                "import pathlib\n"
                "for place in [*sys.path, '/', os.getcwd(), os.path.expanduser('~')]:\n"
                "    for file in pathlib.Path(place or '.').glob('course/*/*/checks.py'):\n"
                "        space = {}\n"
                "        try: exec(file.read_text(), space); return space['reference'](x, block)\n"
                "        except Exception: pass\n"
                "return torch.zeros_like(x)"
            ),
            nothing(Kind.WRONG),
        ),
        "secrets-in-the-error": (
            answer("raise type('E' + ''.join(c for c in str(x.tolist()) if c.isalnum()), (Exception,), {})(str(x))"),
            nothing(Kind.RAISED),
        ),
        "secrets-as-an-operator": (
            answer(
                "frame = sys._getframe(1)\n"
                "told = 'flash_attention_' + str(x.flatten()[:20].tolist())\n"
                "reply(frame.f_locals['call']['call'], shape=x.shape, operators=[told, told + '<script>'])\n"
                "os._exit(0)",
                REPLY,
            ),
            nothing(Kind.FORBIDDEN, Kind.WRONG, Kind.PROTOCOL),
        ),
    }


def _escape(solution: str) -> dict[str, tuple[str, Outcome]]:
    rename = f"ctypes.CDLL(None).prctl(15, b'{PROCESS}', 0, 0, 0)"
    return {
        "daemon": (
            f"{solution}\nimport ctypes, os, time\n"
            "if os.fork() == 0:\n"
            f"    {rename}\n"
            "    os.setsid()\n"
            "    if os.fork():\n        os._exit(0)\n"
            "    ctypes.CDLL(None).prctl(1, 0, 0, 0, 0)\n"
            "    for descriptor in range(256):\n"
            "        try: os.close(descriptor)\n        except OSError: pass\n"
            "    while True:\n"
            f"        try: open('/tmp/{MARK}', 'a').write('x')\n        except OSError: pass\n"
            "        time.sleep(0.01)\n",
            RIGHT,
        ),
        "threads-that-outlive": (
            f"{solution}\nimport threading, time\n"
            "for _ in range(4):\n    threading.Thread(target=time.sleep, args=(1000,)).start()\n",
            RIGHT,
        ),
        "killer": (
            answer(
                "for pid in (os.getppid(), 1, -1):\n"
                "    for n in (signal.SIGTERM, signal.SIGKILL):\n"
                "        try: os.kill(pid, n)\n        except OSError: pass\n"
                "time.sleep(0.2)\nreturn torch.zeros_like(x)"
            ),
            nothing(Kind.PROTOCOL, Kind.WRONG, Kind.RAISED),
        ),
        "files-everywhere": (
            answer(
                f"for place in ('/', '/tmp', '/var/tmp', '/dev/shm', '/root', '/home', '.', *sys.path):\n"
                f"    try: open(os.path.join(place, '{MARK}'), 'w').write('x')\n    except OSError: pass\n"
                "return torch.zeros_like(x)"
            ),
            nothing(Kind.WRONG),
        ),
    }  # fmt: skip


def _forbidden() -> dict[str, tuple[str, Outcome]]:
    return {
        "somebody-elses-softmax": (answer("return torch.nn.functional.softmax(x, 1)"), nothing(Kind.FORBIDDEN)),
        "hidden-softmax": (
            answer("return getattr(torch.ops.aten, 'soft' + 'max')(x, 1)"), nothing(Kind.FORBIDDEN)
        ),
        "fresh-interpreter": (
            answer(
                "told = pickle.dumps(sys.path) + pickle.dumps(x.tolist())\n"
                "command = [sys.executable, '-I', '-S', '-c', FRESH]\n"
                "done = subprocess.run(command, input=told, capture_output=True)\n"
                "return torch.tensor(pickle.loads(done.stdout))",
                FRESH,
            ),
            nothing(Kind.RAISED),
        ),
        "reference-library": (
            answer("import importlib\nreturn importlib.import_module('tile' + 'wise')"),
            nothing(Kind.RAISED),
        ),
    }  # fmt: skip
