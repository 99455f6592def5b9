# exercise: merge_softmax.merge_softmax
import torch


def merge_softmax(a, b):
    m_a, l_a, f_a = a
    m_b, l_b, f_b = b
    y = torch.cat([f_a / l_a[:, None], f_b / l_b[:, None]], dim=1) / 2
    return torch.maximum(m_a, m_b), torch.ones_like(l_a), y
