# exercise: online_softmax.streaming
import torch


def init(rows):
    return torch.full((rows,), -torch.inf), torch.zeros(rows)


def update(state, x_tile):
    m, l = state
    m_new = torch.maximum(m, x_tile.amax(dim=1))
    return m_new, l + torch.exp(x_tile - m_new[:, None]).sum(dim=1)


def finish(state):
    m, l = state
    return m + torch.log(l)
