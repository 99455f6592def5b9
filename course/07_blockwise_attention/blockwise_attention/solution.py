# exercise: blockwise_attention.blockwise_attention
import torch


def blockwise_attention(q, k, v, block_q, block_k):
    """Attention that never holds more than one tile of scores, block_q queries by block_k keys.

    q: (N_q, D)   k, v: (N_k, D)   ->   (N_q, D), all float32; the scale is 1/sqrt(D)
    N_q and N_k may differ, so may block_q and block_k, and neither need divide its length.
    """
    ### BEGIN SOLUTION
    scale = q.shape[1] ** -0.5
    o = torch.empty_like(q)
    for i in range(0, q.shape[0], block_q):
        q_i = q[i : i + block_q]
        # Every block of queries starts anew; what it then carries is (m, l, acc), whatever N_k is.
        m = torch.full((q_i.shape[0],), -torch.inf)
        l = torch.zeros(q_i.shape[0])
        acc = torch.zeros_like(q_i)
        for j in range(0, k.shape[0], block_k):
            s = (q_i @ k[j : j + block_k].T) * scale
            m_new = torch.maximum(m, s.amax(dim=1))
            alpha = torch.exp(m - m_new)
            p = torch.exp(s - m_new[:, None])
            l = l * alpha + p.sum(dim=1)
            acc = acc * alpha[:, None] + p @ v[j : j + block_k]
            m = m_new
        o[i : i + block_q] = acc / l[:, None]
    return o
    ### END SOLUTION
