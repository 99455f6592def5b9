"""The forward pass: a program for each block of queries. FlashAttention-2 (Dao 2023), algorithm 1."""

import triton
import triton.language as tl

from .memory import load_rows, plane, span, store_rows
from .scores import LOG2_E, dropped, row_max, row_sum, scores


@triton.jit
def forward_kernel(
    q, k, v, o, lse, sizes, rules,
    D: tl.constexpr, D_V: tl.constexpr, BLOCK_D: tl.constexpr, BLOCK_DV: tl.constexpr,
    PLAIN: tl.constexpr, BLOCK_M: tl.constexpr, BLOCK_N: tl.constexpr,
):  # fmt: skip
    """Write o and lse of one block of queries. Grid: (blocks of queries * B * H,)

    PLAIN: scores are scale * q @ k and nothing else, and scale is not negative
    """
    blocks = (sizes.n_q + BLOCK_M - 1) // BLOCK_M
    # The last queries see most keys under a causal mask: the longest programs start first.
    start = (blocks - 1 - tl.program_id(0) % blocks) * BLOCK_M
    b, h = tl.program_id(0) // blocks // sizes.heads, tl.program_id(0) // blocks % sizes.heads
    k_plane, v_plane = plane(k, b, h // sizes.group), plane(v, b, h // sizes.group)
    n_q, n_k = sizes.n_q, sizes.n_k
    q_i = load_rows(plane(q, b, h), q, start, n_q, BLOCK_M, D, BLOCK_D, True)
    i = start + tl.arange(0, BLOCK_M)
    m_i = tl.full((BLOCK_M,), float("-inf"), tl.float32)
    l_i = tl.full((BLOCK_M,), 0.0, tl.float32)
    acc = tl.full((BLOCK_M, BLOCK_DV), 0.0, tl.float32)
    bounds = span(start, n_q, n_k, n_k - n_q, rules.left, rules.right, BLOCK_M, BLOCK_N)
    for part in tl.static_range(3):  # the tiles that are cut, whole, cut
        for n in range(bounds[part], bounds[part + 1], BLOCK_N):
            j = n + tl.arange(0, BLOCK_N)
            k_j = load_rows(k_plane, k, n, n_k, BLOCK_N, D, BLOCK_D, part != 1)
            qk = tl.dot(q_i, tl.trans(k_j), input_precision="ieee")
            s2 = scores(qk, i[:, None], j[None, :], b, h, rules, n_q, n_k, part != 1)
            # Where s2 is scale * qk the right-hand side leaves s2 - m alone to need it: one operation on qk.
            m_j = row_max(s2) if not PLAIN or part != 1 else row_max(qk) * rules.scale
            m_ij = tl.maximum(m_i, m_j)
            anchor = tl.where(m_ij == float("-inf"), 0.0, m_ij)  # -inf - -inf is NaN; -inf - 0 gives the 0 it must
            p = tl.exp2(s2 - anchor[:, None])
            alpha = tl.exp2(m_i - anchor)
            l_i = l_i * alpha + row_sum(p)
            p = dropped(p, i[:, None], j[None, :], b, h, sizes.heads, rules.dropout)
            v_j = load_rows(v_plane, v, n, n_k, BLOCK_N, D_V, BLOCK_DV, part != 1)
            # Line 10: rescale what is summed so far, and add block j.
            acc = tl.dot(p.to(v_j.dtype), v_j, acc * alpha[:, None], input_precision="ieee")
            m_i = m_ij
    seen = l_i != 0  # NaN has been seen, and has to be seen
    l_i = tl.where(seen, l_i, 1.0)
    store_rows(plane(o, b, h), o, start, n_q, acc / l_i[:, None], BLOCK_M, D_V, BLOCK_DV)
    natural = tl.where(seen, (m_i + tl.log2(l_i)) / LOG2_E, float("-inf"))
    tl.store(plane(lse, b, h) + i * lse.row, natural, mask=i < n_q)
