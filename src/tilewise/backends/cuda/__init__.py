"""FlashAttention-2 (Dao 2023) in CUDA C++, in three rungs that a reader can climb, and what belongs to it.

`kernels/`, each file one step: the forward pass by a thread per query, by a warp per query, and tiled in shared
memory, which is the one that is used; delta, dq, and dk and dv of the backward pass; decoding over a cache of keys; the
sum of two tensors with its LayerNorm. `passes` says in which order they run. This module runs them on a GPU; `on_cpu`,
the backend "cuda_cpu", runs the same files on the processor.
"""

from __future__ import annotations

import torch
from torch import Tensor

from tilewise.backends.cuda import build, passes
from tilewise.backends.cuda.layer_norm import add_layer_norm
from tilewise.backends.cuda.passes import Kernel
from tilewise.spec import Spec

__all__ = ["add_layer_norm", "backward", "cannot", "forward", "here", "how", "not_yet"]

here = build.here
not_yet = build.not_built


def how() -> str:
    """Say how kernels run on this machine."""
    return (
        f"CUDA C++, compiled for {torch.cuda.get_device_name()}" if torch.cuda.is_available() else "CUDA C++ on a GPU"
    )


def cannot(q: Tensor, v: Tensor, spec: Spec) -> str | None:
    """Say why these kernels cannot attend to such tensors, or None where they can."""
    if q.device.type != "cuda":
        return (
            f"it runs on CUDA devices, not on {q.device.type}; backend='cuda_cpu' executes the same kernels on the CPU"
        )
    return passes.cannot(q, v) or build.too_small(q.device)


def forward(q: Tensor, k: Tensor, v: Tensor, spec: Spec, *, kernel: Kernel | None = None) -> tuple[Tensor, Tensor]:
    """Attend. Shapes as in `tilewise.backends`.

    kernel: "thread" (a thread per query), "warp" (a warp per query), "tiled" or "decode"; None for what is best
    """
    return passes.forward(q, k, v, spec, build.machine(q.device), kernel)


def backward(
    do: Tensor,
    dlse: Tensor | None,
    q: Tensor,
    k: Tensor,
    v: Tensor,
    o: Tensor,
    lse: Tensor,
    spec: Spec,
    *,
    mask_grad: bool,
) -> tuple[Tensor, Tensor, Tensor, Tensor | None]:
    """Give dq, dk, dv and dmask. Shapes as in `tilewise.backends`.

    On a GPU the elements of dmask are added up in no fixed order where the mask was broadcast.
    """
    return passes.backward(do, dlse, q, k, v, o, lse, spec, build.machine(q.device), mask_grad=mask_grad)
