# exercise: merge_softmax.standard
import torch


def standard(q, k, v):
    scores = q @ k.mT * q.shape[1] ** -0.5
    f = torch.exp(scores - scores.amax(dim=1, keepdim=True))
    return f @ v / f.sum(dim=1, keepdim=True)


def flash(q, k, v, block):
    pieces = [standard(q, k_j, v_j) for k_j, v_j in zip(k.split(block), v.split(block))]
    return torch.stack(pieces).mean(dim=0)
