"""How `merge_softmax(a, b)` is judged: parts are cut from rows of logits, and the logits decide which mistake shows."""

from collections.abc import Iterator

import torch
from torch import Tensor

from autograder.judge.checks import Case, Draw, prop
from tilewise import parts

INF = torch.inf
Part = tuple[Tensor, Tensor, Tensor]


def reference(a: Part, b: Part) -> Part:
    return parts.merge_softmax(parts.SoftmaxPart(*a), parts.SoftmaxPart(*b))


def part(x: Tensor) -> Part:
    return tuple(parts.local_softmax(x))


def merged(*logits: Tensor) -> Part:
    """Make a part that has been merged before."""
    return tuple(parts.merge_many([parts.local_softmax(x) for x in logits]))


def two_parts(x: Tensor, at: int) -> Case:
    return Case(a=part(x[:, :at]), b=part(x[:, at:]))


def falling(draw: Draw, rows: int, columns: int) -> Tensor:
    """Draw rows that never rise: whatever comes first holds the maximum."""
    return draw.normal(rows, columns, scale=2.0).sort(dim=1, descending=True).values


@prop
def maximum_in_a(draw: Draw) -> Iterator[Case]:
    yield two_parts(torch.tensor([[1.0, 0.0]]), at=1)
    yield two_parts(torch.tensor([[2.0, 1.0, 0.0], [1.0, 3.0, 1.0]]), at=2)
    yield two_parts(falling(draw, 3, 7), at=2)


@prop
def maximum_in_b(draw: Draw) -> Iterator[Case]:
    yield two_parts(torch.tensor([[0.0, 1.0]]), at=1)
    yield two_parts(torch.tensor([[0.0, 1.0, 2.0], [1.0, 1.0, 3.0]]), at=2)
    yield two_parts(falling(draw, 3, 7).flip(1), at=5)


@prop
def as_many_rows_as_columns(draw: Draw) -> Iterator[Case]:
    # A factor of a row fits the columns equally well here: broadcasting reports nothing.
    yield two_parts(torch.tensor([[1.0, 0.0, 2.0, 1.0], [3.0, 2.0, 0.0, 1.0]]), at=2)
    yield two_parts(draw.normal(4, 8, scale=2.0), at=4)


@prop
def rows_far_apart(draw: Draw) -> Iterator[Case]:
    # In one row a lies far above b, in another far below; and the rows themselves lie far apart.
    yield two_parts(torch.tensor([[100.0, -100.0, -101.0], [-10000.0, -9000.0, -9001.0]]), at=1)
    offsets = torch.tensor([[1e4, -1e4], [-1e4, 1e4], [-1e4, -1e4], [200.0, -200.0]])
    yield two_parts(draw.normal(4, 6, scale=2.0) + offsets.repeat_interleave(3, dim=1), at=3)


@prop
def masked_rows(draw: Draw) -> Iterator[Case]:
    # Beside the row that is masked in both parts, the parts have one maximum: no factor but 1, no other mistake.
    yield two_parts(torch.tensor([[-INF, -INF], [0.0, 0.0]]), at=1)
    x = torch.full((4, 5), -INF)
    x[draw.integer(0, 3), [1, 4]] = 0.0
    yield two_parts(x, at=3)
    yield two_parts(torch.tensor([[-INF, -INF, -1.0], [1.0, -2.0, -INF]]), at=2)
    x = falling(draw, 4, 6) - 3.0
    x[0, :3], x[1, 3:], x[2, 1:5] = -INF, -INF, -INF
    yield two_parts(x, at=3)


@prop
def identity(draw: Draw) -> Iterator[Case]:
    x = torch.tensor([[-2.0, -1.0], [1.0, 3.0]])
    yield two_parts(x, at=2)
    yield two_parts(x, at=0)
    yield two_parts(torch.empty(4, 0), at=0)
    yield two_parts(draw.normal(3, 5, scale=2.0), at=5)


@prop
def either_bracketing(draw: Draw) -> Iterator[Case]:
    x, y, z = torch.tensor([[1.0, 2.0]]), torch.tensor([[3.0]]), torch.tensor([[0.0]])
    yield Case(a=merged(x, y), b=part(z))
    yield Case(a=part(x), b=merged(y, z))
    x, y, z = draw.normal(3, 9, scale=3.0).split([4, 2, 3], dim=1)
    yield Case(a=merged(x, y), b=part(z))
    yield Case(a=part(x), b=merged(y, z))
