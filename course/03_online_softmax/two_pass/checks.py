"""How `online_softmax(x, block)` is judged: rows whose logits are laid out so that one mistake at a time shows."""

from collections.abc import Iterator

import torch
from torch import Tensor

from autograder.judge.checks import Case, Draw, prop
from tilewise.softmax import safe_softmax


def reference(x: Tensor, block: int) -> Tensor:
    return safe_softmax(x)


def largest_temporary(x: Tensor, block: int) -> int:
    return x.shape[0] * block


def falling(draw: Draw, rows: int, columns: int) -> Tensor:
    """Draw rows that never rise: the first block holds the maximum, so nothing needs to be rescaled."""
    return draw.normal(rows, columns).sort(dim=1, descending=True).values


def rising(draw: Draw, rows: int, columns: int) -> Tensor:
    """Draw rows that never fall: every block brings a new maximum."""
    return draw.normal(rows, columns, scale=2.0).sort(dim=1).values


def mixed(draw: Draw, rows: int, columns: int, *, shift: float) -> Tensor:
    """Draw rows in any order but for the first, which rises: whatever is drawn, one needs to be rescaled."""
    x = draw.normal(rows, columns, scale=2.0, shift=shift)
    x[0] = x[0].sort().values
    return x


@prop
def whole_blocks(draw: Draw) -> Iterator[Case]:
    yield Case(x=torch.tensor([[2.0, 1.0]]), block=1)
    yield Case(x=falling(draw, 3, 6), block=3)
    # Column by column in memory: not contiguous.
    yield Case(x=falling(draw, 5, 8).mT.contiguous().mT, block=2)


@prop
def growing_maximum(draw: Draw) -> Iterator[Case]:
    yield Case(x=torch.tensor([[0.0, 1.0, 2.0, 3.0]]), block=2)
    yield Case(x=rising(draw, 2, 6), block=2)
    yield Case(x=rising(draw, 4, 12), block=3)


@prop
def ragged_tail(draw: Draw) -> Iterator[Case]:
    yield Case(x=torch.tensor([[3.0, 1.0, 2.0]]), block=2)
    # The block is wider than the row: the tail is all there is.
    yield Case(x=falling(draw, 2, 3), block=8)
    yield Case(x=falling(draw, 3, 11), block=4)


@prop
def very_negative(draw: Draw) -> Iterator[Case]:
    # Ordinary and very large rows stand beside the low one: only the low one suffers from a maximum that starts at 0.
    yield Case(x=torch.tensor([[-10000.0, -10001.0], [1.0, 0.0], [10000.0, 9999.0]]), block=1)
    yield Case(x=falling(draw, 3, 6) - 1e4, block=3)
    yield Case(x=mixed(draw, 4, 9, shift=-1e4), block=3)


@prop
def large_logits(draw: Draw) -> Iterator[Case]:
    yield Case(x=torch.tensor([[10000.0, 9999.0, 9998.0, 9997.0]]), block=2)
    yield Case(x=falling(draw, 3, 6) + 1e4, block=3)
    yield Case(x=mixed(draw, 4, 9, shift=1e4), block=3)


@prop(meter=True)
def one_block_at_a_time(draw: Draw) -> Iterator[Case]:
    yield Case(x=torch.tensor([[4.0, 3.0, 3.0, 2.0, 2.0, 1.0, 1.0, 0.0]]), block=2)
    # A single row holds more than rows x block numbers: one row at a time is not one block at a time.
    yield Case(x=falling(draw, 2, 48), block=4)
