# exercise: online_softmax.streaming
import torch


def exponential(difference):
    return torch.exp(torch.nan_to_num(difference, nan=-torch.inf))


def summary(tile):
    m = tile.amax(dim=1)
    return m, exponential(tile - m[:, None]).sum(dim=1)


def merge(a, b):
    (m_a, l_a), (m_b, l_b) = a, b
    m = torch.maximum(m_a, m_b)
    return m, l_a * exponential(m_a - m) + l_b * exponential(m_b - m)


def init(rows):
    return torch.full((rows,), -torch.inf), torch.zeros(rows)


def update(state, x_tile):
    return merge(state, summary(x_tile))


def finish(state):
    m, l = state
    return torch.where(l > 0, m + torch.log(l.clamp(min=1)), -torch.inf)
