# exercise: merge_softmax.local_softmax
import torch


def local_softmax(x):
    m = x.amax(dim=1)
    f = torch.exp(x - m)
    return m, f.sum(dim=1), f
