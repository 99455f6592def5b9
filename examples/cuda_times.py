"""How long attention takes: standard, torch's own, and this library's backends, on what this machine has.

On a GPU where there is one, else on the processor. Backends that cannot run here are named, with the reason. The CUDA
kernels executed on a processor are timed only when asked for: that says nothing about a GPU.

    python examples/cuda_times.py --length 1024 --causal
    python examples/cuda_times.py --length 128 --backend cuda_cpu
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Sequence
from functools import partial

import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention

import tilewise

WARM_UP, RUNS = 3, 11
Run = Callable[[], Tensor]


def median_ms(run: Run, on_gpu: bool) -> float:
    """Give the median of `RUNS` runs after `WARM_UP` others, each waited for."""
    times = []
    for number in range(WARM_UP + RUNS):
        start = time.perf_counter()
        run()
        if on_gpu:
            torch.cuda.synchronize()  # a launch returns before the kernel has run
        if number >= WARM_UP:
            times.append(1e3 * (time.perf_counter() - start))
    return statistics.median(times)


def contestants(q: Tensor, k: Tensor, v: Tensor, causal: bool, extra: Sequence[str]) -> dict[str, Run]:
    """Give what is timed, by name, and print which backends are not, and why."""
    found: dict[str, Run] = {
        "standard attention": partial(tilewise.attention, q, k, v, causal=causal, backend="reference"),
        "torch's own": partial(scaled_dot_product_attention, q, k, v, is_causal=causal),
    }
    usual = ("torch_fa2", "triton", "cuda") if q.is_cuda else ("torch_fa2",)
    for backend, reason in tilewise.explain_backend(q, k, v, causal=causal).refused.items():
        if backend not in (*usual, *extra):
            print(f"not timed: {backend}: {reason}")
    for backend in dict.fromkeys((*usual, *extra)):
        try:
            run = partial(tilewise.attention, q, k, v, causal=causal, backend=backend)
            run()
        except tilewise.BackendError as error:
            print(f"not timed: {error}")
        else:
            found[backend] = run
    return found


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, usual in (("batch", 1), ("heads", 8), ("length", 512), ("d", 64)):
        parser.add_argument(f"--{name}", type=int, default=usual)
    parser.add_argument("--dtype", choices=("float32", "float16"), default="float32")
    parser.add_argument("--causal", action="store_true")
    parser.add_argument("--backend", action="append", default=[], help="time this one too; may be given several times")
    asked = parser.parse_args(arguments)
    on_gpu = torch.cuda.is_available()
    shape = (asked.batch, asked.heads, asked.length, asked.d)
    device, dtype = "cuda" if on_gpu else "cpu", getattr(torch, asked.dtype)
    q, k, v = (torch.randn(shape, dtype=dtype, device=device) for _ in range(3))
    where = torch.cuda.get_device_name() if on_gpu else f"the processor, {torch.get_num_threads()} threads"
    print(f"{where}, torch {torch.__version__}, {asked.dtype}, (B, H, N, D) = {shape}, causal: {asked.causal}")
    print(f"forward pass, median of {RUNS} runs after {WARM_UP}")
    for name, run in contestants(q, k, v, asked.causal, asked.backend).items():
        print(f"{name:20} {median_ms(run, on_gpu):9.3f} ms")


if __name__ == "__main__":
    main()
