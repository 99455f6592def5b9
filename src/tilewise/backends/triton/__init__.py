"""FlashAttention-2 (Dao 2023) in Triton: compiled for a GPU, or in Triton's interpreter, which needs none.

The kernels are in `kernels/`: the forward pass; delta, dk and dv, and dq of the backward pass. Here is what they cannot
do, and in which order they run.
"""

from __future__ import annotations

import torch
from torch import Tensor

from tilewise.backends.triton.arguments import matrix, rules, sizes, vector
from tilewise.backends.triton.blocks import WIDEST
from tilewise.backends.triton.launch import Launcher
from tilewise.backends.triton.versions import interpreter_fault, is_interpreted
from tilewise.spec import Spec


def here() -> str | None:
    """Say why no kernel can run on this machine, or None where one can."""
    return None if torch.cuda.is_available() else interpreter_fault()


def how() -> str:
    """Say how kernels run on this machine."""
    if not torch.cuda.is_available():
        return "Triton, in its interpreter (no GPU here)"
    if is_interpreted(torch.device("cuda")):
        return "Triton, in its interpreter (TRITON_INTERPRET is set)"
    return f"Triton, compiled for {torch.cuda.get_device_name()}; in its interpreter for tensors on the CPU"


def cannot(q: Tensor, v: Tensor, spec: Spec) -> str | None:
    """Say why these kernels cannot attend to such tensors, or None where they can."""
    if q.dtype is torch.float64:
        return "its sums are float32, which is not enough for float64"
    if q.device.type not in ("cpu", "cuda"):
        return f"it runs on CUDA devices, and on the CPU in Triton's interpreter, not on {q.device.type}"
    if is_interpreted(q.device):
        if q.dtype is torch.bfloat16:
            return "Triton's interpreter computes with the bits of bfloat16 as if they were integers"
        return interpreter_fault()
    major, minor = torch.cuda.get_device_capability(q.device)
    if major < 8:
        return f"its tiles are made for GPUs of compute capability 8.0 and above, not {major}.{minor}"
    if max(q.shape[-1], v.shape[-1]) > WIDEST:
        return f"its tiles hold heads of at most {WIDEST} features, not {max(q.shape[-1], v.shape[-1])}"
    return None


def forward(
    q: Tensor, k: Tensor, v: Tensor, spec: Spec, *, block_q: int | None = None, block_k: int | None = None
) -> tuple[Tensor, Tensor]:
    """Attend. Shapes as in `tilewise.backends`.

    block_q, block_k: powers of two from 16, or None for what is best here
    """
    o = q.new_empty(*q.shape[:-1], v.shape[-1])
    lse = q.new_empty(q.shape[:-1], dtype=torch.float32)
    launch = Launcher(q, k, v, block_q, block_k)
    plain = spec.scale >= 0 and spec.mask is None and spec.alibi_slopes is None and spec.softcap is None
    pointers = (matrix(q), matrix(k), matrix(v), matrix(o), vector(lse))
    launch("forward", *pointers, sizes(q, k), rules(spec), over=q, PLAIN=plain)
    return o, lse


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
    block_q: int | None = None,
    block_k: int | None = None,
) -> tuple[Tensor, Tensor, Tensor, Tensor | None]:
    """Give dq, dk, dv and dmask. Shapes as in `tilewise.backends`, block sizes as in `forward`.

    On a GPU the elements of dmask are added up in no fixed order where the mask was broadcast.
    """
    dq, dk, dv = torch.empty_like(q), torch.empty_like(k), torch.empty_like(v)
    delta, lse2 = torch.empty_like(lse), torch.empty_like(lse)
    dmask = torch.zeros_like(spec.mask, dtype=torch.float32) if mask_grad and spec.mask is not None else None
    launch = Launcher(q, k, v, block_q, block_k)
    size, rule = sizes(q, k), rules(spec)
    given = None if dlse is None else vector(dlse)
    launch("delta", matrix(o), matrix(do), vector(lse), given, vector(delta), vector(lse2), size, over=q)
    read = (matrix(q), matrix(k), matrix(v), matrix(do), vector(delta), vector(lse2))
    launch("keys", *read, matrix(dk), matrix(dv), size, rule, spec.scale, over=k)
    added = None if dmask is None else matrix(dmask)
    launch("queries", *read, matrix(dq), added, size, rule, spec.scale, over=q)
    return dq, dk, dv, None if dmask is None or spec.mask is None else dmask.to(spec.mask.dtype)
