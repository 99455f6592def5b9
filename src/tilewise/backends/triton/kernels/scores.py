"""From q @ k to scores and weights: scale, softcap, ALiBi, masks, dropout.

All of it works element by element, and i and j may be of shape (BLOCK_M, 1) and (1, BLOCK_N), or of (1, BLOCK_M) and
(BLOCK_N, 1): one text serves tiles of queries x keys and of keys x queries.
"""

import triton.language as tl

from .inlined import inlined
from .memory import plane

LOG2_E = tl.constexpr(1.4426950408889634)
FIRST = tl.constexpr(0x85EBCA6B)
SECOND = tl.constexpr(0xC2B2AE35)
GOLDEN = tl.constexpr(0x9E3779B9)
LOWEST = tl.constexpr(-2.3e38)  # finite, times LOG2_E too


@inlined
def row_max(x):
    """Give the largest number of each row. (rows, columns) -> (rows)"""
    # tl.max is a jitted function of Triton's, which may have been made for the compiler while this one is interpreted.
    return tl.reduce(x, 1, tl.standard._elementwise_max)


@inlined
def row_sum(x):
    """Add up each row. (rows, columns) -> (rows)"""
    return tl.reduce(x, 1, tl.standard._sum_combine)


@inlined
def scores(qk, i, j, b, h, rules, n_q, n_k, CUT: tl.constexpr):
    """Give log2(e) * s for the s of `Spec`, -inf where hidden. CUT: some of the tile may be hidden by its position."""
    s2 = qk * rules.scale
    if rules.softcap2 is not None:
        s2 = tanh(s2) * rules.softcap2
    p = i + (n_k - n_q)
    if rules.slopes2 is not None:
        slope2 = tl.load(plane(rules.slopes2, b, h))
        s2 = s2 - slope2 * tl.abs(p - j).to(tl.float32)
    inside = (i < n_q) & (j < n_k)
    if rules.added is not None:
        added = tl.load(_elements(rules.added, b, h, i, j), mask=inside, other=0.0).to(tl.float32)
        added = tl.where((added < LOWEST) & (added > float("-inf")), LOWEST, added)
        s2 = s2 + added * LOG2_E
    if rules.allowed is not None:
        s2 = tl.where(tl.load(_elements(rules.allowed, b, h, i, j), mask=inside, other=0) != 0, s2, float("-inf"))
    if CUT:
        if rules.left is not None:
            inside = inside & (j >= p - rules.left)
        if rules.right is not None:
            inside = inside & (j <= p + rules.right)
        s2 = tl.where(inside, s2, float("-inf"))
    return s2


@inlined
def weights(s2, lse2, rules):
    """Give exp2(s2 - lse2). An additive mask can make both so large that a rounding would take it far above 1."""
    log2_p = s2 - lse2
    if rules.added is not None:
        log2_p = tl.where(log2_p > 0, 0.0, log2_p)
    return tl.exp2(log2_p)


@inlined
def _elements(x, b, h, i, j):
    return plane(x, b, h) + tl.cast(i, tl.int64) * x.row + tl.cast(j, tl.int64) * x.column


@inlined
def add_elements(x, b, h, i, j, n_q, n_k, tile):
    """Add a tile to a matrix. Where the matrix is broadcast many elements, and many programs, add to the same place."""
    tl.atomic_add(_elements(x, b, h, i, j), tile, mask=(i < n_q) & (j < n_k), sem="relaxed")


@inlined
def score_grad(ds, qk, rules):
    """Go back from the gradient of s to that of scale * q @ k: through the softcap, tanh' = 1 - tanh^2."""
    if rules.softcap2 is not None:
        t = tanh(qk * rules.scale)
        ds = ds * (1 - t * t)
    return ds


@inlined
def tanh(x):
    """Give tanh(x) within a few roundings, near 0 too, from what both the interpreter and the compiler have."""
    size = tl.abs(x)
    e = tl.exp2(size * (-2 * LOG2_E))
    large = (1 - e) / (1 + e)
    y = tl.minimum(size * size, 1.0)
    # Near 0 the difference 1 - e loses digits; the series of tanh is within 3e-9 of it there.
    small = size * (1 + y * (-1 / 3 + y * (2 / 15 + y * (-17 / 315 + y * (62 / 2835 - y * (1382 / 155925))))))
    t = tl.where(size < 0.3, small, large)
    return tl.where(x < 0, -t, t)


@inlined
def dropped(x, i, j, b, h, heads, dropout):
    """Apply dropout to weights or their gradient: the elements, and the hash, of `tilewise.dropout`."""
    if dropout is not None:
        head_key = _mixed(_spread(b * heads + h) + tl.cast(dropout.seed, tl.uint32))
        row_key = _mixed(head_key + _spread(i))
        hashed = _mixed(row_key + _spread(j))
        x = tl.where(hashed.to(tl.int64) >= dropout.threshold, x * dropout.factor, 0.0)
    return x


@inlined
def _spread(x):
    # Sums and products of a hash wrap around; that is no mistake to be reported where overflows are.
    return tl.mul(tl.cast(x, tl.uint32), GOLDEN, sanitize_overflow=False)


@inlined
def _mixed(x):
    x = tl.mul(x ^ (x >> 16), FIRST, sanitize_overflow=False)
    x = tl.mul(x ^ (x >> 13), SECOND, sanitize_overflow=False)
    return x ^ (x >> 16)
