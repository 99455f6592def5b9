# exercise: blockwise_attention.blockwise_attention
import torch


def blockwise_attention(q, k, v, block_q, block_k):
    scale = q.shape[1] ** -0.5
    o = torch.empty_like(q)
    m = torch.full((block_q,), -torch.inf)
    l = torch.zeros(block_q)
    acc = torch.zeros(block_q, q.shape[1])
    for i in range(0, q.shape[0], block_q):
        q_i = q[i : i + block_q]
        m, l, acc = m[: len(q_i)], l[: len(q_i)], acc[: len(q_i)]
        for j in range(0, k.shape[0], block_k):
            s = q_i @ k[j : j + block_k].T * scale
            m_new = torch.maximum(m, s.amax(dim=1))
            alpha = torch.exp(m - m_new)
            p = torch.exp(s - m_new[:, None])
            l = l * alpha + p.sum(dim=1)
            acc = acc * alpha[:, None] + p @ v[j : j + block_k]
            m = m_new
        o[i : i + block_q] = acc / l[:, None]
    return o
