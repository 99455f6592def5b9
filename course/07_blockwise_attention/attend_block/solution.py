# exercise: blockwise_attention.attend_block
import torch


def attend_block(state, q, k_j, v_j, scale):
    """Let every query see one more block of keys; the block is gone afterwards.

    state: (m, l, acc) of shapes (N_q,), (N_q,), (N_q, D)   q: (N_q, D)   k_j, v_j: (width, D), any width from 1
    scale: what the scores q @ k_j.T are multiplied by   ->   (m, l, acc), shapes as before; all float32
    The first call gets m = -inf, l = 0, acc = 0. Whoever called last divides: o = acc / l[:, None].
    """
    ### BEGIN SOLUTION
    m, l, acc = state
    s = (q @ k_j.T) * scale
    m_new = torch.maximum(m, s.amax(dim=1))
    # Both l and acc are measured from the old maximum: one factor a row puts both right.
    alpha = torch.exp(m - m_new)
    p = torch.exp(s - m_new[:, None])
    return m_new, l * alpha + p.sum(dim=1), acc * alpha[:, None] + p @ v_j
    ### END SOLUTION
