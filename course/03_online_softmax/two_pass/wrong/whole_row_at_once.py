# exercise: online_softmax.two_pass
import torch


def online_softmax(x, block):
    m = x.amax(dim=1, keepdim=True)
    e = torch.exp(x - m)
    return e / e.sum(dim=1, keepdim=True)
