# exercise: merge_softmax.merge_softmax
import torch


def merge_softmax(a, b):
    both = torch.stack([a[0], b[0]], dim=1)
    m = both.amax(dim=1)
    factors = torch.exp(both - m.clamp(min=torch.finfo(m.dtype).min)[:, None])
    l = (torch.stack([a[1], b[1]], dim=1) * factors).sum(dim=1)
    widths = torch.tensor([a[2].shape[1], b[2].shape[1]])
    f = torch.cat([a[2], b[2]], dim=1) * factors.repeat_interleave(widths, dim=1)
    return m, l, f
