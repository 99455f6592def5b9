# exercise: merge_softmax.standard
import torch


def standard(q, k, v):
    """Attend with all scores at once. q: (N_q, D), k: (N_k, D), v: (N_k, D_v), float32   ->   (N_q, D_v)"""
    ### BEGIN SOLUTION
    scores = q @ k.mT * q.shape[1] ** -0.5
    f = torch.exp(scores - scores.amax(dim=1, keepdim=True))
    return f @ v / f.sum(dim=1, keepdim=True)
    ### END SOLUTION


def flash(q, k, v, block):
    """Attend with the scores of `block` keys at once: merge (m, l, f @ v) of one block after the other.

    q: (N_q, D), k: (N_k, D), v: (N_k, D_v), float32   block: from 1, the last block may be narrower   ->   (N_q, D_v)
    """
    ### BEGIN SOLUTION
    rows = q.shape[0]
    m, l, acc = torch.full((rows,), -torch.inf), torch.zeros(rows), torch.zeros(rows, v.shape[1])
    for start in range(0, k.shape[0], block):
        scores = q @ k[start : start + block].mT * q.shape[1] ** -0.5
        m_j = scores.amax(dim=1)
        f_j = torch.exp(scores - m_j[:, None])
        m_new = torch.maximum(m, m_j)
        alpha, beta = torch.exp(m - m_new), torch.exp(m_j - m_new)
        l = l * alpha + f_j.sum(dim=1) * beta
        # The same merge as that of l: two parts of a sum are added, once they are measured from one maximum.
        acc = acc * alpha[:, None] + f_j @ v[start : start + block] * beta[:, None]
        m = m_new
    return acc / l[:, None]
    ### END SOLUTION
