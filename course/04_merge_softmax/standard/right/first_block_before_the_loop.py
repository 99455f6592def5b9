# exercise: merge_softmax.standard
import torch


def standard(q, k, v):
    scores = q @ k.mT * q.shape[1] ** -0.5
    f = torch.exp(scores - scores.amax(dim=1, keepdim=True))
    return f @ v / f.sum(dim=1, keepdim=True)


def flash(q, k, v, block):
    scale = q.shape[1] ** -0.5
    first = q @ k[:block].mT * scale
    m = first.amax(dim=1, keepdim=True)
    f = torch.exp(first - m)
    l, acc = f.sum(dim=1, keepdim=True), f @ v[:block]
    for k_j, v_j in zip(k.split(block)[1:], v.split(block)[1:], strict=True):
        scores = q @ k_j.mT * scale
        m_new = torch.maximum(m, scores.amax(dim=1, keepdim=True))
        alpha, f = torch.exp(m - m_new), torch.exp(scores - m_new)
        l, acc, m = alpha * l + f.sum(dim=1, keepdim=True), alpha * acc + f @ v_j, m_new
    return acc / l
