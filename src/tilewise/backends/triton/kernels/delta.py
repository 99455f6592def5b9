"""What the backward pass must know of every query: delta and the log-sum-exp. FlashAttention-2, algorithm 2 line 4."""

import triton
import triton.language as tl

from .memory import load_rows, plane
from .scores import LOG2_E, row_sum


@triton.jit
def delta_kernel(
    o, do, lse, dlse, delta, lse2, sizes,
    D: tl.constexpr, D_V: tl.constexpr, BLOCK_D: tl.constexpr, BLOCK_DV: tl.constexpr,
    BLOCK_M: tl.constexpr, BLOCK_N: tl.constexpr,
):  # fmt: skip
    """Write delta = rowsum(do * o) - dlse and lse2 of one block of queries. Grid: (blocks of queries * B * H,)

    A query that sees no key gets lse2 = +inf, and so the weights exp2(s2 - lse2) = 0, without a further question.
    """
    blocks = (sizes.n_q + BLOCK_M - 1) // BLOCK_M
    start = tl.program_id(0) % blocks * BLOCK_M
    b, h = tl.program_id(0) // blocks // sizes.heads, tl.program_id(0) // blocks % sizes.heads
    i = start + tl.arange(0, BLOCK_M)
    inside = i < sizes.n_q
    o_i = load_rows(plane(o, b, h), o, start, sizes.n_q, BLOCK_M, D_V, BLOCK_DV, True).to(tl.float32)
    do_i = load_rows(plane(do, b, h), do, start, sizes.n_q, BLOCK_M, D_V, BLOCK_DV, True).to(tl.float32)
    delta_i = row_sum(do_i * o_i)
    if dlse is not None:
        delta_i -= tl.load(plane(dlse, b, h) + i * dlse.row, mask=inside, other=0.0)
    lse_i = tl.load(plane(lse, b, h) + i * lse.row, mask=inside, other=float("-inf"))
    tl.store(plane(delta, b, h) + i * delta.row, delta_i, mask=inside)
    lse2_i = tl.where(lse_i == float("-inf"), float("inf"), lse_i * LOG2_E)
    tl.store(plane(lse2, b, h) + i * lse2.row, lse2_i, mask=inside)
