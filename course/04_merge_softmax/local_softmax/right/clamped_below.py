# exercise: merge_softmax.local_softmax
import torch


def local_softmax(x):
    if x.numel() == 0:
        return torch.full(x.shape[:1], -torch.inf), torch.zeros(x.shape[:1]), torch.zeros_like(x)
    m, _ = torch.max(x, dim=-1)
    finite = m.clamp(min=torch.finfo(torch.float32).min)
    f = torch.exp(x - finite.unsqueeze(-1))
    return m, torch.einsum("rc->r", f), f
