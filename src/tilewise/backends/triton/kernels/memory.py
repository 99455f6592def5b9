"""Reading and writing blocks of rows, and which tiles a block needs."""

import triton.language as tl

from .inlined import inlined


@inlined
def plane(x, b, h):
    """Point at the first element of one head. 64 bits, since B * H * N * D may exceed 2^31."""
    return x.ptr + tl.cast(b, tl.int64) * x.batch + tl.cast(h, tl.int64) * x.head


@inlined
def load_rows(pointer, x, start, n, BLOCK: tl.constexpr, D: tl.constexpr, BLOCK_D: tl.constexpr, CUT: tl.constexpr):
    """Read rows from `start` on; 0 from column D on and, where CUT, from row n on. -> (BLOCK, BLOCK_D)"""
    r, d = tl.arange(0, BLOCK), tl.arange(0, BLOCK_D)
    inside = tl.full((1, 1), True, tl.int1)
    if CUT:
        inside = inside & (start + r < n)[:, None]
    if D != BLOCK_D:
        inside = inside & (d < D)[None, :]
    # The offsets within a block are the same for every block: the compiler takes them out of the loop.
    offsets = tl.cast(r, tl.int64)[:, None] * x.row + tl.cast(d, tl.int64)[None, :] * x.column
    return tl.load(pointer + tl.cast(start, tl.int64) * x.row + offsets, mask=inside, other=0.0)


@inlined
def store_rows(pointer, x, start, n, tile, BLOCK: tl.constexpr, D: tl.constexpr, BLOCK_D: tl.constexpr):
    """Write rows from `start` on, but nothing from row n or column D on. tile: (BLOCK, BLOCK_D) of any dtype"""
    r, d = tl.arange(0, BLOCK), tl.arange(0, BLOCK_D)
    inside = (start + r < n)[:, None] & (d < D)[None, :]
    offsets = tl.cast(r, tl.int64)[:, None] * x.row + tl.cast(d, tl.int64)[None, :] * x.column
    tl.store(pointer + tl.cast(start, tl.int64) * x.row + offsets, tile, mask=inside)


@inlined
def span(start, n, n_other, shift, before, after, BLOCK: tl.constexpr, STEP: tl.constexpr):
    """Find the tiles that a block needs. -> first, whole, cut, last, none below the one before it but perhaps `first`

    Each x of the block [start, start + BLOCK) sees the y with x + shift - before <= y <= x + shift + after (None: no
    bound). Of the tiles of STEP, those in [whole, cut) are seen by all of the block; those in [first, whole) and in
    [cut, last) are cut by a bound, or by the end of x or y. No other one is seen at all.
    """
    end = tl.minimum(start + BLOCK, n) - 1
    first, whole, last = 0, 0, n_other
    cut = tl.where(start + BLOCK > n, 0, n_other // STEP * STEP)
    if before is not None:
        first = tl.maximum(start + shift - before, 0) // STEP * STEP
        whole = (tl.maximum(end + shift - before, 0) + STEP - 1) // STEP * STEP
    if after is not None:
        last = tl.maximum(tl.minimum(end + shift + after + 1, n_other), 0)
        cut = tl.minimum(tl.maximum(start + shift + after + 1, 0) // STEP * STEP, cut)
    whole = tl.minimum(whole, last)
    return first, whole, tl.maximum(whole, cut), last
