# exercise: blockwise_attention.attend_block
import torch


def attend_block(state, q, k_j, v_j, scale):
    m, l, acc = state
    s = q @ k_j.T * scale
    m_new = torch.maximum(m, s.amax(dim=1))
    alpha = torch.exp(m - m_new)
    p = torch.exp(s - m_new[:, None])
    return m_new, l * alpha + p.sum(dim=1), acc + p @ v_j
