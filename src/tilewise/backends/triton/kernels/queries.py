"""dq: a program for each block of queries. FlashAttention-2 (Dao 2023), algorithm 2, with its loops turned round."""

import triton
import triton.language as tl

from .memory import load_rows, plane, span, store_rows
from .scores import add_elements, dropped, score_grad, scores, weights


@triton.jit
def queries_kernel(
    q, k, v, do, delta, lse2, dq, dadded, sizes, rules, scale,
    D: tl.constexpr, D_V: tl.constexpr, BLOCK_D: tl.constexpr, BLOCK_DV: tl.constexpr,
    BLOCK_M: tl.constexpr, BLOCK_N: tl.constexpr,
):  # fmt: skip
    """Write dq of one block of queries, and add to the gradient of an additive mask where that is asked for.

    Grid: (blocks of queries * B * H,)

    The weights are formed a second time here: dq in the loop of dk and dv would be added to by many programs at once.
    """
    blocks = (sizes.n_q + BLOCK_M - 1) // BLOCK_M
    start = (blocks - 1 - tl.program_id(0) % blocks) * BLOCK_M
    b, h = tl.program_id(0) // blocks // sizes.heads, tl.program_id(0) // blocks % sizes.heads
    k_plane, v_plane = plane(k, b, h // sizes.group), plane(v, b, h // sizes.group)
    n_q, n_k = sizes.n_q, sizes.n_k
    q_i = load_rows(plane(q, b, h), q, start, n_q, BLOCK_M, D, BLOCK_D, True)
    do_i = load_rows(plane(do, b, h), do, start, n_q, BLOCK_M, D_V, BLOCK_DV, True)
    i = start + tl.arange(0, BLOCK_M)
    lse2_i = tl.load(plane(lse2, b, h) + i * lse2.row, mask=i < n_q, other=float("inf"))
    delta_i = tl.load(plane(delta, b, h) + i * delta.row, mask=i < n_q, other=0.0)
    dq_i = tl.full((BLOCK_M, BLOCK_D), 0.0, tl.float32)
    bounds = span(start, n_q, n_k, n_k - n_q, rules.left, rules.right, BLOCK_M, BLOCK_N)
    for part in tl.static_range(3):  # the tiles that are cut, whole, cut
        for n in range(bounds[part], bounds[part + 1], BLOCK_N):
            j = n + tl.arange(0, BLOCK_N)
            k_j = load_rows(k_plane, k, n, n_k, BLOCK_N, D, BLOCK_D, part != 1)
            v_j = load_rows(v_plane, v, n, n_k, BLOCK_N, D_V, BLOCK_DV, part != 1)
            qk = tl.dot(q_i, tl.trans(k_j), input_precision="ieee")
            s2 = scores(qk, i[:, None], j[None, :], b, h, rules, n_q, n_k, part != 1)
            p = weights(s2, lse2_i[:, None], rules)
            dp = tl.dot(do_i, tl.trans(v_j), input_precision="ieee")
            dp = dropped(dp, i[:, None], j[None, :], b, h, sizes.heads, rules.dropout)
            ds = p * (dp - delta_i[:, None])
            if dadded is not None:
                add_elements(dadded, b, h, i[:, None], j[None, :], n_q, n_k, ds)
            ds = score_grad(ds, qk, rules)
            dq_i = tl.dot(ds.to(k_j.dtype), k_j, dq_i, input_precision="ieee")
    store_rows(plane(dq, b, h), dq, start, n_q, dq_i * scale, BLOCK_M, D, BLOCK_D)
