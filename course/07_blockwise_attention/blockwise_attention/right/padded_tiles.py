# exercise: blockwise_attention.blockwise_attention
import torch
import torch.nn.functional as F


def tiles(x, block):
    count = -(-x.shape[0] // block)
    return F.pad(x, (0, 0, 0, count * block - x.shape[0])).view(count, block, x.shape[1])


def blockwise_attention(q, k, v, block_q, block_k):
    n_q, d = q.shape
    done = []
    for q_i in tiles(q, block_q):
        m = torch.full((block_q, 1), torch.finfo(torch.float32).min)
        l, acc = torch.zeros(block_q, 1), torch.zeros(block_q, d)
        for j, (k_j, v_j) in enumerate(zip(tiles(k, block_k), tiles(v, block_k), strict=True)):
            s = (q_i @ k_j.T) / d**0.5
            s[:, max(0, k.shape[0] - j * block_k) :] = -torch.inf
            m_new = torch.maximum(m, s.amax(dim=1, keepdim=True))
            p = torch.exp(s - m_new)
            l = l * torch.exp(m - m_new) + p.sum(dim=1, keepdim=True)
            acc = acc * torch.exp(m - m_new) + p @ v_j
            m = m_new
        done.append(acc / l)
    return torch.cat(done)[:n_q]
