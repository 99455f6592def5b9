# exercise: blockwise_attention.find_the_bug
import torch


def counterexample():
    v = torch.arange(8.0).reshape(8, 1)
    return torch.zeros(8, 1), torch.zeros(8, 1), v


def mended(q, k, v, block):
    result = torch.zeros_like(v)
    for begin in range(0, q.shape[0], block):
        end = begin + block
        s = q[begin:end] @ k[begin:end].T / q.shape[1] ** 0.5
        p = torch.exp(s - s.amax(dim=-1, keepdim=True))
        result[begin:end] = p / p.sum(dim=-1, keepdim=True) @ v[begin:end]
    return result
