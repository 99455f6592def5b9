"""Attention that somebody else wrote earns nothing, by whatever name it is called; naive attention meets its budget."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from autograder.course.model import Course
from autograder.judge.client import Judge
from autograder.judge.verdict import Kind, Verdict

EXERCISE = "blockwise_attention.blockwise_attention"
WITHIN_MEMORY = "within_memory"
SEED = 20_26
BATCHED = "(q[None, None], k[None, None], v[None, None])"
# The name is put together at run time, so that nothing but running the code shows it.
HIDDEN = "'scaled_dot_' + 'product_attention'"
IDENTITY = (
    "d = q.shape[1]\nm = torch.nn.modules.activation.__dict__['Multihead' + 'Attention'](d, 1, bias=False)\n"
    "with torch.no_grad():\n    m.in_proj_weight.copy_(torch.eye(d).repeat(3, 1))\n"
    "    m.out_proj.weight.copy_(torch.eye(d))\n"
)
IN_A_THREAD = """
import threading
def in_a_thread(action):
    out = []
    def run():
        try: out.append(action())
        except RuntimeError as error: out.append(error)
    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    return out[0]
"""


def answer(body: str, top: str = "") -> str:
    """A cell whose `blockwise_attention` has the given body."""
    lines = "\n".join(f"    {line}" for line in body.strip("\n").split("\n"))
    return (
        f"# exercise: {EXERCISE}\nimport torch\n{top}\n\ndef blockwise_attention(q, k, v, block_q, block_k):\n{lines}\n"
    )


FOUND_IN_THE_TEXT = {
    "by name": answer(f"return torch.nn.functional.scaled_dot_product_attention{BATCHED}[0, 0]"),
    "by an alias": answer(
        f"return mine{BATCHED}[0, 0]", "from torch.nn.functional import scaled_dot_product_attention as mine"
    ),
    "by getattr": answer(f"return getattr(torch.nn.functional, 'scaled_dot_product_attention'){BATCHED}[0, 0]"),
    "from torch._C": answer(f"return torch._C._nn.scaled_dot_product_attention{BATCHED}[0, 0]"),
    "a module of torch's": answer("return torch.nn.MultiheadAttention(q.shape[1], 1)(q, k, v)[0]"),
    "a layer of torch's": answer("return torch.nn.TransformerEncoderLayer(q.shape[1], 1)(q)"),
    "flash_attn": answer("from flash_attn import flash_attn_func\nreturn flash_attn_func(q, k, v)"),
    "xformers": answer("return xo.memory_efficient_attention(q, k, v)", "import xformers.ops as xo"),
    "a library that the course is compared with": answer(
        f"return F.apply{BATCHED[:-1]}, None, False, block_q, block_k)[0, 0]",
        "from memory_efficient_attention_pytorch.flash_attention import FlashAttentionFunction as F",
    ),
    "torch's references": answer("return torch._refs.softmax(q @ k.T / q.shape[1] ** 0.5, 1) @ v"),
    "torch's decompositions": answer(
        "return table[torch.ops.aten._softmax.default](q @ k.T / q.shape[1] ** 0.5, 1, False) @ v",
        "from torch._decomp import decomposition_table as table",
    ),
    "the course's own library": answer("import tilewise.blockwise as b\nreturn b.blockwise_attention(q, k, v, 1, 1)"),
    "torch.compile": answer("return torch.compile(lambda: q)()"),
    "torch.compile under another name": answer("return c(lambda: q)()", "from torch import compile as c"),
    "the compiler's own door": answer("return torch._dynamo.optimize('eager')(lambda: q)()"),
    "flex_attention": answer(
        f"return f{BATCHED}[0, 0]", "from torch.nn.attention.flex_attention import flex_attention as f"
    ),
    "a fall back": answer(
        "try:\n    return kernel(q, k, v)\nexcept Exception:\n"
        f"    return torch.nn.functional.scaled_dot_product_attention{BATCHED}[0, 0]"
    ),
}  # fmt: skip
FOUND_AS_IT_RAN = {
    "a name put together": answer(f"return getattr(torch.nn.functional, {HIDDEN}){BATCHED}[0, 0]"),
    "a module found by a built name": answer(
        f"return vars(importlib.import_module('torch.nn.func' + 'tional'))[{HIDDEN}]{BATCHED}[0, 0]", "import importlib"
    ),
    "torch.ops": answer(f"return getattr(torch.ops.aten, {HIDDEN}){BATCHED}[0, 0]"),
    "the kernel itself": answer(f"return torch.ops.aten._scaled_dot_product_flash_attention_for_cpu{BATCHED}[0][0, 0]"),
    "its mathematics": answer(f"return torch.ops.aten._scaled_dot_product_attention_math{BATCHED}[0][0, 0]"),
    "the inner module": answer(f"return getattr(torch._C._nn, {HIDDEN}){BATCHED}[0, 0]"),
    "exec of a built string": answer(
        f"space = {{}}\nexec('from torch.nn.functional import ' + {HIDDEN} + ' as f', space)\n"
        f"return space['f']{BATCHED}[0, 0]"
    ),
    "compiled from a string": answer(
        f"return g{BATCHED}[0, 0]",
        f"text = 'def g(q: Tensor, k: Tensor, v: Tensor): return torch.ops.aten.' + {HIDDEN} + '(q, k, v)\\n'\n"
        "g = torch.jit.CompilationUnit(text).g",
    ),
    "a module with unit weights": answer(f"{IDENTITY}return m(q, k, v, need_weights=False)[0].detach()"),
    "its weights asked for": answer(f"{IDENTITY}return m(q, k, v)[0].detach()"),
    "its fast path": answer(f"{IDENTITY}m.eval()\nwith torch.no_grad():\n    return m(q, k, v, need_weights=False)[0]"),
    "at inference": answer(
        f"with torch.inference_mode():\n    return getattr(torch.nn.functional, {HIDDEN}){BATCHED}[0, 0].clone()"
    ),
    "softmax under another name": answer("return getattr(torch, 'soft' + 'max')(q @ k.T / q.shape[1] ** 0.5, 1) @ v"),
    "softmax as a module": answer("return torch.nn.Softmax(1)(q @ k.T / q.shape[1] ** 0.5) @ v"),
    "a safer softmax": answer("return torch.ops.aten._safe_softmax(q @ k.T / q.shape[1] ** 0.5, 1) @ v"),
    "in a thread, which no meter sees": answer(
        f"out = []\nf = getattr(torch.nn.functional, {HIDDEN})\n"
        f"t = threading.Thread(target=lambda: out.append(f{BATCHED}[0, 0]))\nt.start()\nt.join()\nreturn out[0]",
        "import threading",
    ),
    "softmax in a thread": answer(
        "out = []\nf = getattr(torch, 'soft' + 'max')\n"
        "t = threading.Thread(target=lambda: out.append(f(q @ k.T / q.shape[1] ** 0.5, 1) @ v))\nt.start()\nt.join()\n"
        "return out[0]",
        "import threading",
    ),
    "with the meter off": answer(
        f"with _disable_current_modes():\n    return getattr(torch.nn.functional, {HIDDEN}){BATCHED}[0, 0]",
        "from torch.utils._python_dispatch import _disable_current_modes",
    ),
    "with dispatch off": answer(
        f"with torch._C._DisableTorchDispatch():\n    return getattr(torch.nn.functional, {HIDDEN}){BATCHED}[0, 0]"
    ),
    "with the meter emptied": answer(
        f"out = getattr(torch.nn.functional, {HIDDEN}){BATCHED}[0, 0]\nfor o in gc.get_objects():\n"
        "    if type(o).__name__ == 'Meter': o.operators.clear()\nreturn out",
        "import gc",
    ),
    "tried once, and then not": answer(
        f"try:\n    return getattr(torch.nn.functional, {HIDDEN}){BATCHED}[0, 0]\nexcept RuntimeError:\n"
        "    s = q @ k.T / q.shape[1] ** 0.5\n    p = (s - s.amax(1, keepdim=True)).exp()\n"
        "    return p / p.sum(1, keepdim=True) @ v"
    ),
    "only where it is worth it": answer(
        f"if k.shape[0] > 1000:\n    return getattr(torch.nn.functional, {HIDDEN}){BATCHED}[0, 0]\n"
        "s = q @ k.T / q.shape[1] ** 0.5\np = (s - s.amax(1, keepdim=True)).exp()\n"
        "return p / p.sum(1, keepdim=True) @ v"
    ),
    "torch's references": answer(
        "return getattr(vars(torch)['_' + 'refs'], 'soft' + 'max')(q @ k.T / q.shape[1] ** 0.5, 1) @ v"
    ),
    "torch's references, in a thread": answer(
        "softmax = vars(sys.modules['torch._re' + 'fs.special'])['soft' + 'max']\n"
        "return in_a_thread(lambda: softmax(q @ k.T / q.shape[1] ** 0.5, 1) @ v)",
        f"import sys\n{IN_A_THREAD}",
    ),
    "torch's decompositions, in a thread": answer(
        "tables = vars(torch)['_de' + 'comp'].global_decomposition_table['post_autograd']\n"
        "softmax = next(f for o, f in tables.items() if str(o) == 'aten._soft' + 'max.default')\n"
        "return in_a_thread(lambda: softmax(q @ k.T / q.shape[1] ** 0.5, 1, False) @ v)",
        IN_A_THREAD,
    ),
    "any function that says it is one": answer(
        "gc.unfreeze()\nfound = [o for o in gc.get_objects() if type(o) is types.FunctionType\n"
        "    and o.__module__ in ('torch._re' + 'fs', 'torch._de' + 'comp.decompositions')\n"
        "    and o.__name__ in ('soft' + 'max', 'log_soft' + 'max', '_soft' + 'max')]\n"
        "softmax = found[0] if found else vars(torch)['_re' + 'fs'].special.__dict__['soft' + 'max']\n"
        "return in_a_thread(lambda: softmax(q @ k.T / q.shape[1] ** 0.5, 1) @ v)",
        f"import gc, types\n{IN_A_THREAD}",
    ),
    "what switched it off, looked for and ended": answer(
        "gc.unfreeze()\nseen = gc.get_objects()\nfor m in list(sys.modules.values()): seen += vars(m).values()\n"
        "for o in seen:\n    if type(o) is torch.library.Library and o.m is not None: o._destroy()\n"
        f"return in_a_thread(lambda: getattr(torch.nn.functional, {HIDDEN}){BATCHED}[0, 0])",
        f"import gc, sys\n{IN_A_THREAD}",
    ),
}  # fmt: skip
OTHER_KINDS = {
    "for MKL-DNN": "getattr(s.to_mkldnn(), 'soft' + 'max')(1).to_dense()",
    "nested": "getattr(torch, 'soft' + 'max')(torch.nested.nested_tensor([s]), -1)[0]",
    "sparse": "getattr(torch.sparse, 'soft' + 'max')(s.to_sparse(), 1).to_dense()",
    "quantized": "getattr(torch.ops.quantized, 'soft' + 'max')(torch.quantize_per_tensor(s, 0.1, 0, torch.qint8), 1, "
    "1 / 256, 0).dequantize()",
    "one for all kinds, asked by its key": "(s - getattr(torch.ops.aten, 'logsum' + 'exp').default._op_dk("
    "torch._C.DispatchKey.CompositeExplicitAutograd, s, [1], True)).exp()",
}
SYMBOL = "'_ZN2at3cpu43_scaled_dot_product_' + 'flash_attention_for_cpuERKNS_6TensorES3_S3_dbRKSt8optionalIS1_ES4_IdE'"
BELOW_TORCH = answer(
    "path = next(line.split()[-1] for line in open('/proc/self/maps') if 'libtorch_cpu.so' in line)\n"
    f"kernel = getattr(ctypes.CDLL(path), {SYMBOL})\n"
    "number, pointer = ctypes.c_double, ctypes.c_void_p\n"
    "kernel.restype, kernel.argtypes = None, [*[pointer] * 4, number, ctypes.c_bool, pointer, number, ctypes.c_int]\n"
    "batched = [t[None, None].contiguous() for t in (q, k, v)]\n"
    "found, none = (pointer * 2)(), (pointer * 4)()\n"
    "address = ctypes.addressof\n"
    "kernel(address(found), *(id(t) + 16 for t in batched), 0.0, False, address(none), 0.0, 0)\n"
    "inside = ctypes.cast(id(batched[0]) + 16, ctypes.POINTER(pointer))\n"
    "before, inside[0] = inside[0], found[1]\nout = batched[0].clone()\ninside[0] = before\n"
    "return out[0, 0].contiguous()",
    "import ctypes",
)
NOT_THERE = {
    "a library that the course is compared with": answer(
        "module = importlib.import_module('memory_efficient_' + 'attention_pytorch.flash_attention')\n"
        f"return module.FlashAttentionFunction.apply{BATCHED[:-1]}, None, False, block_q, block_k)[0, 0]",
        "import importlib",
    ),
    "its file, read by hand": answer(
        "path = next(glob.iglob(sys.path[-1] + '/memory_*/flash_attention.py'))\n"
        f"return runpy.run_path(path)['FlashAttentionFunction'].apply{BATCHED[:-1]}, None, False, 9, 9)[0, 0]",
        "import glob, runpy, sys",
    ),
    "torch's kernel, through cffi": answer(
        f"ffi = cffi.FFI()\nreturn ffi.dlopen(torch.__path__[0] + '/lib/libtorch_cpu.so'){BATCHED}[0, 0]", "import cffi"
    ),
}
NAIVE = (
    "s = q @ k.T / q.shape[1] ** 0.5\np = (s - s.amax(1, keepdim=True)).exp()\nreturn p / p.sum(1, keepdim=True) @ v"
)
OVER_THE_BUDGET = {
    "naive attention": answer(NAIVE),
    "a detour through NumPy": answer(
        "import numpy\ns = (q @ k.T / q.shape[1] ** 0.5).numpy()\np = numpy.exp(s - s.max(1, keepdims=True))\n"
        "return torch.from_numpy(p / p.sum(1, keepdims=True)) @ v"
    ),
    "blocks as large as N": answer(
        "out = []\nfor q_i in q.split(len(q)):\n"
        + "\n".join(f"    {line}" for line in NAIVE.replace("q ", "q_i ").replace("return", "out +=").splitlines()[:-1])
        + "\n    out.append(p / p.sum(1, keepdim=True) @ v)\nreturn torch.cat(out)"
    ),
    "row blocks that are not online": answer(
        "out = []\nfor q_i in q.split(block_q):\n    s = q_i @ k.T / q.shape[1] ** 0.5\n"
        "    p = (s - s.amax(1, keepdim=True)).exp()\n    out.append(p / p.sum(1, keepdim=True) @ v)\n"
        "return torch.cat(out)"
    ),
}  # fmt: skip


@pytest.fixture(scope="module")
def judge() -> Iterator[Judge]:
    with Judge() as started:
        yield started


def graded(judge: Judge, source: str) -> Verdict:
    return judge.verdict(EXERCISE, source, seed=SEED, grading=True)


@pytest.mark.parametrize("source", FOUND_IN_THE_TEXT.values(), ids=FOUND_IN_THE_TEXT)
def test_somebody_elses_attention_is_found_in_the_text(judge: Judge, source: str) -> None:
    verdict = graded(judge, source)
    assert (verdict.kind, verdict.points) == (Kind.FORBIDDEN, 0.0)
    assert verdict.headline.en.startswith("Your code uses")


@pytest.mark.parametrize("source", FOUND_AS_IT_RAN.values(), ids=FOUND_AS_IT_RAN)
def test_somebody_elses_attention_is_found_as_it_runs(judge: Judge, source: str) -> None:
    verdict = graded(judge, source)
    assert (verdict.kind, verdict.points) == (Kind.FORBIDDEN, 0.0)
    assert verdict.headline.en.startswith("While your code ran")


@pytest.mark.parametrize("kind", OTHER_KINDS.values(), ids=OTHER_KINDS)
def test_no_kind_of_tensor_has_a_softmax_left_even_where_no_meter_sees_it(judge: Judge, kind: str) -> None:
    body = f"def attend():\n    s = q @ k.T / q.shape[1] ** 0.5\n    return {kind} @ v\nreturn in_a_thread(attend)"
    verdict = graded(judge, answer(body, IN_A_THREAD))
    assert (verdict.kind, verdict.points) == (Kind.FORBIDDEN, 0.0), verdict


def test_torchs_kernel_is_not_called_past_torch(judge: Judge) -> None:
    """With its library opened by hand, this answer would be right, and within its memory."""
    verdict = graded(judge, BELOW_TORCH)
    assert (verdict.kind, verdict.points) == (Kind.RAISED, 0.0), verdict
    assert "PermissionError" in verdict.headline.en


@pytest.mark.parametrize("source", NOT_THERE.values(), ids=NOT_THERE)
def test_what_else_is_installed_is_not_there(judge: Judge, source: str) -> None:
    verdict = graded(judge, source)
    assert (verdict.kind, verdict.points) == (Kind.RAISED, 0.0), verdict


@pytest.mark.parametrize("source", OVER_THE_BUDGET.values(), ids=OVER_THE_BUDGET)
def test_what_holds_whole_rows_of_scores_is_over_the_budget_and_loses_its_points(judge: Judge, source: str) -> None:
    verdict = graded(judge, source)
    assert verdict.kind is Kind.MEMORY_LIMIT
    (result,) = [p for p in verdict.properties if p.name == WITHIN_MEMORY]
    assert (result.kind, result.points) == (Kind.MEMORY_LIMIT, 0.0)


def test_an_answer_of_the_learners_own_is_not_taken_for_somebody_elses(judge: Judge, course: Course) -> None:
    """Names that only look alike: an own function, an own class, words in a docstring."""
    own = course.exercises[EXERCISE].solution_path.read_text(encoding="utf-8")
    more = (
        '\n\ndef flash_attention(q, k, v):\n    """Not torch.nn.functional.scaled_dot_product_attention."""\n\n\n'
        "class MultiheadAttention(torch.nn.Module):\n    def compile(self):\n        return self.softmax\n"
    )
    assert graded(judge, own + more).passed
