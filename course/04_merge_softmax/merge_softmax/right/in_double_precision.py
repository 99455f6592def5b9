# exercise: merge_softmax.merge_softmax
import torch


def merge_softmax(a, b):
    m = torch.where(a[0] > b[0], a[0], b[0]).double()
    total, columns = torch.zeros_like(m), []
    for m_i, l_i, f_i in (a, b):
        factor = torch.exp(m_i - m).nan_to_num(nan=0.0)
        total += factor * l_i
        columns.append(torch.einsum("r,rc->rc", factor, f_i.double()))
    return m.float(), total.float(), torch.hstack(columns).float()
