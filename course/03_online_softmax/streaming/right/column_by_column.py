# exercise: online_softmax.streaming
import math

import torch


def init(rows):
    return torch.tensor([-math.inf] * rows), torch.tensor([0.0] * rows)


def absorb_number(m, l, number):
    if number == -math.inf:
        return m, l
    if number <= m:
        return m, l + math.exp(number - m)
    return number, l * math.exp(m - number) + 1.0


def update(state, x_tile):
    pairs = list(zip(*(part.tolist() for part in state), strict=True))
    for row, numbers in enumerate(x_tile.tolist()):
        for number in numbers:
            pairs[row] = absorb_number(*pairs[row], number)
    m, l = zip(*pairs, strict=True)
    return torch.tensor(m), torch.tensor(l)


def finish(state):
    return torch.tensor(
        [m + math.log(l) if l else -math.inf for m, l in zip(*map(torch.Tensor.tolist, state), strict=True)]
    )
