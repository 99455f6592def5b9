# exercise: merge_softmax.standard
import torch


def standard(q, k, v):
    scores = q @ k.mT * q.shape[1] ** -0.5
    f = torch.exp(scores - scores.amax(dim=0, keepdim=True))
    return (f / f.sum(dim=0, keepdim=True)) @ v


def flash(q, k, v, block):
    acc = torch.zeros(q.shape[0], v.shape[1])
    for start in range(0, k.shape[0], block):
        acc = acc + standard(q, k[start : start + block], v[start : start + block])
    return acc
