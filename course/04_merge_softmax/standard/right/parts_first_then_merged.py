# exercise: merge_softmax.standard
import torch


def attend(q, tiles):
    q = q * q.shape[1] ** -0.5
    parts = []
    for keys, values in tiles:
        scores = q @ keys.mT
        m = scores.amax(dim=1)
        f = torch.exp(scores - m[:, None])
        parts.append((m, f.sum(dim=1), f @ values))
    while len(parts) > 1:
        left, right = parts.pop(0), parts.pop(0)
        top = torch.maximum(left[0], right[0])
        alpha, beta = torch.exp(left[0] - top), torch.exp(right[0] - top)
        parts.append((top, left[1] * alpha + right[1] * beta, left[2] * alpha[:, None] + right[2] * beta[:, None]))
    _, l, acc = parts[0]
    return acc / l[:, None]


def standard(q, k, v):
    return attend(q, [(k, v)])


def flash(q, k, v, block):
    return attend(q, zip(k.split(block), v.split(block), strict=True))
