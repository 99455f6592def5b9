"""Run CUDA C++ kernels on a CPU, and say what is wrong with them and what they move.

    program = compile(source, checked=True)
    program.launch("scale", grid=4, block=128, args=(x, 512))

A source is plain CUDA C++ that begins with `#include "tilewise_cuda.h"`; nvcc compiles the same file for a GPU. The
plain build is fast and finds faults of waiting (barriers, shuffles) and of launching; the checked build finds faulty
accesses to memory and races too, and counts bytes, sectors and bank conflicts.
"""

from __future__ import annotations

from tilewise.cuda_on_cpu.program import Program, compile
from tilewise.cuda_on_cpu.report import FAULT_KINDS, Counts, CudaFault, Fault, Report
from tilewise.cuda_on_cpu.toolchain import INCLUDE, CompileError, NoCompiler, find_compiler

__all__ = [
    "FAULT_KINDS",
    "INCLUDE",
    "CompileError",
    "Counts",
    "CudaFault",
    "Fault",
    "NoCompiler",
    "Program",
    "Report",
    "compile",
    "find_compiler",
]
