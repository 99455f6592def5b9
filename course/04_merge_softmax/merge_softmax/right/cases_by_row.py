# exercise: merge_softmax.merge_softmax
import torch


def merge_softmax(a, b):
    (m_a, l_a, f_a), (m_b, l_b, f_b) = a, b
    a_wins = m_a >= m_b
    gap = torch.exp(-torch.abs(m_a - m_b)).nan_to_num(nan=0.0)
    alpha = torch.where(a_wins, 1.0, gap)
    beta = torch.where(a_wins, gap, 1.0)
    f = torch.empty(f_a.shape[0], f_a.shape[1] + f_b.shape[1])
    f[:, : f_a.shape[1]] = (f_a.mT * alpha).mT
    f[:, f_a.shape[1] :] = (f_b.mT * beta).mT
    return torch.where(a_wins, m_a, m_b), alpha * l_a + beta * l_b, f
