# exercise: blockwise_attention.blockwise_attention
import torch


def blockwise_attention(q, k, v, block_q, block_k):
    m = torch.full((q.shape[0], 1), -torch.inf)
    l = torch.zeros(q.shape[0], 1)
    acc = torch.zeros_like(q)
    q = q * q.shape[1] ** -0.5
    for k_j, v_j in zip(k.split(block_k), v.split(block_k), strict=True):
        for i in range(0, q.shape[0], block_q):
            rows = slice(i, i + block_q)
            s = q[rows].matmul(k_j.mT)
            top = torch.maximum(m[rows], s.max(dim=1, keepdim=True).values)
            shrink = (m[rows] - top).exp()
            p = s.sub_(top).exp_()
            l[rows] = l[rows] * shrink + p.sum(dim=1, keepdim=True)
            acc[rows] = acc[rows] * shrink + p.matmul(v_j)
            m[rows] = top
    return acc / l
