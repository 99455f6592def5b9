# exercise: online_softmax.streaming
import torch


def init(rows):
    return torch.full((rows,), -torch.inf), torch.zeros(rows)


def update(state, x_tile):
    m = x_tile.amax(dim=1)
    return m, torch.exp(x_tile - m[:, None]).sum(dim=1)


def finish(state):
    m, l = state
    return m + torch.log(l)
