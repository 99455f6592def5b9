# exercise: merge_softmax.merge_many
import torch


def merge_many(parts):
    """Join any number of parts of the same rows, in the order of their columns.

    parts: a tuple of at least one (m, l, f), as local_softmax and merge_softmax return them   ->   (m, l, f)
    """
    ### BEGIN SOLUTION
    m = torch.stack([m_i for m_i, _, _ in parts]).amax(dim=0)
    # A row of which no part has seen anything has m = -inf, and -inf - (-inf) is NaN: subtract 0 there.
    anchor = torch.where(m == -torch.inf, 0.0, m)
    l, f = torch.zeros_like(m), []
    for m_i, l_i, f_i in parts:
        factor = torch.exp(m_i - anchor)
        l = l + l_i * factor
        f.append(f_i * factor[:, None])
    return m, l, torch.cat(f, dim=1)
    ### END SOLUTION
