"""What an instructor without a judge would write: this file is the first cell of a notebook that tests itself inline.

Stock nbgrader runs it in the student's own kernel. Nothing of the judge is imported: cases come out of a file beside
the notebook, numbers and what is right for them, and how answers are called and measured is written anew on purpose,
as a second opinion.
"""

from __future__ import annotations

import contextlib
import copy
import resource
import sys
import types

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

MOVING = {
    "full", "zeros", "zeros_like", "empty", "empty_like", "ones", "clone", "copy_", "_to_copy", "cat", "stack",
    "constant_pad_nd", "fill_", "new_full", "new_zeros", "new_empty", "full_like", "detach", "lift_fresh",
}  # fmt: skip
torch.set_num_threads(1)
DATA = torch.load("cases.pt", weights_only=False)


class Largest(TorchDispatchMode):
    """Observe how many numbers one operator reads or makes at most; those that only move numbers do not count."""

    numbers = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        result = function(*args, **(kwargs or {}))
        aliases = [r.alias_info for r in function._schema.returns]
        moves = function._schema.name.split("::")[1] in MOVING or any(a is not None and not a.is_write for a in aliases)
        for leaf in () if moves else tree_leaves((args, kwargs, result)):
            if torch.is_tensor(leaf):
                self.numbers = max(self.numbers, leaf.numel())
        return result


@contextlib.contextmanager
def at_most(mib):
    """Let the process take so much more memory, and no more."""
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    with open("/proc/self/statm") as file:
        taken = int(file.read().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (taken + (mib << 20), hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


def near(got, expected):
    """Fail unless every tensor is within its budget. expected: (values in float64, dtype, largest error) of each."""
    got = (got,) if torch.is_tensor(got) else tuple(got)
    assert len(got) == len(expected)
    for value, (right, dtype, allowed) in zip(got, expected, strict=True):
        assert value.dtype == dtype
        assert value.shape == right.shape
        same = (value.double() == right) | (value.isnan() & right.isnan())
        assert bool((same | ((value.double() - right).abs() <= allowed)).all())


def newest(exercise, inputs):
    """Find the student's cell among the inputs of the kernel."""
    return next(text for text in reversed(inputs) if text.startswith(f"# exercise: {exercise}"))


def fresh(source, name, *args):
    """Run the cell in a namespace of its own, and call one of its functions there."""
    space = {}
    exec(source, space)
    return space[name](*args)


def call(case, source, space):
    """Call the function once, as it stands in the kernel."""
    arguments = copy.deepcopy(list(case["arguments"].values()))
    bounds = at_most(case["memory_mib"]) if case["memory_mib"] else contextlib.nullcontext()
    meter = Largest()
    with bounds, meter if case["most"] else contextlib.nullcontext():
        got = space[case["calls"]](*arguments)
    if case["scale_of_refutation"] is None:
        near(got, case["expected"])
        assert case["most"] is None or meter.numbers <= case["most"]
    else:
        refutes(got, case["scale_of_refutation"])


def stream(case, source, space):
    """Cut the rows into tiles, and carry the state from one to the next; nothing else survives a call."""
    x, widths = case["arguments"].values()
    state = fresh(source, "init", x.shape[0])
    for number, tile in enumerate(x.split([int(width) for width in widths.split("+")], dim=1)):
        state = fresh(source, "update", state, tile.clone())
        assert sum(part.numel() * part.element_size() for part in state) <= case["most"]
        if case["states"]:
            near(state, case["states"][number])
    near(fresh(source, "finish", state), case["expected"])


def attend(case, source, space):
    """Start the state, hand the keys over block by block, divide at the end."""
    q, k, v, scale, widths = case["arguments"].values()
    cut = [int(width) for width in widths.split("+")]
    n_q, d_v = q.shape[0], v.shape[1]
    state = (torch.full((n_q,), -torch.inf), torch.zeros(n_q), torch.zeros(n_q, d_v))
    forms = [(part.shape, part.dtype) for part in state]
    for number, (k_j, v_j) in enumerate(zip(k.split(cut), v.split(cut), strict=True)):
        state = fresh(source, "attend_block", state, q.clone(), k_j.clone(), v_j.clone(), scale)
        assert [(part.shape, part.dtype) for part in state] == forms
        if case["states"]:
            near(state, case["states"][number])
    _, l, acc = state
    near(acc / l[:, None], case["expected"])


def refutes(answer, scale):
    """Fail unless attention inside blocks of four, with this scale, is wrong on the inputs that were answered."""
    q, k, v = answer
    assert q.shape == k.shape == v.shape
    assert q.ndim == 2
    assert 4 < q.shape[0] <= 64
    assert 1 <= q.shape[1] <= 64
    assert all(part.dtype == torch.float32 and bool(part.isfinite().all()) for part in (q, k, v))
    q, k, v = q.double(), k.double(), v.double()
    own = q.shape[1] ** -0.5
    right = torch.softmax(q @ k.T * own, 1) @ v
    assert bool(right.isfinite().all())
    inside = [
        torch.softmax(a @ b.T * (scale or own), 1) @ c
        for a, b, c in zip(q.split(4), k.split(4), v.split(4), strict=True)
    ]
    assert not torch.allclose(torch.cat(inside).float(), right.float())


def holds(exercise, name, space):
    """Try all cases of one property."""
    data = DATA[exercise]
    try:
        for case in data["cases"][name]:
            {"call": call, "stream": stream, "attend": attend}[data["way"]](case, newest(exercise, space["In"]), space)
    except Exception:  # whatever a student's code raises: the property does not hold
        return False
    return True


def give(solutions):
    """Let students import what earlier exercises built."""
    module = types.ModuleType("given")
    for solution in solutions:
        exec(solution, module.__dict__)
    sys.modules["given"] = module


give([solution for data in DATA.values() for solution in data["given"]])
