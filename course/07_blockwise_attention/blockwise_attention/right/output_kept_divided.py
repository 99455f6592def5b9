# exercise: blockwise_attention.blockwise_attention
import torch


def blockwise_attention(q, k, v, block_q, block_k):
    scale = q.shape[1] ** -0.5
    o = torch.zeros_like(q)
    for i in range(0, q.shape[0], block_q):
        rows = slice(i, min(i + block_q, q.shape[0]))
        m = torch.full((rows.stop - i,), -torch.inf)
        l = torch.zeros(rows.stop - i)
        for j in range(0, k.shape[0], block_k):
            s = torch.einsum("id,jd->ij", q[rows], k[j : j + block_k]).mul_(scale)
            m_new = torch.maximum(m, s.amax(dim=1))
            old = l * torch.exp(m - m_new)
            p = s.sub_(m_new[:, None]).exp_()
            l = old + p.sum(dim=1)
            o[rows] = (old[:, None] * o[rows] + p @ v[j : j + block_k]) / l[:, None]
            m = m_new
    return o
