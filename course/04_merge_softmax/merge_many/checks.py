"""How `merge_many(parts)` is judged: rows are cut into parts, some are merged beforehand, some hold nothing."""

from collections.abc import Iterator

import torch
from torch import Tensor

from autograder.judge.checks import Case, Draw, prop
from tilewise import parts as library

INF = torch.inf
Part = tuple[Tensor, Tensor, Tensor]


def reference(parts: tuple[Part, ...]) -> Part:
    return library.merge_many([library.SoftmaxPart(*part) for part in parts])


def cut(x: Tensor, *widths: int) -> tuple[Part, ...]:
    return tuple(tuple(library.local_softmax(piece)) for piece in x.split(list(widths), dim=1))


def joined(parts: tuple[Part, ...]) -> Part:
    """Merge parts beforehand."""
    return tuple(reference(parts))


def falling(draw: Draw, rows: int, columns: int, *, shift: float = 0.0) -> Tensor:
    """Draw rows that never rise: the first part that holds anything holds the maximum."""
    return draw.normal(rows, columns, scale=2.0, shift=shift).sort(dim=1, descending=True).values


@prop
def four_parts(draw: Draw) -> Iterator[Case]:
    yield Case(parts=cut(torch.tensor([[4.0, 2.0, 1.0, 0.0]]), 1, 1, 1, 1))
    yield Case(parts=cut(falling(draw, 3, 8, shift=4.0), 2, 1, 4, 1))


@prop
def any_number_of_parts(draw: Draw) -> Iterator[Case]:
    yield Case(parts=cut(torch.tensor([[1.0, 0.0]]), 2))
    yield Case(parts=cut(torch.tensor([[3.0, 2.0, 0.0]]), 1, 1, 1))
    yield Case(parts=cut(falling(draw, 2, 7, shift=4.0), 1, 2, 1, 1, 2))
    yield Case(parts=cut(falling(draw, 2, 11, shift=4.0), 1, 2, 1, 1, 2, 3, 1))


@prop
def growing_maximum(draw: Draw) -> Iterator[Case]:
    yield Case(parts=cut(torch.tensor([[0.0, 1.0, 2.0]]), 1, 1, 1))
    yield Case(parts=cut(falling(draw, 3, 9, shift=4.0).flip(1), 2, 3, 1, 3))


@prop
def rows_far_apart(draw: Draw) -> Iterator[Case]:
    yield Case(parts=cut(torch.tensor([[-10000.0, -10001.0, -10002.0], [10000.0, 9000.0, 9999.0]]), 2, 1))
    offsets = torch.tensor([[-1e4], [1e4], [-200.0]])
    yield Case(parts=cut(falling(draw, 3, 6) + offsets, 2, 2, 2))


@prop
def masked_rows(draw: Draw) -> Iterator[Case]:
    # Beside the row that is masked in every part, the parts have one maximum: no factor but 1, no other mistake.
    yield Case(parts=cut(torch.tensor([[-INF, -INF], [0.0, 0.0]]), 1, 1))
    x = torch.full((4, 6), -INF)
    x[draw.integer(0, 3), [1, 3, 4, 5]] = 0.0
    yield Case(parts=cut(x, 2, 2, 1, 1))
    x = falling(draw, 3, 6, shift=4.0)
    x[0, :4], x[1, 2:] = -INF, -INF
    yield Case(parts=cut(x, 2, 2, 1, 1))


@prop
def empty_parts(draw: Draw) -> Iterator[Case]:
    yield Case(parts=cut(torch.tensor([[2.0, 1.0]]), 0, 1, 0, 1))
    yield Case(parts=cut(torch.empty(5, 0), 0))
    yield Case(parts=cut(torch.empty(5, 0), 0, 0, 0, 0))


@prop
def any_bracketing(draw: Draw) -> Iterator[Case]:
    a, b, c, d = cut(falling(draw, 3, 10, shift=4.0), 3, 1, 4, 2)
    yield Case(parts=(joined((a, b)), joined((c, d))))
    yield Case(parts=(a, joined((b, c, d))))
    yield Case(parts=(joined((a, b, c)), d))
