"""The two passes, kernel by kernel, for whoever runs kernels: a GPU, or the executor on the CPU.

q, k, v and their kin are copied where their rows cannot be read four elements at a time; tensors of any other strides
are read in place.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

import torch
from torch import Tensor

from tilewise.backends.cuda.arguments import aligned, packed, problem, readable
from tilewise.spec import Spec

KERNELS = Path(__file__).parent / "kernels"
WIDEST = 128
DTYPES = (torch.float32, torch.float16)

FEW_QUERIES = 4  # at most so many queries are decoded: the keys are cut into splits
SPLIT_KEYS = 32  # a split has at least so many keys

Kernel = Literal["thread", "warp", "tiled", "decode"]


class Run(Protocol):
    """Call an entry point of a kernel file, the stream left out. Raises where a kernel fails.

    file: the name of a file in `KERNELS`, without its suffix; the entry point is tw_<file>
    """

    def __call__(self, file: str, *arguments: Any) -> None: ...


@dataclass(frozen=True)
class Machine:
    """What runs kernels. warps: how many keep it busy"""

    run: Run
    warps: int


def cannot(q: Tensor, v: Tensor) -> str | None:
    """Say why no kernel can attend to such tensors, on whatever machine, or None where some can."""
    if q.dtype not in DTYPES:
        name = str(q.dtype).removeprefix("torch.")
        return f"its kernels take float32 and float16, not {name}"
    widest = max(q.shape[-1], v.shape[-1])
    if widest > WIDEST:
        return f"its kernels hold heads of at most {WIDEST} features, not {widest}"
    return None


def forward(
    q: Tensor, k: Tensor, v: Tensor, spec: Spec, machine: Machine, kernel: Kernel | None = None
) -> tuple[Tensor, Tensor]:
    """Attend. Shapes as in `tilewise.backends`.

    kernel: which of the ladder; None decodes where queries are few, and is "tiled" else
    """
    d_v = v.shape[-1]
    q, k, v = (aligned(x) for x in (q, k, v))
    o = q.new_empty(*q.shape[:-1], v.shape[-1])
    lse = q.new_empty(q.shape[:-1], dtype=torch.float32)
    if lse.numel() == 0:
        return o[..., :d_v], lse
    mask = readable(spec.mask)
    asked, at = problem(q, k, v, spec, mask), packed(q, k, v, o)
    if kernel is None:
        kernel = "decode" if q.shape[2] <= FEW_QUERIES else "tiled"
    if kernel == "decode":
        splits = max(1, min(-(-k.shape[2] // SPLIT_KEYS), machine.warps // lse.numel()))
        parts = lse.new_empty(*lse.shape, splits, v.shape[-1])
        part_lse = lse.new_empty(*lse.shape, splits)
        machine.run("decode", asked, splits, at, q, k, v, mask, spec.alibi_slopes, parts, part_lse, o, lse)
    else:
        machine.run(f"{kernel}_forward", asked, at, q, k, v, mask, spec.alibi_slopes, o, lse)
    return _narrow(o, d_v), lse


def backward(
    do: Tensor,
    dlse: Tensor | None,
    q: Tensor,
    k: Tensor,
    v: Tensor,
    o: Tensor,
    lse: Tensor,
    spec: Spec,
    machine: Machine,
    *,
    mask_grad: bool,
) -> tuple[Tensor, Tensor, Tensor, Tensor | None]:
    """Give dq, dk, dv and dmask. Shapes as in `tilewise.backends`.

    On a GPU the elements of dmask are added up in no fixed order where the mask was broadcast.
    """
    d, d_v = q.shape[-1], v.shape[-1]
    q, k, v, o, do = (aligned(x) for x in (q, k, v, o, do))
    lse, dlse = lse.contiguous(), None if dlse is None else dlse.contiguous()
    mask, slopes = readable(spec.mask), spec.alibi_slopes
    dq, dk, dv = (x.new_empty(x.shape) for x in (q, k, v))
    dmask = torch.zeros(mask.shape, dtype=torch.float32, device=q.device) if mask is not None and mask_grad else None
    asked = problem(q, k, v, spec, mask)
    delta = torch.empty_like(lse)
    if lse.numel() > 0:
        machine.run("delta", asked, packed(o, do), o, do, dlse, delta)
        at = packed(q, k, v, do, dq, dmask)
        machine.run("queries_backward", asked, at, q, k, v, mask, slopes, do, lse, delta, dq, dmask)
    if k.numel() > 0:
        at = packed(q, k, v, do, dk, dv)
        machine.run("keys_backward", asked, at, q, k, v, mask, slopes, do, lse, delta, dk, dv)
    given = None if dmask is None or spec.mask is None else dmask.to(spec.mask.dtype)
    return _narrow(dq, d), _narrow(dk, d), _narrow(dv, d_v), given


def _narrow(x: Tensor, features: int) -> Tensor:
    """Take off the features that `aligned` added."""
    return x if x.shape[-1] == features else x[..., :features].contiguous()


def add_layer_norm(
    x: Tensor, residual: Tensor, weight: Tensor, bias: Tensor, eps: float, machine: Machine
) -> tuple[Tensor, Tensor]:
    """Give LayerNorm(x + residual) * weight + bias, and x + residual. Shapes as in `layer_norm.add_layer_norm`."""
    x, residual, weight, bias = (tensor.contiguous() for tensor in (x, residual, weight, bias))
    y, total = torch.empty_like(x), torch.empty_like(x)
    if x.numel() > 0:
        columns = x.shape[-1]
        sizes = (x.numel() // columns, columns)
        machine.run("add_layer_norm", int(x.dtype is torch.float16), *sizes, eps, x, residual, weight, bias, total, y)
    return y, total
