# exercise: merge_softmax.local_softmax
import torch


def local_softmax(x):
    m = x.max().expand(x.shape[0])
    f = torch.exp(x - m[:, None])
    return m, f.sum(dim=1), f
