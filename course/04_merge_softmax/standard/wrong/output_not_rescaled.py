# exercise: merge_softmax.standard
import torch


def standard(q, k, v):
    scores = q @ k.mT * q.shape[1] ** -0.5
    f = torch.exp(scores - scores.amax(dim=1, keepdim=True))
    return f @ v / f.sum(dim=1, keepdim=True)


def flash(q, k, v, block):
    rows = q.shape[0]
    m, l, acc = torch.full((rows,), -torch.inf), torch.zeros(rows), torch.zeros(rows, v.shape[1])
    for start in range(0, k.shape[0], block):
        scores = q @ k[start : start + block].mT * q.shape[1] ** -0.5
        m_new = torch.maximum(m, scores.amax(dim=1))
        f = torch.exp(scores - m_new[:, None])
        l = l * torch.exp(m - m_new) + f.sum(dim=1)
        acc = acc + f @ v[start : start + block]
        m = m_new
    return acc / l[:, None]
