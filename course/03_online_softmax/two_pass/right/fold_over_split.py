# exercise: online_softmax.two_pass
from functools import reduce

import torch


def absorb(state, tile):
    m_old, l_old = state
    m = torch.max(m_old, tile.max(dim=1).values)
    return m, l_old * (m_old - m).exp() + (tile - m.unsqueeze(1)).exp().sum(1)


def online_softmax(x, block):
    tiles = torch.split(x, block, dim=1)
    nothing = x.new_full((x.size(0),), float("-inf")), x.new_zeros(x.size(0))
    m, l = reduce(absorb, tiles, nothing)
    return torch.cat([(tile - m.unsqueeze(1)).exp().div(l.unsqueeze(1)) for tile in tiles], dim=1)
