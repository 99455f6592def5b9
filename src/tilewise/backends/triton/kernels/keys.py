"""dk and dv: a program for each block of keys. FlashAttention-2 (Dao 2023), algorithm 2, queries inside."""

import triton
import triton.language as tl

from .memory import load_rows, plane, span, store_rows
from .scores import dropped, score_grad, scores, weights


@triton.jit
def keys_kernel(
    q, k, v, do, delta, lse2, dk, dv, sizes, rules, scale,
    D: tl.constexpr, D_V: tl.constexpr, BLOCK_D: tl.constexpr, BLOCK_DV: tl.constexpr,
    BLOCK_M: tl.constexpr, BLOCK_N: tl.constexpr,
):  # fmt: skip
    """Write dk and dv of one block of keys. Grid: (blocks of keys * B * H_kv,)

    All query heads that share these keys are gone through here, so that no other program adds to the same dk and dv.
    Tiles are keys x queries: then p and ds are the left factors in dv += p @ do and dk += ds @ q as they come.
    """
    blocks = (sizes.n_k + BLOCK_N - 1) // BLOCK_N
    start = tl.program_id(0) % blocks * BLOCK_N
    h_kv = sizes.heads // sizes.group
    b, h_k = tl.program_id(0) // blocks // h_kv, tl.program_id(0) // blocks % h_kv
    n_q, n_k = sizes.n_q, sizes.n_k
    k_j = load_rows(plane(k, b, h_k), k, start, n_k, BLOCK_N, D, BLOCK_D, True)
    v_j = load_rows(plane(v, b, h_k), v, start, n_k, BLOCK_N, D_V, BLOCK_DV, True)
    j = start + tl.arange(0, BLOCK_N)
    dk_j = tl.full((BLOCK_N, BLOCK_D), 0.0, tl.float32)
    dv_j = tl.full((BLOCK_N, BLOCK_DV), 0.0, tl.float32)
    # Key j sees, so to speak, the queries i with j - right <= i + (n_k - n_q) <= j + left.
    bounds = span(start, n_k, n_q, n_q - n_k, rules.right, rules.left, BLOCK_N, BLOCK_M)
    for g in range(sizes.group):
        h = h_k * sizes.group + g
        q_plane, do_plane = plane(q, b, h), plane(do, b, h)
        delta_plane, lse2_plane = plane(delta, b, h), plane(lse2, b, h)
        for part in tl.static_range(3):  # the tiles that are cut, whole, cut
            for m in range(bounds[part], bounds[part + 1], BLOCK_M):
                i = m + tl.arange(0, BLOCK_M)
                q_i = load_rows(q_plane, q, m, n_q, BLOCK_M, D, BLOCK_D, part != 1)
                do_i = load_rows(do_plane, do, m, n_q, BLOCK_M, D_V, BLOCK_DV, part != 1)
                lse2_i = tl.load(lse2_plane + i * lse2.row, mask=i < n_q, other=float("inf"))
                delta_i = tl.load(delta_plane + i * delta.row, mask=i < n_q, other=0.0)
                qk = tl.dot(k_j, tl.trans(q_i), input_precision="ieee")
                s2 = scores(qk, i[None, :], j[:, None], b, h, rules, n_q, n_k, part != 1)
                p = weights(s2, lse2_i[None, :], rules)
                dp = tl.dot(v_j, tl.trans(do_i), input_precision="ieee")
                dp = dropped(dp, i[None, :], j[:, None], b, h, sizes.heads, rules.dropout)
                ds = score_grad(p * (dp - delta_i[None, :]), qk, rules)
                p = dropped(p, i[None, :], j[:, None], b, h, sizes.heads, rules.dropout)
                dv_j = tl.dot(p.to(do_i.dtype), do_i, dv_j, input_precision="ieee")
                dk_j = tl.dot(ds.to(q_i.dtype), q_i, dk_j, input_precision="ieee")
    store_rows(plane(dk, b, h_k), dk, start, n_k, dk_j * scale, BLOCK_N, D, BLOCK_D)
    store_rows(plane(dv, b, h_k), dv, start, n_k, dv_j, BLOCK_N, D_V, BLOCK_DV)
