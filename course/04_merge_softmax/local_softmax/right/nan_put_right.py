# exercise: merge_softmax.local_softmax
import torch


def local_softmax(x):
    m = torch.full((x.size(0),), -torch.inf)
    for column in x.unbind(1):
        m = torch.maximum(m, column)
    # The only NaN can come from -inf - (-inf), a masked number in a row of masked numbers.
    f = torch.nan_to_num(x - m.view(-1, 1), nan=-torch.inf, neginf=-torch.inf).exp()
    return [m, f @ torch.ones(x.size(1)), f]
