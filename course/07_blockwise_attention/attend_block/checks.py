"""How `attend_block` is judged: the judge cuts the keys into blocks, starts the state, carries it, and divides at last.

`widths` says how: "3+1+2" are three blocks of three, one and two keys. Queries and keys are multiples of 1/4 and scales
are powers of two, so that scores are exact in float32 however they are computed, near 10,000 too.
"""

from collections.abc import Iterator

import torch
from torch import Tensor

from autograder.judge.checks import Case, Draw, prop
from tilewise import blockwise
from tilewise.blockwise import AttentionState, blockwise_attention, nothing_seen


def first_state(q: Tensor, k: Tensor, v: Tensor, scale: float, widths: str) -> AttentionState:
    return nothing_seen(q, v.shape[1])


def tiles(q: Tensor, k: Tensor, v: Tensor, scale: float, widths: str) -> list[tuple[Tensor, Tensor, Tensor, float]]:
    cut = [int(width) for width in widths.split("+")]
    return [(q, k_j, v_j, scale) for k_j, v_j in zip(k.split(cut), v.split(cut), strict=True)]


def finish(state: tuple[Tensor, ...], q: Tensor, k: Tensor, v: Tensor, scale: float, widths: str) -> Tensor:
    _, l, acc = state
    return acc / l[:, None]


def reference(q: Tensor, k: Tensor, v: Tensor, scale: float, widths: str) -> Tensor:
    return blockwise_attention(q, k, v, q.shape[0], k.shape[0], scale)


def reference_states(q: Tensor, k: Tensor, v: Tensor, scale: float, widths: str) -> list[AttentionState]:
    state, states = first_state(q, k, v, scale, widths), []
    for tile in tiles(q, k, v, scale, widths):
        state = blockwise.attend_block(state, *tile)
        states.append(state)
    return states


def quarters(x: Tensor) -> Tensor:
    return (x * 4).round() / 4


def drawn(draw: Draw, n_q: int, widths: str, *, scale: float = 0.5, ramp: float, apart: float = 0.0) -> Case:
    """Draw queries and keys whose scores rise by `ramp` from key to key; row r lies `apart` * r higher than row 0.

    The last feature carries the ramp, the one before it what sets the rows apart.
    """
    n_k, d = sum(map(int, widths.split("+"))), 4
    q, k = quarters(draw.normal(n_q, d, scale=0.5)), quarters(draw.normal(n_k, d))
    q[:, -1], k[:, -1] = 1.0, torch.arange(n_k) * (ramp / scale)
    if apart:
        q[:, -2], k[:, -2] = torch.arange(n_q) - n_q // 2, apart / scale
    return Case(q=q, k=k, v=draw.normal(n_k, d), scale=scale, widths=widths)


def by_hand(scores: list[list[float]], values: list[float], widths: str) -> Case:
    """Give scores as they are: query r is the r-th unit vector, doubled, under the scale 1/2, which is 1/sqrt(D)."""
    k, v = torch.zeros(len(values), 4), torch.zeros(len(values), 4)
    k[:, : len(scores)], v[:, 0] = torch.tensor(scores).T, torch.tensor(values)
    return Case(q=2.0 * torch.eye(len(scores), 4), k=k, v=v, scale=0.5, widths=widths)


@prop
def blocks_of_any_width(draw: Draw) -> Iterator[Case]:
    yield by_hand([[3.0, 1.0, 2.0]], [1.0, 2.0, 4.0], "2+1")
    yield drawn(draw, 3, "3+1+4", ramp=-1.5)


@prop
def growing_maximum(draw: Draw) -> Iterator[Case]:
    yield by_hand([[0.0, 1.0, 2.0, 3.0]], [1.0, 2.0, 4.0, 8.0], "2+2")
    yield drawn(draw, 4, "2+3+4", ramp=1.5)


@prop(states=True)
def state_after_each_block(draw: Draw) -> Iterator[Case]:
    # The rows lie apart, and their maxima come in different blocks.
    yield by_hand([[2.0, 1.0, 0.0], [-3.0, -2.0, -1.0]], [1.0, 2.0, 4.0], "2+1")
    yield drawn(draw, 3, "2+1+3", ramp=-1.0, apart=8.0)
    yield drawn(draw, 3, "1+2+3", ramp=1.0, apart=8.0)


@prop
def rows_far_apart(draw: Draw) -> Iterator[Case]:
    yield by_hand([[-10000.0, -10001.0], [1.0, 0.0], [10000.0, 9999.0]], [1.0, 2.0], "1+1")
    yield drawn(draw, 3, "3+4", ramp=-1.5, apart=1e4)
    yield drawn(draw, 3, "3+4", ramp=1.5, apart=1e4)


@prop
def any_scale(draw: Draw) -> Iterator[Case]:
    yield drawn(draw, 3, "2+2", ramp=-1.0, scale=0.25)
    yield drawn(draw, 2, "3+2", ramp=-1.0, scale=2.0)
