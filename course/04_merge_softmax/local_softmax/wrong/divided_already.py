# exercise: merge_softmax.local_softmax
import torch


def local_softmax(x):
    m = x.amax(dim=1)
    f = torch.exp(x - m[:, None])
    l = f.sum(dim=1)
    return m, l, f / l[:, None]
