"""How `standard(q, k, v)` and `flash(q, k, v, block)` are judged: with one reference for both."""

from collections.abc import Iterator

import torch
from torch import Tensor

from autograder.judge.checks import Case, Draw, prop
from tilewise import parts


def reference(q: Tensor, k: Tensor, v: Tensor, block: int | None = None) -> Tensor:
    return parts.standard(q, k, v)


def largest_temporary(q: Tensor, k: Tensor, v: Tensor, block: int) -> int:
    """Allow the scores of one block, and what belongs to all queries or to one block of keys."""
    widest = max(q.shape[1], v.shape[1])
    return max(q.shape[0] * block, q.shape[0] * widest, block * widest)


def problem(draw: Draw, n_q: int, n_k: int, d: int, d_v: int) -> dict[str, Tensor]:
    return {"q": draw.normal(n_q, d), "k": draw.normal(n_k, d), "v": draw.normal(n_k, d_v)}


def in_order(draw: Draw, n_q: int, n_k: int, *, rising: bool, shift: float = 0.0) -> dict[str, Tensor]:
    """Draw a problem in which every query likes the keys better from first to last, or less. All scores are shifted.

    With D = 4 and numbers of few binary places every score is exact, however it is computed: beside 1,000 a rounding of
    the scores would outweigh all else.
    """
    q, k = torch.zeros(n_q, 4), torch.zeros(n_k, 4)
    q[:, 0], q[:, 1] = (2 * draw.normal(n_q).abs()).round() / 2 + 1, 1.0
    k[:, 0], k[:, 1] = (16 * draw.normal(n_k, scale=2.0)).round().sort(descending=not rising).values / 16, 2 * shift
    return {"q": q, "k": k, "v": draw.normal(n_k, 3)}


@prop
def standard_gives_weighted_means(draw: Draw) -> Iterator[Case]:
    # With D = 4 the scale is exactly 1/2; the scores of the first query are ln 3 and 0, its weights 3/4 and 1/4.
    q, k = torch.zeros(1, 4), torch.zeros(2, 4)
    q[0, 0], k[0, 0] = 2.0, torch.tensor(3.0).log()
    yield Case(q=q, k=k, v=torch.tensor([[8.0], [4.0]]))
    yield Case(**problem(draw, 5, 7, 4, 3))


@prop
def standard_with_large_scores(draw: Draw) -> Iterator[Case]:
    yield Case(q=torch.tensor([[1.0], [-1.0]]), k=torch.tensor([[200.0], [199.0]]), v=torch.tensor([[1.0], [0.0]]))
    yield Case(**in_order(draw, 4, 6, rising=True, shift=1000.0))


@prop(calls="flash")
def flash_in_whole_blocks(draw: Draw) -> Iterator[Case]:
    q, k = torch.tensor([[1.0]]), torch.tensor([[3.0], [1.0], [2.0], [0.0]])
    yield Case(q=q, k=k, v=torch.tensor([[1.0], [2.0], [3.0], [4.0]]), block=2)
    yield Case(**in_order(draw, 4, 6, rising=False), block=3)


@prop(calls="flash")
def flash_with_growing_maximum(draw: Draw) -> Iterator[Case]:
    q, k = torch.tensor([[1.0]]), torch.tensor([[0.0], [1.0], [2.0], [3.0]])
    yield Case(q=q, k=k, v=torch.tensor([[4.0], [3.0], [2.0], [1.0]]), block=2)
    yield Case(**in_order(draw, 4, 9, rising=True), block=3)
    # 16 queries and 16 keys of 1,024 features, 8 keys a block.
    yield Case(**problem(draw, 16, 16, 1024, 1024), block=8)


@prop(calls="flash")
def flash_with_ragged_tail(draw: Draw) -> Iterator[Case]:
    q, k = torch.tensor([[1.0]]), torch.tensor([[2.0], [1.0], [0.0]])
    yield Case(q=q, k=k, v=torch.tensor([[1.0], [2.0], [4.0]]), block=2)
    # The block is wider than all keys together: the tail is all there is.
    yield Case(**in_order(draw, 2, 3, rising=False), block=8)
    yield Case(**in_order(draw, 3, 11, rising=False), block=4)


@prop(calls="flash")
def flash_far_from_zero(draw: Draw) -> Iterator[Case]:
    yield Case(
        q=torch.tensor([[1.0], [-1.0]]),
        k=torch.tensor([[202.0], [201.0], [199.0], [198.0]]),
        v=torch.tensor([[1.0], [0.0], [2.0], [-1.0]]),
        block=2,
    )
    yield Case(**in_order(draw, 3, 8, rising=False, shift=-1000.0), block=4)
    yield Case(**in_order(draw, 3, 8, rising=False, shift=1000.0), block=4)


@prop(calls="flash", meter=True)
def flash_one_block_at_a_time(draw: Draw) -> Iterator[Case]:
    yield Case(q=torch.ones(2, 1), k=torch.arange(8.0).flip(0)[:, None] / 4, v=torch.ones(8, 1), block=2)
    # One query against all keys is more than all queries against one block: a row at a time is not enough.
    yield Case(**in_order(draw, 2, 48, rising=False), block=4)
