"""A picture of an error in text: which numbers are wrong. A dropped tail, or one wrong tile, is seen at a glance."""

from __future__ import annotations

import math

from torch import Tensor
from torch.nn.functional import pad

MOST_ROWS, MOST_COLUMNS = 16, 48
RIGHT, WRONG = ".", "X"  # as wide as each other in every font


def picture_of(wrong: Tensor) -> str:
    """Draw truth values of any shape, the last dimension from left to right; "" where all or none are true.

    Where there are more than fit, a mark stands for several neighbours and is WRONG if any of them is; a last line then
    says how many rows and columns it stands for.
    """
    if bool(wrong.all()) or not bool(wrong.any()):
        return ""
    rows = wrong.reshape(-1, wrong.shape[-1])
    height, width = math.ceil(rows.shape[0] / MOST_ROWS), math.ceil(rows.shape[1] / MOST_COLUMNS)
    padded = pad(rows, (0, -rows.shape[1] % width, 0, -rows.shape[0] % height))
    marks = padded.unflatten(1, (-1, width)).unflatten(0, (-1, height)).any(dim=3).any(dim=1)
    lines = ["".join(WRONG if mark else RIGHT for mark in line) for line in marks.tolist()]
    scale = [f"{RIGHT} = {height} × {width}"] if height * width > 1 else []
    return "\n".join([*lines, *scale])
