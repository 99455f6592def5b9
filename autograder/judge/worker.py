"""The disposable end: runs the text of one cell on the tensors that it is sent, and sends tensors back.

Runs where `autograder`, `tilewise` and `course` cannot be seen, so it imports nothing of them. It holds no expected
value and says nothing about right or wrong: whatever the student's code does to this process, it can at best change
which numbers are sent. Frames are those of `protocol.py`.
"""

import sys

if (
    __name__ == "__main__"
):  # worker.py CHANNEL OUTPUT PROCESSES FOLDER...: started without `site`, so told where torch is
    sys.path.extend(sys.argv[4:])

import builtins
import ctypes
import errno
import functools
import io
import json
import math
import os
import pkgutil
import resource
import runpy
import struct
import traceback
import types
import warnings

import numpy
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

LENGTH = struct.Struct("<I")
CELL = "<cell {}>"
MAX_TENSORS = 64
MAX_BYTES = 128 * 1024 * 1024
MAX_MESSAGE = 1000
MAX_TRACEBACK = 8000
MAX_FRAMES = 10
MAX_OPERATORS = 300
PLAIN = torch.Tensor
DTYPES = {
    name: getattr(torch, name)
    for name in ("float16", "bfloat16", "float32", "float64", "uint8", "int8", "int16", "int32", "int64", "bool")
}
NAMES = {dtype: name for name, dtype in DTYPES.items()}


# Operators that only move numbers, or make room for them.
MOVING = frozenset(
    """
    empty empty_like empty_strided new_empty new_empty_strided resize_ set_ scalar_tensor lift_fresh
    zeros zeros_like new_zeros zero zero_ ones ones_like new_ones full full_like new_full fill fill_
    copy copy_ clone contiguous to _to_copy detach detach_ alias _unsafe_view _reshape_copy
    cat stack pad constant_pad_nd
    """.split()  # noqa: SIM905
)

# Of the installed libraries, all that an answer has: torch, NumPy, what these two load, and einops, which only moves
# numbers. Whatever else is installed may hold an attention, or a way past the switches.
LIBRARIES = frozenset(
    """
    torch torchgen torch.libs functorch numpy numpy.libs triton nvidia cuda
    typing_extensions.py sympy mpmath networkx jinja2 markupsafe filelock fsspec setuptools _distutils_hack
    einops
    """.split()  # noqa: SIM905
)


# How the names of C++ begin, and of what finds others.
CLOSED = ("_Z", "dl")
called_all_the_same: set[str] = set()
# Where torch does in Python what an operator does: the name, with the dictionary and the key under which it is.
references: list[tuple[str, dict, object]] = []
names_of_references: list[str] = []


class Refused(Exception):
    """The function returned something that is not a plain tensor; says what."""


class Meter(TorchDispatchMode):
    """Observe which operators run, and how many elements one of them reads or produces at most.

    It lives in the student's process: NumPy, ctypes or a thread go unseen, and someone determined can switch it off.
    It feeds advice and the friendlier bounds; what must be proven is proven by a contract outside.
    """

    def __init__(self):
        super().__init__()
        self.operators = set()
        self.largest = 0

    @classmethod
    def _should_skip_dynamo(cls):
        """Keep torch from importing its compiler (a second, in every fresh process) to leave it out of this class."""
        return False

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        schema = func._schema
        name = schema.name.split("::")[-1]
        self.operators.add(name)
        is_view = any(r.alias_info is not None and not r.alias_info.is_write for r in schema.returns)
        if name not in MOVING and not is_view:
            for value in tree_leaves((args, kwargs, result)):
                if isinstance(value, torch.Tensor):
                    self.largest = max(self.largest, value.numel())
        return result


class Channel:
    """Frames over one socket. The judge is trusted; it also watches the clock, so reads here may block."""

    def __init__(self, descriptor):
        self.descriptor = descriptor

    def read(self, count):
        data = bytearray(count)
        view = memoryview(data)
        while view:
            got = os.readv(self.descriptor, [view])
            if got == 0:
                os._exit(0)
            view = view[got:]
        return data

    def receive(self):
        (length,) = LENGTH.unpack(self.read(LENGTH.size))
        header = json.loads(self.read(length))
        return header, [self.tensor(*spec) for spec in header["buffers"]]

    def tensor(self, dtype, shape, strides=None):
        kind = DTYPES[dtype]
        if math.prod(shape) == 0:
            return torch.empty(shape, dtype=kind)
        whole = torch.frombuffer(self.read(math.prod(shape) * kind.itemsize), dtype=kind).reshape(shape)
        if strides is None:
            return whole
        spread = torch.empty_strided(shape, strides, dtype=kind)
        if kind.is_floating_point:  # who reads the gaps shall notice
            whole_storage = torch.empty(0, dtype=kind).set_(spread.untyped_storage())
            whole_storage.fill_(math.nan)
        return spread.copy_(whole)

    def send(self, header, chunks=()):
        text = json.dumps(header).encode()
        view = memoryview(b"".join([LENGTH.pack(len(text)), text, *chunks]))
        while view:
            view = view[os.write(self.descriptor, view) :]


class Answers:
    """The cells' texts, each run once, in a namespace of its own, when first called."""

    def __init__(self, sources):
        self.sources = sources
        self.namespaces = {}
        self.failures = {}

    def load(self, number):
        if number in self.failures:
            raise self.failures[number]
        if number not in self.namespaces:
            try:
                self.namespaces[number] = self.run(number)
            except BaseException as error:
                self.failures[number] = error
                raise
        return self.namespaces[number]

    def run(self, number):
        module = types.ModuleType("__main__")
        module.__dict__["__builtins__"] = builtins
        sys.modules["__main__"] = module  # dataclasses and pickle look a class's module up by name
        exec(compile(self.sources[number], CELL.format(number), "exec", dont_inherit=True), module.__dict__)
        return module.__dict__


class OwnLibraries:
    """Finds, in one folder of what is installed, the libraries that an answer has.

    Where the others' files are out of sight, this makes them missing in the usual way; elsewhere it is all there is.
    """

    def __init__(self, finder):
        self.finder = finder

    def find_spec(self, name, target=None):
        return self.finder.find_spec(name, target) if name in LIBRARIES or f"{name}.py" in LIBRARIES else None

    def invalidate_caches(self):
        self.finder.invalidate_caches()


def keep_libraries_shut():
    """Have Python refuse to open libraries and to look up C++ in them: there, nothing is switched off.

    A module in C opens what it likes and tells nobody (cffi's does), so of those only Python's, torch's and NumPy's
    are loaded.
    """
    own = [folder for folder in sys.path if os.path.basename(folder) == "lib-dynload"]
    trusted = tuple(os.path.join(os.path.realpath(folder), "") for folder in (*own, *torch.__path__, *numpy.__path__))
    real_path, closed, of_symbols = os.path.realpath, CLOSED, ("ctypes.dlsym", "ctypes.dlsym/handle")

    def watch(event, arguments):
        if event == "import":
            if arguments[1] is not None and not real_path(arguments[1]).startswith(trusted):
                # So libraries that can do without such a module do.
                raise ImportError("opening libraries is not allowed here", name=arguments[0])
        elif (event == "ctypes.dlopen" and arguments[0] is not None) or (
            event in of_symbols and str(arguments[1]).startswith(closed)
        ):
            raise PermissionError(errno.EPERM, "opening libraries is not allowed here")

    sys.addaudithook(watch)


def warm_up(packages):
    """Have torch do its first-time work, in the process that is forked from rather than in every fork.

    packages: the folders of `sys.path` where libraries are installed.
    """
    torch.set_num_threads(1)
    # What `torch.empty` gives is NaN, so that a forgotten entry never happens to be right. The public function for it
    # imports torch's compiler, seconds of it.
    torch._C._set_deterministic_algorithms(True, warn_only=True)
    warnings.filterwarnings("ignore", r"\S+ does not have a deterministic implementation")
    with Meter():
        rows = torch.ones(2, 3)
        str((rows - rows.amax(dim=-1, keepdim=True)).exp().sum(dim=-1) @ rows[:, :2])
    _find_references()
    for folder in packages:
        sys.path_importer_cache[folder] = OwnLibraries(pkgutil.get_importer(folder))
    keep_libraries_shut()


def serve(channel_descriptor, output_descriptor, processes=64):
    """Answer the calls of one job until the judge closes the channel; never returns."""
    console = _redirect(output_descriptor)
    marks = os.dup(1)
    channel = Channel(channel_descriptor)
    channel.send({"ready": True, "buffers": []})
    job, texts = channel.receive()
    _switch_off(job["limits"]["switched_off"])
    _switch_off_references(job["limits"]["switched_off"])
    _limit(job["limits"], processes)
    sources = [bytes(text.tolist()).decode() for text in texts]
    earlier = len(sources) - job["given"]
    _provide_given(sources[earlier:])
    answers = Answers(sources[:earlier])
    while True:
        call, tensors = channel.receive()
        reply, chunks = _answer(answers, call, tensors)
        for stream in console:
            stream.flush()
        _mark_end_of_output(marks, call["call"])
        reply["operators"] = [*sorted(called_all_the_same), *reply.get("operators", ())][:MAX_OPERATORS]
        channel.send(reply | {"call": call["call"]}, chunks)


def _switch_off(operators):
    """Have these operators of torch's raise, whoever calls them: a thread goes past the meter, and so does C++.

    operators: the name of each, and the dispatch keys under which torch has something for it.
    """
    libraries = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that a kernel is replaced is the point
        for operator, keys in operators:
            space, _, name = operator.partition("::")
            if space not in libraries:
                libraries[space] = torch._C._dispatch_library("IMPL", space, "")
            for key in keys:
                libraries[space].impl(name, key, functools.partial(_refuse, name))
    for library in libraries.values():
        # Who takes one back has all its operators again. No name leads to it from here on, and it never ends.
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(library))


def _find_references():
    """Note every function of torch's that does in Python what an operator does."""
    for module, entries in [(name, vars(module)) for name, module in sys.modules.items()]:
        if module.startswith(("torch._refs", "torch._decomp")):
            functions = [name for name, value in entries.items() if isinstance(value, types.FunctionType)]
            references.extend((name, entries, name) for name in functions)
    for table in torch._decomp.global_decomposition_table.values():
        references.extend((operator.name(), table, operator) for operator in table)
    names_of_references.append("".join(f"{name} {number}\n" for number, (name, _, _) in enumerate(references)))


def _switch_off_references(operators):
    """Have what torch does in Python in the place of these operators raise, too.

    Looks the names up in one text, for looking at each would copy the page it is on from the process forked from.
    """
    (text,) = names_of_references
    for name in {operator.partition("::")[2].partition(".")[0].strip("_") for operator, _ in operators}:
        place = text.find(name)
        while place >= 0:
            line = text[place : text.index("\n", place)]
            _, entries, key = references[int(line.partition(" ")[2])]
            entries[key] = functools.partial(_refuse, name)
            place = text.find(name, place + 1)


def _refuse(operator, *arguments, **keywords):
    name = operator.partition(".")[0]
    called_all_the_same.add(name)
    raise RuntimeError(f"torch's `{name}` is switched off here: this exercise asks you to build it")


def _provide_given(solutions):
    """Let `from given import ...` find what earlier exercises built: the course's text, run before any student's."""
    module = types.ModuleType("given", "The library's solutions of the exercises that this one builds on.")
    for number, solution in enumerate(solutions):
        exec(compile(solution, f"<given {number}>", "exec", dont_inherit=True), module.__dict__)
    if solutions:
        sys.modules["given"] = module


def _mark_end_of_output(descriptor, call):
    """Tell the judge where this call's output ends: by the time it reads the reply, the next call may be printing."""
    try:
        os.write(descriptor, b"\0%s\0" % call.encode())
    except OSError:
        return  # the student's code closed it; then all output counts for the call that it arrives with


def _answer(answers, call, tensors):
    number = call["source"]
    meter = Meter()
    try:
        namespace = answers.load(number)
        if call["function"] is None:
            return {"outcome": "returned", "buffers": []}, ()
        function = namespace.get(call["function"])
        if not callable(function):
            return {"outcome": "missing", "buffers": []}, ()
        arguments = [_argument(spec, tensors) for spec in call["arguments"]]
        if call["meter"]:
            with meter:
                result = function(*arguments)
        else:
            result = function(*arguments)
        single, specs, chunks = _plain(result)
    except Refused as refused:
        return {"outcome": "refused", "type": str(refused)[:80], "buffers": []}, ()
    except BaseException as error:  # SystemExit and KeyboardInterrupt too: this process lives to report them
        return _raised(error, answers.sources[number], number), ()
    reply = {
        "outcome": "returned",
        "single": single,
        "buffers": specs,
        "operators": sorted(meter.operators),
        "largest": meter.largest,
    }
    return reply, chunks


def _argument(spec, tensors):
    if "tensor" in spec:
        return tensors[spec["tensor"]]
    if "tuple" in spec:
        return tuple(_argument(entry, tensors) for entry in spec["tuple"])
    return spec["value"]


def _plain(result):
    parts = _parts(result)
    single, values = parts is None, [result] if parts is None else parts
    if len(values) > MAX_TENSORS:
        raise Refused(f"{len(values)} values")
    specs, chunks = [], []
    for value in values:
        if type(value) is not PLAIN:
            raise Refused(type(value).__name__)
        if value.layout is not torch.strided or value.dtype not in NAMES or value.ndim > 8:
            raise Refused(f"{value.dtype} tensor")
        if value.numel() * value.element_size() > MAX_BYTES:
            raise Refused(f"tensor of {value.numel()} elements")
        whole = value.detach().cpu().resolve_neg().contiguous()
        specs.append([NAMES[whole.dtype], list(whole.shape)])
        size = whole.numel() * whole.element_size()
        chunks.append(ctypes.string_at(whole.data_ptr(), size) if size else b"")
    return single, specs, chunks


def _parts(result):
    """Give what is in a tuple, a named tuple or a list, as it lies there; None for anything else."""
    if type(result) is list:
        return list(result)
    if type(result) is tuple or (isinstance(result, tuple) and hasattr(type(result), "_fields")):
        return list(tuple.__iter__(result))  # a class may say something else of itself
    return None


def _sendable(text):
    """Write what has no encoding (half a surrogate pair) as an escape."""
    return text.encode("utf-8", "backslashreplace").decode()


def _raised(error, source, number):
    text = _sendable(str(error))
    out_of_memory = isinstance(error, MemoryError) or (
        isinstance(error, RuntimeError) and "memory" in text and "alloc" in text
    )
    return {
        "outcome": "raised",
        "type": type(error).__name__[:80],
        "message": text[:MAX_MESSAGE],
        "traceback": _sendable(_own_frames(error, source, number))[-MAX_TRACEBACK:],
        "memory": out_of_memory,
        "buffers": [],
    }


def _own_frames(error, source, number):
    """Write the traceback with the frames of the student's own cell only, each with its line of text."""
    lines = source.splitlines()
    name = CELL.format(number)
    own = [(f.lineno, f.name) for f in traceback.extract_tb(error.__traceback__) if f.filename == name]
    if isinstance(error, SyntaxError) and error.filename == name:
        own.append((error.lineno, "the cell"))
    written = []
    for lineno, function in own[-MAX_FRAMES:]:
        written.append(f"line {lineno}, in {function.replace('<module>', 'the cell')}")
        if lineno and lineno <= len(lines):
            written.append(f"    {lines[lineno - 1].strip()[:200]}")
    message = error.msg if isinstance(error, SyntaxError) else str(error)
    return "\n".join([*written, f"{type(error).__name__}: {message}"[:MAX_MESSAGE]])


def _redirect(output_descriptor):
    """Point standard output and error, the descriptors too, at the judge's capture, and input at nothing."""
    nothing = os.open("/dev/null", os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    for descriptor in (1, 2):
        os.dup2(output_descriptor, descriptor)
    os.close(output_descriptor)
    sys.stdin = open(0, closefd=False)  # noqa: SIM115, for as long as the process lives
    sys.stdout, sys.stderr = (
        io.TextIOWrapper(io.FileIO(d, "wb", closefd=False), "utf-8", errors="backslashreplace", write_through=True)
        for d in (1, 2)
    )
    return sys.stdout, sys.stderr


def _limit(limits, processes):
    """Lower this process's limits for good. The address space is counted from what torch itself has taken."""
    with open("/proc/self/statm") as file:
        taken = int(file.read().split()[0]) * resource.getpagesize()
    cpu = math.ceil(limits["cpu_seconds"])
    wanted = {
        resource.RLIMIT_AS: (taken + limits["memory_bytes"],) * 2,
        resource.RLIMIT_CPU: (cpu, cpu + 1),  # for all calls; the judge sees to each one's, from outside
        resource.RLIMIT_FSIZE: (limits["file_bytes"],) * 2,
        resource.RLIMIT_NOFILE: (256, 256),
        resource.RLIMIT_CORE: (0, 0),
        resource.RLIMIT_NPROC: (processes, processes),
    }
    for what, (soft, hard) in wanted.items():
        ceiling = resource.getrlimit(what)[1]
        if ceiling != resource.RLIM_INFINITY:
            soft, hard = min(soft, ceiling), min(hard, ceiling)
        resource.setrlimit(what, (soft, hard))


if __name__ == "__main__":
    warm_up(sys.argv[4:])
    syscalls = runpy.run_path(os.path.join(os.path.dirname(__file__), "filter.py"))
    syscalls["install"](syscalls["without_programs"]())  # the filter that is on already let this interpreter start
    serve(*(int(number) for number in sys.argv[1:4]))
