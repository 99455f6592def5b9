# exercise: merge_softmax.standard
import torch


def weights_and_lse(q, k):
    scores = torch.einsum("id,jd->ij", q, k) / q.shape[1] ** 0.5
    m = scores.max(dim=1).values
    f = torch.exp(scores - m[:, None])
    l = f.sum(dim=1)
    return f / l[:, None], m, l


def standard(q, k, v):
    y, _, _ = weights_and_lse(q, k)
    return y @ v


def flash(q, k, v, block):
    """Keep outputs that are already divided, and weigh them by their sums when they are merged."""
    o, m, l = None, None, None
    for k_j, v_j in zip(k.split(block), v.split(block), strict=True):
        y_j, m_j, l_j = weights_and_lse(q, k_j)
        if o is None:
            o, m, l = y_j @ v_j, m_j, l_j
            continue
        top = torch.maximum(m, m_j)
        old, new = l * torch.exp(m - top), l_j * torch.exp(m_j - top)
        o = (o * old[:, None] + (y_j @ v_j) * new[:, None]) / (old + new)[:, None]
        m, l = top, old + new
    return o
