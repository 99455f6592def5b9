"""How much shared memory a kernel may have: static, dynamic and both, as on a GPU of compute capability 9.0."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import torch

from tilewise.cuda_on_cpu import INCLUDE, Program, Report, compile

USUAL, MOST = 48 * 1024, 227 * 1024
SOURCE = """#include "tilewise_cuda.h"

__global__ void just_fits(float* y) {
    __shared__ float s[12288];
    s[threadIdx.x] = 1.0f;
    __syncthreads();
    y[threadIdx.x] = s[31 - threadIdx.x];
}

__global__ void two_arrays(float* y) {  // LINE of two_arrays
    __shared__ float s[12288], t[32];
    s[threadIdx.x] = t[threadIdx.x] = 1.0f;
    __syncthreads();
    y[threadIdx.x] = s[31 - threadIdx.x] + t[31 - threadIdx.x];
}

static __device__ __noinline__ float reversed(float v) {
    __shared__ float s[8192];
    s[threadIdx.x] = v;
    __syncthreads();
    return s[31 - threadIdx.x];
}
__global__ void one_in_a_function(float* y) { y[threadIdx.x] = reversed(1.0f); }
__global__ void half_in_a_function(float* y) {  // LINE of half_in_a_function
    __shared__ float s[8192];
    s[threadIdx.x] = 1.0f;
    __syncthreads();
    y[threadIdx.x] = reversed(s[31 - threadIdx.x]);
}

template <int size>
__global__ void of_a_template(float* y) {
    __shared__ float s[size];
    s[threadIdx.x] = 1.0f;
    __syncthreads();
    y[threadIdx.x] = s[31 - threadIdx.x];
}
extern "C" int small_template(float* y) {
    TW_LAUNCH((of_a_template<32>), 1, 32, 0, nullptr)(y);
    return cudaGetLastError();
}
extern "C" int large_template(float* y) {
    TW_LAUNCH((of_a_template<16384>), 1, 32, 0, nullptr)(y);  // LINE of large_template
    return cudaGetLastError();
}

__global__ void both(float* y) {  // LINE of both
    __shared__ float s[8192];
    TW_DYNAMIC_SHARED(float, d);
    s[threadIdx.x] = d[threadIdx.x] = 1.0f;
    __syncthreads();
    y[threadIdx.x] = s[31 - threadIdx.x] + d[31 - threadIdx.x];
}
extern "C" int granted(float* y, int bytes) {
    cudaError_t error = cudaFuncSetAttribute(both, cudaFuncAttributeMaxDynamicSharedMemorySize, bytes);
    if (error != cudaSuccess) return -error;
    TW_LAUNCH(both, 1, 32, bytes, nullptr)(y);
    return cudaGetLastError();
}
"""
STATIC = 32 * 1024  # of `both`


@pytest.fixture(params=[False, True], ids=["plain", "checked"])
def program(request: pytest.FixtureRequest, cache: Path) -> Program:
    return compile(SOURCE, name="shared.cu", checked=request.param, cache=cache)


def launched(program: Program, kernel: str, **launch: Any) -> tuple[int, Report]:
    with program.watch() as report:
        error = program.launch(kernel, grid=1, block=32, args=(torch.zeros(32),), **launch)
    return error, report


def refused_at(report: Report, name: str) -> bool:
    line = next(i for i, text in enumerate(SOURCE.splitlines(), 1) if text.endswith(f"LINE of {name}"))
    return [(fault.kind, fault.file, fault.line) for fault in report.faults] == [
        ("too_much_shared_memory", "shared.cu", line)
    ]


@pytest.mark.parametrize("kernel", ["just_fits", "one_in_a_function"])
def test_arrays_of_other_kernels_do_not_count(program: Program, kernel: str) -> None:
    error, report = launched(program, kernel)
    assert (error, report.faults) == (0, [])


@pytest.mark.parametrize(("kernel", "bytes_"), [("two_arrays", USUAL + 128), ("half_in_a_function", 2 * STATIC)])
def test_too_much_static_memory_is_refused_where_it_is_launched(program: Program, kernel: str, bytes_: int) -> None:
    error, report = launched(program, kernel)
    assert error != 0
    assert refused_at(report, kernel)
    assert f"{kernel}: {bytes_} bytes of static shared memory" in report.faults[0].message


def test_each_kernel_of_a_template_has_its_own_size(program: Program) -> None:
    y = torch.zeros(32)
    assert program.call("small_template", y) == 0
    assert torch.equal(y, torch.ones(32))
    with program.watch() as report:
        assert program.call("large_template", y) != 0
    assert refused_at(report, "large_template")


@pytest.mark.parametrize(("dynamic", "fits"), [(USUAL - STATIC, True), (USUAL - STATIC + 1, False)])
def test_static_and_dynamic_memory_share_the_usual_limit(program: Program, dynamic: int, fits: bool) -> None:
    error, report = launched(program, "both", shared_bytes=dynamic)
    assert (error == 0) == fits
    assert refused_at(report, "both") == (not fits)


def test_no_more_than_the_device_has_can_be_asked_for(program: Program) -> None:
    y = torch.zeros(32)
    assert program.call("granted", y, MOST - STATIC) == 0
    assert torch.equal(y, torch.full((32,), 2.0))
    assert program.call("granted", y, MOST - STATIC + 1) < 0


@pytest.mark.skipif(shutil.which("nvcc") is None, reason="nvcc is not on the PATH: what it refuses was not compared")
def test_nvcc_refuses_the_same_kernels(tmp_path: Path) -> None:
    file = tmp_path / "shared.cu"
    file.write_text(SOURCE)
    command = ["nvcc", "-std=c++17", "-arch=sm_90", f"-I{INCLUDE}", "-c", str(file), "-o", str(tmp_path / "shared.o")]
    done = subprocess.run(command, capture_output=True, text=True)
    refused = {line.split("'")[1] for line in done.stderr.splitlines() if "uses too much shared data" in line}
    assert len(refused) == 3
    for name in ("two_arrays", "half_in_a_function", "of_a_template"):
        assert name in str(refused)
