# exercise: online_softmax.two_pass
import torch


def online_softmax(x, block):
    rows, columns = x.shape
    m = torch.full((rows,), -torch.inf)
    l = torch.zeros(rows)
    for start in range(0, columns, block):
        tile = x[:, start : start + block]
        m = torch.maximum(m, tile.amax(dim=1))
        l = l + torch.exp(tile - m[:, None]).sum(dim=1)
    y = torch.empty_like(x)
    for start in range(0, columns, block):
        tile = x[:, start : start + block]
        y[:, start : start + block] = torch.exp(tile - m[:, None]) / l[:, None]
    return y
