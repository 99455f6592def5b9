# exercise: blockwise_attention.find_the_bug
import torch

BLOCK = 4


def block_attention(q, k, v, block):
    """The published function. Leave it as it is.

    "Self-attention over blocks of rows: exact, and never more than block x block scores at once."
    q, k, v: (N, D)   ->   (N, D)
    """
    result = torch.zeros_like(v)
    for begin in range(0, q.shape[0], block):
        end = begin + block
        similarity = q[begin:end] @ k[begin:end].T
        similarity = similarity - similarity.max(dim=-1, keepdim=True).values
        attention = similarity.exp()
        attention = attention / attention.sum(dim=-1, keepdim=True)
        result[begin:end] = attention @ v[begin:end]
    return result


def counterexample():
    """Give (q, k, v) on which block_attention(q, k, v, BLOCK) is not attention. Each (N, D), float32, N and D to 64."""
    ### BEGIN SOLUTION
    # All scores are 0, so no scale matters: attention gives the mean of all values, 0.5, to every row.
    q, k = torch.zeros(2 * BLOCK, 1), torch.zeros(2 * BLOCK, 1)
    v = torch.cat([torch.zeros(BLOCK, 1), torch.ones(BLOCK, 1)])
    return q, k, v
    ### END SOLUTION


def mended(q, k, v, block):
    """What block_attention promises: self-attention, exact, never more than block x block scores at once.

    q, k, v: (N, D) float32   ->   (N, D); the scale is 1/sqrt(D)
    """
    ### BEGIN SOLUTION
    from given import finish, init, update

    scale = q.shape[1] ** -0.5
    o = torch.zeros_like(q)
    for q_i, o_i in zip(q.split(block), o.split(block), strict=True):
        state = init(q_i.shape[0])
        for k_j in k.split(block):
            state = update(state, q_i @ k_j.T * scale)
        lse = finish(state)
        for k_j, v_j in zip(k.split(block), v.split(block), strict=True):
            o_i += torch.exp(q_i @ k_j.T * scale - lse[:, None]) @ v_j
    return o
    ### END SOLUTION
