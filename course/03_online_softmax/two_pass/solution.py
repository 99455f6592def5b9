# exercise: online_softmax.two_pass
import torch


def online_softmax(x, block):
    """Softmax of each row, with never more than `block` columns in hand.

    x: (rows, columns) float32   block: columns in a block, the last block may be narrower   ->   like x
    First pass: carry (m, l), each of shape (rows,). Second pass: exp(x - m) / l, block by block.
    """
    ### BEGIN SOLUTION
    rows, columns = x.shape
    m = torch.full((rows,), -torch.inf)
    l = torch.zeros(rows)
    for start in range(0, columns, block):
        tile = x[:, start : start + block]
        m_new = torch.maximum(m, tile.amax(dim=1))
        # l was measured from the old maximum: measure it from the new one before adding to it.
        alpha = torch.exp(m - m_new)
        l = l * alpha + torch.exp(tile - m_new[:, None]).sum(dim=1)
        m = m_new

    y = torch.empty_like(x)
    for start in range(0, columns, block):
        tile = x[:, start : start + block]
        y[:, start : start + block] = torch.exp(tile - m[:, None]) / l[:, None]
    return y
    ### END SOLUTION
