# exercise: merge_softmax.merge_many
import torch


def merge_many(parts):
    m, l, f = parts[0]
    y = f / l[:, None]
    for m_i, l_i, f_i in parts[1:]:
        m = torch.maximum(m, m_i)
        y = torch.cat([y, f_i / l_i[:, None]], dim=1) / 2
    return m, torch.ones_like(l), y
