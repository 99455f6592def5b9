# exercise: blockwise_attention.find_the_bug
import torch


def counterexample():
    generator = torch.Generator().manual_seed(0)
    return [torch.randn(64, 64, generator=generator) for _ in range(3)]


def mended(q, k, v, block):
    from given import finish, init, update

    queries, d = q.split(block), q.shape[1]
    states = [init(len(q_i)) for q_i in queries]
    for k_j in k.split(block):
        states = [update(state, (q_i @ k_j.T).div(d**0.5)) for state, q_i in zip(states, queries, strict=True)]
    out = [torch.zeros(len(q_i), d) for q_i in queries]
    for k_j, v_j in zip(k.split(block), v.split(block), strict=True):
        for o_i, q_i, state in zip(out, queries, states, strict=True):
            o_i.addmm_(torch.exp((q_i @ k_j.T).div(d**0.5) - finish(state).unsqueeze(1)), v_j)
    return torch.cat(out)
