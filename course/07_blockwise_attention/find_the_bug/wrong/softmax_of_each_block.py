# exercise: blockwise_attention.find_the_bug
import torch


def counterexample():
    v = torch.arange(8.0).reshape(8, 1)
    return torch.zeros(8, 1), torch.zeros(8, 1), v


def mended(q, k, v, block):
    result = torch.zeros_like(v)
    for begin in range(0, q.shape[0], block):
        for start in range(0, k.shape[0], block):
            s = q[begin : begin + block] @ k[start : start + block].T / q.shape[1] ** 0.5
            p = torch.exp(s - s.amax(dim=-1, keepdim=True))
            result[begin : begin + block] += p / p.sum(dim=-1, keepdim=True) @ v[start : start + block]
    return result
