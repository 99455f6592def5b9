"""`torch_fa2` against PyTorch's fused attention for the CPU, and against memory-efficient-attention-pytorch.

A table of `python -m benchmarks.library`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

import torch
from memory_efficient_attention_pytorch.flash_attention import FlashAttentionFunction
from torch import Tensor

import tilewise
from benchmarks.figures import Bar, Figure, Spread, Table, interleaved, ratios
from tilewise.backends import torch_fa2
from tilewise.spec import make_spec

BATCH, HEADS, WIDTH = 1, 8, 64
ROUNDS = {1024: 41, 2048: 21, 4096: 11, 8192: 5}
PEERS_BUCKETS = (512, 1024)  # of queries and of keys: what that package's own module takes
PASSES = ("forward", "forward + backward")
AGAINST_FUSED = {"forward": Bar(1.4), "forward + backward": Bar(1.25)}
SHAPES = f"B={BATCH} H={HEADS} D={WIDTH}, N as given, float32"

Run = Callable[[], object]


@dataclass(frozen=True)
class Contender:
    """One that attends: its two passes, each to be run again and again."""

    forward: Run
    backward: Run


def by_autograd(attend: Callable[[Tensor, Tensor, Tensor], Tensor], *tensors: Tensor) -> Contender:
    """Take both passes as a user does. tensors: q, k, v and do"""
    *inputs, do = tensors
    inputs = [x.detach().requires_grad_() for x in inputs]
    o = attend(*inputs)
    return Contender(partial(attend, *inputs), lambda: torch.autograd.grad(o, inputs, do, retain_graph=True))


def contenders(q: Tensor, k: Tensor, v: Tensor, do: Tensor, causal: bool) -> dict[str, Contender]:
    """Set all of them up for one problem; none may change its tensors. The passes give what each gives by itself."""
    spec = make_spec(q, k, v, causal=causal)
    o, lse = torch_fa2.forward(q, k, v, spec)
    fused = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu
    fused_backward = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu_backward
    fused_o, fused_lse = fused(q, k, v, 0.0, causal)
    return {
        "fused": Contender(
            partial(fused, q, k, v, 0.0, causal),
            partial(fused_backward, do, q, k, v, fused_o, fused_lse, 0.0, causal),
        ),
        "torch_fa2": Contender(
            partial(torch_fa2.forward, q, k, v, spec),
            partial(torch_fa2.backward, do, None, q, k, v, o, lse, spec, mask_grad=False),
        ),
        "tilewise.attention": by_autograd(partial(tilewise.attention, causal=causal, backend="torch_fa2"), q, k, v, do),
        "the peer": by_autograd(
            lambda q, k, v: FlashAttentionFunction.apply(q, k, v, None, causal, *PEERS_BUCKETS), q, k, v, do
        ),
    }


def times(n: int, causal: bool, rounds: int) -> dict[str, dict[str, list[float]]]:
    """Time all contenders side by side. -> milliseconds of each round, by contender and by the names of PASSES"""
    tasks: dict[str, Run] = {}
    q, k, v, do = (torch.randn(BATCH, HEADS, n, WIDTH) for _ in range(4))
    for name, contender in contenders(q, k, v, do, causal).items():
        tasks |= {f"{name} forward": contender.forward, f"{name} backward": contender.backward}
    taken = interleaved(tasks, rounds)
    found = {}
    for name in dict.fromkeys(task.rpartition(" ")[0] for task in tasks):
        forward, backward = taken[f"{name} forward"], taken[f"{name} backward"]
        found[name] = dict(zip(PASSES, (forward, [a + b for a, b in zip(forward, backward, strict=True)]), strict=True))
    return found


def compared(what: str, upper: tuple[str, list[float]], lower: tuple[str, list[float]], *bars: Bar) -> Figure:
    parts = {f"{name}, ms": Spread.of(taken) for name, taken in (upper, lower)}
    return Figure(what, Spread.of(ratios(upper[1], lower[1])), f"{upper[0]} / {lower[0]}", bars, parts)


def tables(lengths: tuple[int, ...] = tuple(ROUNDS), share: float = 1.0) -> Iterator[Table]:
    """Compare at these lengths. share: of the usual number of rounds"""
    direct, public, peer = [], [], []
    for n in lengths:
        for causal in (False, True):
            found = times(n, causal, max(3, round(ROUNDS[n] * share)))
            for name in PASSES:
                what = f"N={n}{', causal' if causal else ''}, {name}"
                taken = {contender: (contender, passes[name]) for contender, passes in found.items()}
                direct.append(compared(what, taken["torch_fa2"], taken["fused"], AGAINST_FUSED[name]))
                public.append(compared(what, taken["tilewise.attention"], taken["fused"], AGAINST_FUSED[name]))
                bar = Bar(3.0, at_least=True) if causal else Bar(1.0, at_least=True, strict=True)
                peer.append(compared(what, taken["the peer"], taken["tilewise.attention"], bar))
    yield Table(
        "torch_fa2 and PyTorch's fused attention",
        "The backend's own functions against `aten::_scaled_dot_product_flash_attention_for_cpu` and its backward."
        f" {SHAPES}.",
        tuple(direct),
    )
    yield Table(
        "The same through the public API",
        f'`tilewise.attention(..., backend="torch_fa2")` and autograd, checks included, against the same. {SHAPES}.',
        tuple(public),
    )
    yield Table(
        "The peer",
        f"`FlashAttentionFunction` of memory-efficient-attention-pytorch with its own buckets, {PEERS_BUCKETS[0]}"
        f" queries and {PEERS_BUCKETS[1]} keys, against `tilewise.attention`, autograd on both sides. {SHAPES}.",
        tuple(peer),
    )
