# exercise: blockwise_attention.attend_block
import torch


def attend_block(state, q, k_j, v_j, scale):
    m, l, acc = (part.double() for part in state)
    s = q.double() @ k_j.double().T * scale
    m_new = torch.maximum(m, s.max(dim=1).values)
    rows = torch.stack([m - m_new], dim=1).exp()
    p = (s - m_new.unsqueeze(1)).exp()
    return m_new.float(), (l * rows[:, 0] + p.sum(1)).float(), torch.addmm(acc * rows, p, v_j.double()).float()
