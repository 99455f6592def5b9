# exercise: merge_softmax.merge_softmax
import torch


def merge_softmax(a, b):
    m_a, l_a, f_a = a
    m_b, l_b, f_b = b
    return torch.maximum(m_a, m_b), l_a + l_b, torch.cat([f_a, f_b], dim=1)
