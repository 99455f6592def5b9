"""The driver: what it compiles and when, what it takes for an argument, and what it says when it cannot."""

from __future__ import annotations

import os
import re
import resource
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.tilewise.cuda_on_cpu import KERNELS
from tilewise.cuda_on_cpu import CompileError, NoCompiler, compile
from tilewise.cuda_on_cpu.source import entry_point, global_arrays, kernels, parameters, shared_arrays

SCALE = """#include "tilewise_cuda.h"
__global__ void scale(const float* x, float* y, float factor, int n) {
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < n) y[i] = factor * x[i];
}
"""


def test_an_error_of_the_compiler_names_the_line_of_the_source(cache: Path) -> None:
    with pytest.raises(CompileError) as refused:
        compile(SCALE.replace("int i =", "int j ="), name="scale.cu", cache=cache)
    assert (refused.value.complaints[0].file, refused.value.complaints[0].line) == ("scale.cu", 4)
    assert str(refused.value).startswith("scale.cu:4: ")
    assert "was not declared" in str(refused.value) or "undeclared" in str(refused.value)


@pytest.mark.parametrize(
    ("line", "advice"),
    [
        ("    k<<<1, 32>>>(y);", "write TW_LAUNCH"),
        ("    extern __shared__ float s[];", "write TW_DYNAMIC_SHARED"),
        ("    __shared__ alignas(16) float s[4];", "write __align__"),
    ],
)
def test_of_cudas_own_syntax_it_says_what_to_write(cache: Path, line: str, advice: str) -> None:
    with pytest.raises(CompileError) as refused:
        compile(f"__global__ void k(float* y) {{\n{line}\n}}\n", name="k.cu", cache=cache)
    assert str(refused.value).startswith(f"k.cu:2: {advice}")


def test_an_error_within_a_macro_names_the_line_that_uses_it(cache: Path) -> None:
    text = "#define TWICE(x) (2 * missing(x))\n\n__global__ void k(float* y) {\n    *y = TWICE(*y);\n}\n"
    with pytest.raises(CompileError) as refused:
        compile(text, name="k.cu", cache=cache)
    assert {(complaint.file, complaint.line) for complaint in refused.value.complaints} == {("k.cu", 4)}


def test_the_same_content_is_compiled_once(cache: Path) -> None:
    first = compile(SCALE, cache=cache)
    before = first.library.stat().st_mtime_ns
    assert compile(SCALE, cache=cache).library == first.library
    assert first.library.stat().st_mtime_ns == before
    others = [compile(SCALE + "\n", cache=cache), compile(SCALE, checked=True, cache=cache)]
    others.append(compile(SCALE, defines={"X": 1}, cache=cache))
    assert len({first.library, *(other.library for other in others)}) == 4


def test_a_changed_header_is_compiled_again(tmp_path: Path, cache: Path) -> None:
    (tmp_path / "factor.h").write_text("constexpr float factor = 2.0f;")
    (tmp_path / "inner").mkdir()
    (tmp_path / "inner/more.h").write_text('#include "../factor.h"')
    source = tmp_path / "k.cu"
    source.write_text('#include "inner/more.h"\n__global__ void k(float* y) { *y = factor; }')
    y = torch.zeros(1)
    compile(source, cache=cache).launch("k", grid=1, block=1, args=(y,))
    assert float(y) == 2.0
    (tmp_path / "factor.h").write_text("constexpr float factor = 3.0f;")
    compile(source, cache=cache).launch("k", grid=1, block=1, args=(y,))
    assert float(y) == 3.0


def test_builds_at_one_time_do_each_other_no_harm(tmp_path: Path) -> None:
    with ThreadPoolExecutor(2) as pool:
        libraries = set(pool.map(lambda _: compile(SCALE, cache=tmp_path / "cold").library, range(2)))
    assert len(libraries) == 1
    assert sorted(p.suffix for p in (tmp_path / "cold").iterdir()) == [".so", ".so"]  # the program and the runtime


def test_the_cache_lies_where_the_user_keeps_caches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert compile(SCALE).library.parent == tmp_path / "tilewise" / "cuda_on_cpu"


def test_a_missing_compiler_is_named(cache: Path) -> None:
    with pytest.raises(NoCompiler, match="needs no-such-compiler, which is not on the PATH"):
        compile(SCALE, compiler="no-such-compiler", cache=cache)


def test_two_programs_with_the_same_names_do_not_share_shared_memory(cache: Path) -> None:
    text = """
template <int size> __device__ float* tile() { __shared__ float s[size]; return s; }
__global__ void k(float* y) { y[0] = tile<SIZE>()[SIZE - 1]; tile<SIZE>()[0] = 1.0f; }
"""
    for checked in (False, True):
        for size in (32, 4096):
            program, y = compile(text, defines={"SIZE": size}, checked=checked, cache=cache), torch.zeros(1)
            with program.watch() as report:
                program.launch("k", grid=1, block=1, args=(y,))
            assert bool(y.isnan())
            assert report.kinds() == ({"uninitialised_shared"} if checked else set())


@pytest.mark.parametrize("checked", [False, True], ids=["plain", "checked"])
def test_arrays_and_tensors_with_any_strides_are_written_in_place(cache: Path, checked: bool) -> None:
    program = compile(SCALE, checked=checked, cache=cache)
    x, y = np.arange(8, dtype=np.float32), np.zeros((8, 2), dtype=np.float32)
    program.launch("scale", grid=1, block=32, args=(x, y[:, 0].T, 2.0, 8))
    assert np.array_equal(y.reshape(-1)[:8], 2 * x)
    packed = torch.arange(16.0)
    # Views of one tensor stay views of one memory: y begins in the middle of x.
    program.launch("scale", grid=1, block=4, args=(packed[:12], packed[8:], 10.0, 4))
    assert packed[8:12].tolist() == [0, 10, 20, 30]


def test_wrong_arguments_are_refused_by_name(cache: Path) -> None:
    program, x = compile(SCALE, cache=cache), torch.zeros(8)
    frozen = np.zeros(8, dtype=np.float32)
    frozen.flags.writeable = False
    with pytest.raises(TypeError, match=r"scale takes 4 arguments \(x, y, factor, n\), got 2"):
        program.launch("scale", grid=1, block=1, args=(x, x))
    with pytest.raises(TypeError, match="y: expected a tensor, an array or None for a pointer, got list"):
        program.launch("scale", grid=1, block=1, args=(x, [0.0], 1.0, 8))
    with pytest.raises(TypeError, match="n needs int, got str 'eight'"):
        program.launch("scale", grid=1, block=1, args=(x, x, 1.0, "eight"))
    with pytest.raises(TypeError, match="y: the kernel takes a pointer that it may write through"):
        program.launch("scale", grid=1, block=1, args=(x, frozen, 1.0, 8))
    with pytest.raises(ValueError, match=r"no kernel 'scales' .* it has: scale"):
        program.launch("scales", grid=1, block=1)
    with pytest.raises(ValueError, match="shows no function 'entry'"):
        program.call("entry")
    with pytest.raises(ValueError, match="grid needs one to three sizes"):
        program.launch("scale", grid=(1, 1, 1, 1), block=1, args=(x, x, 1.0, 8))


TYPES = """struct Own { int n; };
extern "C" int entry(const float* x, std::size_t n) { return int(x[n]); }
__global__ void f(float* y, const float* x, const int* i, const __half* h, const bool* b, const std::uint64_t* u) {}
__global__ void g(const void* v, const unsigned char* c, const float4* q, const Own* o, float** p) {}
"""


@pytest.mark.parametrize(
    ("place", "value", "message"),
    [
        (0, torch.zeros(8).double(), "y: the kernel takes float*, got float64; give it float32, as the kernel writes"),
        (1, torch.zeros(8).double(), "x: the kernel takes const float*, got float64; call .float()"),
        (1, np.zeros(8), 'x: the kernel takes const float*, got float64; call .astype("float32")'),
        (1, np.zeros(8, dtype=">f4"), "x: the kernel takes const float*, got >f4"),
        (1, torch.zeros(8).long(), "x: the kernel takes const float*, got int64"),
        (1, torch.zeros(8).half(), "x: the kernel takes const float*, got float16"),
        (1, torch.zeros(8).int(), "x: the kernel takes const float*, got int32"),
        (2, torch.zeros(8).long(), "i: the kernel takes const int*, got int64; call .int()"),
        (3, torch.zeros(8).bfloat16(), "h: the kernel takes const __half*, got bfloat16; call .half()"),
        (4, torch.zeros(8), "b: the kernel takes const bool*, got float32; call .bool()"),
        (5, torch.zeros(8).int(), "u: the kernel takes const std::uint64_t*, got int32; call .long()"),
    ],
)
def test_a_tensor_of_other_numbers_than_the_pointer_is_refused(
    cache: Path, place: int, value: object, message: str
) -> None:
    program = compile(TYPES, cache=cache)
    args: list[object] = [None] * 6
    args[place] = value
    with pytest.raises(TypeError, match=re.escape(message)):
        program.launch("f", grid=1, block=1, args=args)
    if place == 1:
        with pytest.raises(TypeError, match="x: the kernel takes const float"):
            program.call("entry", value, 0)


def test_pointers_to_bytes_and_structures_and_signs_take_what_they_always_took(cache: Path) -> None:
    program = compile(TYPES, cache=cache)
    program.launch("f", grid=1, block=1, args=(None, None, np.zeros(8, dtype=np.uint32), None, None, None))
    masks = torch.zeros(8, dtype=torch.uint8)
    program.launch(
        "f", grid=1, block=1, args=(torch.zeros(8), torch.zeros(8), None, torch.zeros(8).half(), masks, None)
    )
    doubles = torch.zeros(8).double()
    program.launch("g", grid=1, block=1, args=(doubles, doubles, torch.zeros(8), doubles, doubles))
    with pytest.raises(TypeError, match="q: the kernel takes const float4"):
        program.launch("g", grid=1, block=1, args=(None, None, doubles, None, None))
    assert program.call("entry", torch.full((2,), 7.0), 1) == 7


@pytest.mark.parametrize(
    "text",
    [
        "#include <cuda_runtime.h>\n__global__ void f(float* y, int n = 3) { y[0] = n; }",
        "#include <cstdio>\nvoid __global__ f(float* y, int n) { y[0] = n; }",
        "#define OPEN(x) \\\n    if (x) {\nstatic __global__ void f(float* y, int n) { OPEN(true) y[0] = n; } }",
    ],
    ids=["include and default", "void first", "brace in a macro"],
)
def test_kernels_are_found_after_directives_and_in_other_orders(cache: Path, text: str) -> None:
    program, y = compile(text, cache=cache), torch.zeros(1)
    program.launch("f", grid=1, block=1, args=(y, 5))
    assert float(y) == 5.0


def test_a_cache_that_cannot_be_written_is_named_with_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    with pytest.raises(OSError, match=r"cannot be written .* cache=folder.* XDG_CACHE_HOME") as refused:
        compile(SCALE)
    assert str(refused.value).startswith(str(tmp_path / "file" / "tilewise"))


def test_faults_of_a_text_carry_the_name_that_it_was_given(cache: Path) -> None:
    program = compile(SCALE.replace("i < n", "true"), name="scale.cu", checked=True, cache=cache)
    with program.watch() as report:
        program.launch("scale", grid=1, block=8, args=(torch.zeros(8), torch.zeros(4), 1.0, 8))
    assert [(fault.file, fault.line) for fault in report.faults] == [("scale.cu", 4)]
    assert list(report.lines) == [("scale.cu", 4)]


def test_one_report_at_a_time(cache: Path) -> None:
    program = compile(SCALE, cache=cache)
    with program.watch(), pytest.raises(RuntimeError, match="already collecting"), program.watch():
        pass


def test_signatures_are_read_through_comments_and_qualifiers() -> None:
    text = """
    // __global__ void no(int x) {}
    template <int N> __global__ void also_no(float* x) {}
    extern "C" {
    static __global__ void __launch_bounds__(32 * (2 + 1), 1) yes(const float *__restrict__ x, /* , */ unsigned int n,
                                                                 std::pair<int, int> p) { }
    int entry(const __half* const q, float out[4], cudaStream_t stream) { return 0; }
    }"""
    (kernel,) = kernels(text)
    assert (kernel.name, kernel.line) == ("yes", 5)
    assert [(p.name, p.type) for p in kernel.parameters] == [
        ("x", "const float *"),
        ("n", "unsigned int"),
        ("p", "std::pair<int, int>"),
    ]
    entry = entry_point(text, "entry")
    assert entry is not None
    assert [(p.name, p.is_pointer, p.is_read_only) for p in entry] == [
        ("q", True, True),
        ("out", True, False),
        ("stream", False, False),
    ]
    assert parameters("void") == ()
    assert global_arrays("__device__ float f(float* a) { a[1] = 2; }\n__constant__ float c[8], d[N][2];") == {"c", "d"}
    assert shared_arrays("__shared__ float a[2][3], b[4]; float c[5];") == {"a", "b"}


def test_both_builds_run_under_two_gib_of_addresses(cache: Path) -> None:
    code = f"""
import torch
from pathlib import Path
from tilewise.cuda_on_cpu import compile
for checked in (False, True):
    program = compile(Path({str(KERNELS / "correct.cu")!r}), checked=checked, cache=Path({str(cache)!r}))
    q, k, v = torch.randn(3, 4, 64, 64)
    o = torch.full_like(q, torch.nan)
    program.call("flash_forward_thread_per_row", q, k, v, o, torch.zeros(4, 64), 4, 64, 0.125, True, None)
    assert not o.isnan().any()
"""
    limit = 2 << 30
    done = subprocess.run(
        [sys.executable, "-c", code],
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (limit, limit)),
        env={**os.environ, "MALLOC_ARENA_MAX": "1", "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr


def test_importing_the_driver_imports_no_torch() -> None:
    code = "import sys, tilewise.cuda_on_cpu; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
