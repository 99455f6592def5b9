"""How `find_the_bug` is judged: a counterexample by running what it is one of, a mended function like any other."""

from collections.abc import Iterator

import torch
from torch import Tensor

from autograder.course.model import Text
from autograder.judge.checks import Case, Draw, prop
from tilewise import oracle, testing
from tilewise.blockwise import blockwise_attention

BLOCK = 4
LARGEST = 64


def reference(q: Tensor, k: Tensor, v: Tensor, block: int) -> Tensor:
    return blockwise_attention(q, k, v, q.shape[0], k.shape[0])


def largest_temporary(q: Tensor, k: Tensor, v: Tensor, block: int) -> int:
    # A block of queries, of keys or of outputs is in hand too, and rows may be wider than a block.
    return block * max(block, q.shape[1])


def published(q: Tensor, k: Tensor, v: Tensor, scale: float) -> Tensor:
    """Do what the published function does, times a scale: it has none, so its own is 1."""
    blocks = zip(q.split(BLOCK), k.split(BLOCK), v.split(BLOCK), strict=True)
    return torch.cat([torch.softmax(q_i @ k_i.T * scale, dim=-1) @ v_i for q_i, k_i, v_i in blocks])


def not_a_counterexample(answer: tuple[Tensor, ...]) -> Text | None:
    """Say why an answer shows no error of the published function, if it does not."""
    return unfit(answer) or (None if differs(*answer, scale=1.0) else AGREES)


def explained_by_the_scale(answer: tuple[Tensor, ...]) -> Text | None:
    """Say so where the missing scale alone makes the difference."""
    if objection := not_a_counterexample(answer):
        return objection
    return None if differs(*answer, scale=answer[0].shape[1] ** -0.5) else ONLY_THE_SCALE


def unfit(answer: tuple[Tensor, ...]) -> Text | None:
    """Say why an answer cannot be three inputs of the published function. It is untrusted: its sizes come first."""
    if len(answer) != 3 or any(part.ndim != 2 or part.shape != answer[0].shape for part in answer):
        return NOT_THREE
    if any(part.dtype is not torch.float32 for part in answer):
        return NOT_FLOAT32
    if not 1 <= min(answer[0].shape) <= max(answer[0].shape) <= LARGEST:
        return TOO_LARGE
    if answer[0].shape[0] <= BLOCK:
        return ONE_BLOCK
    if not all(bool(torch.isfinite(part).all()) for part in (*answer, plain(*answer))):
        return NOT_FINITE
    return None


def plain(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    return reference(q, k, v, BLOCK)


def differs(q: Tensor, k: Tensor, v: Tensor, *, scale: float) -> bool:
    """Compare as a student's function is compared: would what was published be refused on these inputs?"""
    return not testing.compare(published(q, k, v, scale), oracle.attention(q, k, v)[0], plain(q, k, v)).ok


NOT_THREE = Text(
    en="`counterexample` must return three tensors q, k, v of one shape (N, D).",
    zh="`counterexample` 应返回三个张量 q、k、v，形状同为 (N, D)。",
)
NOT_FLOAT32 = Text(
    en="`counterexample` must return float32 tensors.",
    zh="`counterexample` 返回的张量应是 float32。",
)
TOO_LARGE = Text(
    en=f"Keep the counterexample small: N and D between 1 and {LARGEST}. A small one convinces sooner.",
    zh=f"反例要小：N 和 D 都在 1 到 {LARGEST} 之间。越小的反例越有说服力。",
)
ONE_BLOCK = Text(
    en=f"With N = {BLOCK} or less there is only one block, and what goes wrong between blocks cannot show. "
    "Give at least two blocks.",
    zh=f"N 不超过 {BLOCK} 时只有一个块，块与块之间的错误显不出来。请至少给出两个块。",
)
NOT_FINITE = Text(
    en="On these inputs even right attention gives no finite numbers in float32. Keep the numbers ordinary.",
    zh="在这组输入上，就连正确的注意力在 float32 里也得不到有限的数。请使用普通大小的数。",
)
AGREES = Text(
    en="On these inputs the published function gives what attention gives, up to rounding: they show no error.",
    zh="在这组输入上，已发布的函数与注意力的结果一致（不计舍入误差），没有显出错误。",
)
ONLY_THE_SCALE = Text(
    en="These inputs show an error, but only the missing scale: with 1/sqrt(D) put in, the published function would be "
    "right on them. Find inputs on which what a block cannot see matters.",
    zh="这组输入确实显出了错误，但只是缺少缩放：补上 1/sqrt(D) 之后，已发布的函数在它上面就对了。"
    "请找一组输入，让“块看不到的东西”起作用。",
)


def drawn(draw: Draw, n: int, d: int, block: int) -> Case:
    # Small scores keep exp(s - lse), which rounds lse once more than plain arithmetic does, well within the budget.
    return Case(q=draw.normal(n, d, scale=0.5), k=draw.normal(n, d), v=draw.normal(n, d), block=block)


@prop(calls="counterexample", objection=not_a_counterexample)
def refuted(draw: Draw) -> Iterator[Case]:
    yield Case()


@prop(calls="counterexample", objection=explained_by_the_scale)
def refuted_whatever_the_scale(draw: Draw) -> Iterator[Case]:
    yield Case()


@prop(calls="mended")
def mended_whole_blocks(draw: Draw) -> Iterator[Case]:
    yield drawn(draw, 4, 4, 2)
    yield drawn(draw, 12, 9, 4)


@prop(calls="mended")
def mended_ragged_tail(draw: Draw) -> Iterator[Case]:
    yield drawn(draw, 5, 4, 2)
    yield drawn(draw, 3, 4, 8)
    yield drawn(draw, 11, 3, 4)


@prop(calls="mended", meter=True)
def mended_in_tiles(draw: Draw) -> Iterator[Case]:
    yield drawn(draw, 24, 4, 4)
