# exercise: merge_softmax.local_softmax
import torch


def local_softmax(x):
    lowest = torch.finfo(x.dtype).min
    m = torch.nn.functional.pad(x, (0, 1), value=lowest).amax(dim=1)
    f = torch.exp(x - m[:, None])
    return m, f.sum(dim=1), f
