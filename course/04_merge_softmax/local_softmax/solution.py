# exercise: merge_softmax.local_softmax
import torch


def local_softmax(x):
    """Take the softmax of one part of the rows apart, without dividing.

    x: (rows, columns) float32; there may be 0 columns, and entries may be -inf (masked)
    -> m: (rows,), l: (rows,), f: (rows, columns), all float32: m = max(x), f = exp(x - m), l = sum(f)
    """
    ### BEGIN SOLUTION
    # The maximum of nothing is -inf: a column of -inf beside x changes no maximum, and gives one where x has no column.
    nothing = torch.full((x.shape[0], 1), -torch.inf)
    m = torch.cat([nothing, x], dim=1).amax(dim=1)
    # A row that is masked whole has m = -inf, and -inf - (-inf) is NaN: subtract 0 there, exp(-inf) is 0.
    anchor = torch.where(m == -torch.inf, 0.0, m)
    f = torch.exp(x - anchor[:, None])
    return m, f.sum(dim=1), f
    ### END SOLUTION
