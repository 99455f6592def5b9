# exercise: merge_softmax.standard
import torch


def standard(q, k, v):
    f = torch.exp(q @ k.mT * q.shape[1] ** -0.5)
    return f @ v / f.sum(dim=1, keepdim=True)


def flash(q, k, v, block):
    l, acc = torch.zeros(q.shape[0]), torch.zeros(q.shape[0], v.shape[1])
    for start in range(0, k.shape[0], block):
        f = torch.exp(q @ k[start : start + block].mT * q.shape[1] ** -0.5)
        l = l + f.sum(dim=1)
        acc = acc + f @ v[start : start + block]
    return acc / l[:, None]
