# exercise: blockwise_attention.find_the_bug
import torch


def counterexample():
    generator = torch.Generator().manual_seed(0)
    q = torch.randn(4, 8, generator=generator)
    k, v = torch.randn(12, 8, generator=generator), torch.randn(12, 8, generator=generator)
    return q, k, v


def mended(q, k, v, block):
    scale = q.shape[1] ** -0.5
    done = []
    for q_i in q.split(block):
        m, l, acc = torch.full((len(q_i), 1), -torch.inf), torch.zeros(len(q_i), 1), torch.zeros_like(q_i)
        for k_j, v_j in zip(k.split(block), v.split(block), strict=True):
            s = q_i @ k_j.T * scale
            m_new = torch.maximum(m, s.amax(dim=1, keepdim=True))
            p = torch.exp(s - m_new)
            l = l * torch.exp(m - m_new) + p.sum(dim=1, keepdim=True)
            acc = acc * torch.exp(m - m_new) + p @ v_j
            m = m_new
        done.append(acc / l)
    return torch.cat(done)
