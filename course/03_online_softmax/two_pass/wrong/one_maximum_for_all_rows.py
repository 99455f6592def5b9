# exercise: online_softmax.two_pass
import torch


def online_softmax(x, block):
    rows, columns = x.shape
    m = torch.tensor(-torch.inf)
    l = torch.zeros(rows)
    for start in range(0, columns, block):
        tile = x[:, start : start + block]
        m_new = torch.maximum(m, tile.max())
        l = l * torch.exp(m - m_new) + torch.exp(tile - m_new).sum(dim=1)
        m = m_new
    y = torch.empty_like(x)
    for start in range(0, columns, block):
        tile = x[:, start : start + block]
        y[:, start : start + block] = torch.exp(tile - m) / l[:, None]
    return y
