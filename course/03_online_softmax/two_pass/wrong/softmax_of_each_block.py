# exercise: online_softmax.two_pass
import torch


def online_softmax(x, block):
    y = torch.empty_like(x)
    for start in range(0, x.shape[1], block):
        tile = x[:, start : start + block]
        e = torch.exp(tile - tile.amax(dim=1, keepdim=True))
        y[:, start : start + block] = e / e.sum(dim=1, keepdim=True)
    return y
