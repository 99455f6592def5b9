# exercise: merge_softmax.local_softmax
import torch


def local_softmax(x):
    m = x.amax(dim=1)
    anchor = torch.where(m == -torch.inf, 0.0, m)
    f = torch.exp(x - anchor[:, None])
    return m, f.sum(dim=1), f
