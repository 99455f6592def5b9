# exercise: online_softmax.streaming
import torch


def init(rows):
    """Make the state that has seen nothing. -> (m, l), each (rows,) float32"""
    ### BEGIN SOLUTION
    return torch.full((rows,), -torch.inf), torch.zeros(rows)
    ### END SOLUTION


def update(state, x_tile):
    """Take in one more tile of every row; the tile is gone afterwards.

    state: (m, l), each (rows,) float32   x_tile: (rows, width), any width from 1   ->   (m, l), each (rows,) float32
    Entries of x_tile may be -inf (masked).
    """
    ### BEGIN SOLUTION
    m, l = state
    m_new = torch.maximum(m, x_tile.amax(dim=1))
    # A row that has seen only masked entries has m_new = -inf, and -inf - (-inf) is NaN: subtract 0 there.
    anchor = torch.where(m_new == -torch.inf, 0.0, m_new)
    alpha = torch.exp(m - anchor)
    return m_new, l * alpha + torch.exp(x_tile - anchor[:, None]).sum(dim=1)
    ### END SOLUTION


def finish(state):
    """Give log(sum(exp(x))) of every row, natural log. -> (rows,) float32; -inf for a row that was masked whole"""
    ### BEGIN SOLUTION
    m, l = state
    return m + torch.log(l)
    ### END SOLUTION
