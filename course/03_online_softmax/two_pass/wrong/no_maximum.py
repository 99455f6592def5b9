# exercise: online_softmax.two_pass
import torch


def online_softmax(x, block):
    rows, columns = x.shape
    l = torch.zeros(rows)
    for start in range(0, columns, block):
        l = l + torch.exp(x[:, start : start + block]).sum(dim=1)
    y = torch.empty_like(x)
    for start in range(0, columns, block):
        y[:, start : start + block] = torch.exp(x[:, start : start + block]) / l[:, None]
    return y
