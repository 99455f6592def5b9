# exercise: online_softmax.two_pass
import torch


def online_softmax(x, block):
    by_column = x.transpose(0, 1)
    running_max = by_column[0].clone()
    running_sum = torch.ones_like(running_max)
    for column in by_column[1:]:
        grows = column > running_max
        step = torch.exp(-torch.abs(column - running_max))
        running_sum = torch.where(grows, running_sum * step + 1, running_sum + step)
        running_max = torch.where(grows, column, running_max)
    out = torch.zeros_like(by_column)
    for i, column in enumerate(by_column):
        out[i] = torch.exp(column - running_max) / running_sum
    return out.transpose(0, 1)
