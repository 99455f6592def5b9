"""How `local_softmax(x)` is judged: ordinary parts first, then those that hold nothing in a row, or nothing at all."""

from collections.abc import Iterator

import torch
from torch import Tensor

from autograder.judge.checks import Case, Draw, prop
from tilewise import parts

INF = torch.inf


def reference(x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    return parts.local_softmax(x)


def alike(draw: Draw, rows: int, columns: int) -> Tensor:
    """Draw rows with one and the same maximum, 1, so that it makes no difference who shares it."""
    x = draw.normal(rows, columns).clamp(max=0.9)
    x[torch.arange(rows), torch.arange(rows) % columns] = 1.0
    return x


@prop
def maximum_sum_and_exponentials(draw: Draw) -> Iterator[Case]:
    yield Case(x=torch.tensor([[2.0, 0.0, 1.0], [1.0, 2.0, 0.0]]))
    yield Case(x=alike(draw, 3, 7))
    # Column by column in memory: not contiguous.
    yield Case(x=alike(draw, 8, 5).mT.contiguous().mT)


@prop
def as_many_rows_as_columns(draw: Draw) -> Iterator[Case]:
    # A maximum of a row and one of a column fit equally well here: broadcasting reports nothing.
    yield Case(x=torch.tensor([[1.0, 0.0], [3.0, 4.0]]))
    yield Case(x=draw.normal(5, 5, scale=3.0))


@prop
def rows_far_apart(draw: Draw) -> Iterator[Case]:
    yield Case(x=torch.tensor([[10000.0, 9999.0, 9998.0], [-10000.0, -10002.0, -10001.0]]))
    yield Case(x=draw.normal(4, 6, scale=2.0) + torch.tensor([[-1e4], [1e4], [0.0], [-200.0]]))


@prop
def masked_rows(draw: Draw) -> Iterator[Case]:
    # Beside the masked rows there is nothing to subtract and nothing to divide by: no other mistake shows here.
    yield Case(x=torch.tensor([[-INF, -INF], [-INF, 0.0]]))
    x = torch.full((4, 6), -INF)
    x[draw.integer(0, 3), draw.integer(0, 5)] = 0.0
    yield Case(x=x)
    x = alike(draw, 4, 6)
    x[1, ::2], x[3, 4:] = -INF, -INF
    yield Case(x=x)


@prop
def no_columns(draw: Draw) -> Iterator[Case]:
    yield Case(x=torch.empty(2, 0))
