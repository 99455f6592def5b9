"""How `blockwise_attention` is judged: on small inputs one mistake at a time shows; on a large one, what it holds.

Queries and keys are multiples of 1/4, so that scores near 10,000 are exact in float32 however they are computed.
"""

from collections.abc import Iterator

import torch
from torch import Tensor

from autograder.judge.checks import Case, Draw, prop
from tilewise import blockwise

# So many rows of scores in float64 stay in the processor's cache: half the time of 256 at once.
ROWS_AT_ONCE = 32
QUERIES, KEYS, TALL, NARROW = 1536, 8192, 1024, 64


def reference(q: Tensor, k: Tensor, v: Tensor, block_q: int, block_k: int) -> Tensor:
    """Take whole rows of scores, a few at a time: plain attention, in memory that the judge can spare."""
    return blockwise.blockwise_attention(q, k, v, ROWS_AT_ONCE, k.shape[0])


def quarters(x: Tensor) -> Tensor:
    return (x * 4).round() / 4


def drawn(
    draw: Draw, n_q: int, n_k: int, block_q: int, block_k: int, *, ramp: float, apart: float = 0.0, d: int = 4
) -> Case:
    """Draw queries and keys whose scores rise by `ramp` from key to key; row r lies `apart` * r higher than row 0.

    The last feature carries the ramp, the one before it what sets the rows apart. d must be a power of 4.
    """
    q, k, root = quarters(draw.normal(n_q, d, scale=0.5)), quarters(draw.normal(n_k, d)), d**0.5
    q[:, -1], k[:, -1] = 1.0, torch.arange(n_k) * ramp * root
    if apart:
        q[:, -2], k[:, -2] = torch.arange(n_q) - n_q // 2, apart * root
    return Case(q=q, k=k, v=draw.normal(n_k, d), block_q=block_q, block_k=block_k)


def by_hand(scores: list[list[float]], values: list[float], block_q: int, block_k: int) -> Case:
    """Give scores as they are: query r is the r-th unit vector, doubled, in four dimensions."""
    k, v = torch.zeros(len(values), 4), torch.zeros(len(values), 4)
    k[:, : len(scores)], v[:, 0] = torch.tensor(scores).T, torch.tensor(values)
    return Case(q=2.0 * torch.eye(len(scores), 4), k=k, v=v, block_q=block_q, block_k=block_k)


@prop
def whole_blocks(draw: Draw) -> Iterator[Case]:
    yield by_hand([[3.0, 1.0, 2.0, 0.0], [3.0, 2.0, 0.0, 1.0]], [1.0, 2.0, 4.0, 8.0], 1, 2)
    yield drawn(draw, 6, 6, 2, 2, ramp=-1.5)
    case = drawn(draw, 8, 8, 4, 2, ramp=-1.5)
    # Column by column in memory: not contiguous.
    yield Case(**case.arguments | {"k": case.arguments["k"].mT.contiguous().mT})


@prop
def growing_maximum(draw: Draw) -> Iterator[Case]:
    yield by_hand([[0.0, 1.0, 2.0, 3.0], [1.0, 0.0, 3.0, 2.0]], [1.0, 2.0, 4.0, 8.0], 1, 2)
    yield drawn(draw, 6, 6, 3, 2, ramp=1.5)
    yield drawn(draw, 8, 12, 4, 3, ramp=1.0)


@prop
def ragged_tails(draw: Draw) -> Iterator[Case]:
    yield drawn(draw, 4, 5, 2, 2, ramp=-1.0)
    yield drawn(draw, 5, 4, 2, 2, ramp=-1.0)
    yield drawn(draw, 7, 9, 4, 5, ramp=-0.5)
    # Each block is larger than what there is: the tail is all.
    yield drawn(draw, 3, 4, 8, 16, ramp=-1.0)


@prop
def lengths_and_blocks_differ(draw: Draw) -> Iterator[Case]:
    yield drawn(draw, 2, 8, 1, 4, ramp=-0.5)
    yield drawn(draw, 12, 4, 4, 2, ramp=-0.5)
    yield drawn(draw, 6, 12, 2, 6, ramp=-0.5)


@prop
def rows_far_apart(draw: Draw) -> Iterator[Case]:
    yield by_hand([[-10000.0, -10001.0], [1.0, 0.0], [10000.0, 9999.0]], [1.0, 2.0], 3, 1)
    yield drawn(draw, 6, 6, 3, 2, ramp=-1.5, apart=4000.0)


@prop
def within_memory(draw: Draw) -> Iterator[Case]:
    # All scores at once are 48 MiB in float32, those of one block of queries with every key 32 MiB, a tile is 1/4 MiB.
    # Right answers were seen to need 12 MiB at most. All scores in float16, 24 MiB, leave no room for anything else.
    yield drawn(draw, QUERIES, KEYS, TALL, NARROW, ramp=2.0**-11, d=16)
