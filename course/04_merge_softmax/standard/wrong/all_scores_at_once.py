# exercise: merge_softmax.standard
import torch


def standard(q, k, v):
    scores = q @ k.mT * q.shape[1] ** -0.5
    f = torch.exp(scores - scores.amax(dim=1, keepdim=True))
    return f @ v / f.sum(dim=1, keepdim=True)


def flash(q, k, v, block):
    return standard(q, k, v)
