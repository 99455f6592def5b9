# exercise: blockwise_attention.blockwise_attention
import torch


def blockwise_attention(q, k, v, block_q, block_k):
    scale = q.shape[1] ** -0.5
    o = torch.zeros_like(q)
    for i in range(q.shape[0] // block_q):
        q_i = q[i * block_q : (i + 1) * block_q]
        m = torch.full((block_q,), -torch.inf)
        l = torch.zeros(block_q)
        acc = torch.zeros_like(q_i)
        for j in range(0, k.shape[0], block_k):
            s = q_i @ k[j : j + block_k].T * scale
            m_new = torch.maximum(m, s.amax(dim=1))
            alpha = torch.exp(m - m_new)
            p = torch.exp(s - m_new[:, None])
            l = l * alpha + p.sum(dim=1)
            acc = acc * alpha[:, None] + p @ v[j : j + block_k]
            m = m_new
        o[i * block_q : (i + 1) * block_q] = acc / l[:, None]
    return o
