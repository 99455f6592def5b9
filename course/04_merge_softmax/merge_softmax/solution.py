# exercise: merge_softmax.merge_softmax
import torch


def merge_softmax(a, b):
    """Join two parts of the same rows.

    a, b: (m, l, f) with m, l: (rows,) and f: (rows, columns), float32; the parts may differ in their columns, may have
    none, and may hold rows that are masked whole (m = -inf, l = 0)   ->   (m, l, f), f: first a's columns, then b's
    """
    ### BEGIN SOLUTION
    m_a, l_a, f_a = a
    m_b, l_b, f_b = b
    m = torch.maximum(m_a, m_b)
    # Where both parts have seen nothing, m is -inf, and -inf - (-inf) is NaN: subtract 0 there, exp(-inf) is 0.
    anchor = torch.where(m == -torch.inf, 0.0, m)
    alpha, beta = torch.exp(m_a - anchor), torch.exp(m_b - anchor)
    l = l_a * alpha + l_b * beta
    f = torch.cat([f_a * alpha[:, None], f_b * beta[:, None]], dim=1)
    return m, l, f
    ### END SOLUTION
