"""How the streaming log-sum-exp is judged: the judge cuts rows into tiles and carries the state from one to the next.

`widths` says how: "3+1+2" are three tiles of three, one and two columns. Every case has three tiles, so that the cases
march in step: when `finish` runs, no other case is still in `update`, and an answer that remembers tiles outside the
state finds nothing there, every time.
"""

from collections.abc import Iterator

import torch
from torch import Tensor

from autograder.judge.checks import Case, Draw, prop
from tilewise.softmax import absorb, identity, logsumexp

INF = torch.inf
NUMBERS_PER_ROW = 2


def start(x: Tensor, widths: str) -> tuple[int]:
    return (x.shape[0],)


def tiles(x: Tensor, widths: str) -> list[tuple[Tensor]]:
    return [(tile,) for tile in x.split([int(width) for width in widths.split("+")], dim=1)]


def state_bytes(x: Tensor, widths: str) -> int:
    return NUMBERS_PER_ROW * x.shape[0] * torch.float32.itemsize


def reference(x: Tensor, widths: str) -> Tensor:
    return logsumexp(x)


def reference_states(x: Tensor, widths: str) -> list[tuple[Tensor, Tensor]]:
    state, states = identity(x.shape[0], dtype=x.dtype), []
    for (tile,) in tiles(x, widths):
        state = absorb(state, tile)
        states.append(tuple(state))
    return states


def falling(draw: Draw, rows: int, columns: int, *, shift: float = 0.0) -> Tensor:
    """Draw rows that never rise: the first tile holds the maximum, so nothing needs to be rescaled."""
    return draw.normal(rows, columns, shift=shift).sort(dim=1, descending=True).values


def rising(draw: Draw, rows: int, columns: int) -> Tensor:
    """Draw rows that never fall: every tile brings a new maximum."""
    return draw.normal(rows, columns, scale=2.0).sort(dim=1).values


def mixed(draw: Draw, rows: int, columns: int, *, shift: float) -> Tensor:
    """Draw rows in any order but for the first, which rises: whatever is drawn, one needs to be rescaled."""
    x = draw.normal(rows, columns, scale=2.0, shift=shift)
    x[0] = x[0].sort().values
    return x


@prop
def tiles_of_any_width(draw: Draw) -> Iterator[Case]:
    yield Case(x=torch.tensor([[3.0, 1.0, 2.0]]), widths="1+1+1")
    yield Case(x=falling(draw, 3, 8, shift=3.0), widths="3+1+4")


@prop
def growing_maximum(draw: Draw) -> Iterator[Case]:
    yield Case(x=torch.tensor([[0.0, 1.0, 2.0]]), widths="1+1+1")
    yield Case(x=rising(draw, 4, 9), widths="2+3+4")


@prop(states=True)
def state_after_each_tile(draw: Draw) -> Iterator[Case]:
    # The rows lie apart, and one of them below zero, so that each needs a maximum of its own.
    yield Case(x=torch.tensor([[2.0, 1.0, 0.0], [-3.0, -2.0, -1.0]]), widths="1+1+1")
    yield Case(x=rising(draw, 3, 6) + torch.tensor([[-8.0], [0.0], [8.0]]), widths="1+2+3")


@prop
def very_negative(draw: Draw) -> Iterator[Case]:
    # Ordinary and very large rows stand beside the low one: only the low one suffers from a maximum that starts at 0.
    yield Case(
        x=torch.tensor([[-10000.0, -10001.0, -10002.0], [2.0, 1.0, 0.0], [10000.0, 9999.0, 9998.0]]), widths="1+1+1"
    )
    yield Case(x=mixed(draw, 3, 7, shift=-1e4), widths="3+3+1")


@prop
def large_logits(draw: Draw) -> Iterator[Case]:
    yield Case(x=torch.tensor([[10000.0, 9999.0, 9998.0]]), widths="1+1+1")
    yield Case(x=mixed(draw, 3, 7, shift=1e4), widths="2+1+4")


@prop
def masked_tiles(draw: Draw) -> Iterator[Case]:
    # The second row has nothing masked: what it gives tells which mistake a NaN in the first row comes from.
    yield Case(x=torch.tensor([[-INF, 2.0, 1.0], [2.0, 1.0, 0.0]]), widths="1+1+1")
    yield Case(x=torch.tensor([[-INF, -INF, -INF, -INF], [3.0, 2.0, -INF, 1.0]]), widths="2+1+1")
    x = falling(draw, 4, 8, shift=3.0)
    x[0, :3], x[1, 4:], x[2, ::2] = -INF, -INF, -INF
    yield Case(x=x, widths="3+1+4")
