"""What a card's answer is run on: batches in which every query meets as many keys, cut by one block size.

These are the cases of the exercise that `autograder.course.lessons.bench` makes for a card. What is right, its own
exercise says. Queries and keys are multiples of 1/4 and features a power of 4, so that a scale put in anywhere is
exact, and what two programs with one mistake give differs by rounding alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import torch
from torch import Tensor

from autograder.judge.checks import Case, Draw, load_checks, prop

Script = Callable[[Tensor, Tensor, Tensor, int], Tensor]


def reference_of(checks: Path, inputs: tuple[str, ...]) -> Script:
    """Give what is right for a batch: the exercise's own reference, one after the other.

    inputs: which input of the script each argument of the reference is.
    """
    single = load_checks(checks).reference

    def reference(query: Tensor, key: Tensor, value: Tensor, block_size: int) -> Tensor:
        every = [
            {"query": q, "key": k, "value": v, "block_size": block_size}
            for q, k, v in zip(query, key, value, strict=True)
        ]
        return torch.stack([single(*(named[name] for name in inputs)) for named in every])

    return reference


def drawn(draw: Draw, batch: int, n: int, block_size: int, *, ramp: float = 0.0, apart: float = 0.0) -> Case:
    """Draw tensors (batch, n, 4). Scores rise by `ramp` from key to key; query r lies `apart` * r above the first."""
    query, key = ((draw.normal(batch, n, 4) * 4).round() / 4 for _ in range(2))
    # The last feature carries the ramp, the one before it what sets queries apart. 2, the root of the number of
    # features, is what the scale divides by.
    if ramp:
        query[..., -1], key[..., -1] = 1.0, 2 * ramp * torch.arange(n)
    if apart:
        query[..., -2], key[..., -2] = torch.arange(n) - n // 2, 2 * apart
    return Case(query=query, key=key, value=draw.normal(batch, n, 4), block_size=block_size)


@prop
def one_block(draw: Draw) -> Iterator[Case]:
    yield drawn(draw, 1, 3, 3)
    yield drawn(draw, 2, 5, 8)


@prop
def several_blocks(draw: Draw) -> Iterator[Case]:
    yield drawn(draw, 1, 4, 2)
    yield drawn(draw, 2, 12, 4, ramp=0.5)
    yield drawn(draw, 2, 12, 3, ramp=-0.5)


@prop
def ragged_tail(draw: Draw) -> Iterator[Case]:
    yield drawn(draw, 1, 5, 2)
    yield drawn(draw, 2, 11, 4, ramp=0.25)


@prop
def large_scores(draw: Draw) -> Iterator[Case]:
    yield drawn(draw, 1, 4, 2, apart=1024.0)
    yield drawn(draw, 2, 6, 4, apart=4096.0, ramp=-0.5)
