"""Which tiles are formed: the arithmetic of positions against the whole matrix, element by element."""

from __future__ import annotations

import torch
from hypothesis import given
from hypothesis import strategies as st

from tilewise import oracle, tiles
from tilewise.spec import Spec
from tilewise.tiles import blocks, slabs

sizes = st.integers(1, 14)
sides = st.none() | st.integers(-3, 14)


def tile(length: int, first: int, count: int) -> range:
    """Cut a span of at least one out of range(length)."""
    start = first % length
    return range(start, min(length, start + 1 + count % length))


@given(n_q=sizes, n_k=sizes, left=sides, right=sides, cut=st.tuples(sizes, sizes, sizes, sizes))
def test_a_spec_knows_which_keys_are_seen(
    n_q: int, n_k: int, left: int | None, right: int | None, cut: tuple[int, int, int, int]
) -> None:
    spec = Spec(scale=1.0, left=left, right=right)
    rows, columns = tile(n_q, *cut[:2]), tile(n_k, *cut[2:])
    offset = oracle.positions(n_q, n_k)
    whole = torch.ones(n_q, n_k, dtype=torch.bool)
    whole &= True if left is None else offset >= -left
    whole &= True if right is None else offset <= right
    part = whole[rows.start : rows.stop, columns.start : columns.stop]
    assert torch.equal(spec.visible(rows, columns, n_q, n_k), part)
    assert spec.sees_all(rows, columns, n_q, n_k) is bool(part.all())
    seen = whole[rows.start : rows.stop].any(dim=0).nonzero().flatten().tolist()
    reached = spec.columns(rows, n_q, n_k)
    assert set(seen) <= set(reached)
    assert not reached or 0 <= reached[0] <= reached[-1] < n_k
    if seen:
        assert [reached[0], reached[-1]] == [seen[0], seen[-1]]


@given(n_q=sizes, n_k=sizes, left=sides, right=sides, cut=st.tuples(sizes, sizes))
def test_a_slab_knows_which_queries_see_a_block_of_keys(
    n_q: int, n_k: int, left: int | None, right: int | None, cut: tuple[int, int]
) -> None:
    spec = Spec(scale=1.0, left=left, right=right)
    q, k = torch.zeros(1, 1, n_q, 1), torch.zeros(1, 1, n_k, 1)
    (slab,) = slabs(q, k, spec, block_q=4, block_k=4, unit=1.0)
    columns = tile(n_k, *cut)
    part = spec.visible(range(n_q), range(n_k), n_q, n_k)[:, columns.start : columns.stop]
    seeing = part.any(dim=1).nonzero().flatten().tolist()
    reached = slab.rows(columns)
    assert set(seeing) <= set(reached)
    assert not reached or 0 <= reached[0] <= reached[-1] < n_q


@given(start=st.integers(0, 30), length=st.integers(0, 30), size=st.integers(1, 40))
def test_blocks_are_the_span_in_order_and_none_is_empty(start: int, length: int, size: int) -> None:
    span = range(start, start + length)
    cut = list(blocks(span, size))
    assert [n for block in cut for n in block] == list(span)
    assert all(len(block) == size for block in cut[:-1])
    assert all(cut)


@given(batch=st.integers(0, 3), h_kv=st.integers(0, 5), group=st.integers(1, 3), elements=st.integers(1, 400))
def test_slabs_go_through_every_head_once(batch: int, h_kv: int, group: int, elements: int) -> None:
    q, k = torch.zeros(batch, h_kv * group, 7, 2), torch.zeros(batch, h_kv, 9, 2)
    saved, tiles.TILE_ELEMENTS = tiles.TILE_ELEMENTS, elements
    try:
        found = list(slabs(q, k, Spec(scale=1.0), block_q=4, block_k=5, unit=1.0))
    finally:
        tiles.TILE_ELEMENTS = saved
    pairs = [(slab.batch, head) for slab in found for head in range(h_kv)[slab.heads]]
    assert pairs == [(b, head) for b in range(batch) for head in range(h_kv)]
    for slab in found:
        together = len(range(h_kv)[slab.heads])
        assert together == 1 or together * group * 4 * 5 <= elements


def test_a_tile_that_a_bool_mask_hides_whole_is_not_formed() -> None:
    mask = torch.ones(1, 1, 8, 8, dtype=torch.bool)
    mask[..., 4:] = False
    (slab,) = slabs(
        torch.zeros(1, 1, 8, 2), torch.zeros(1, 1, 8, 2), Spec(scale=1.0, mask=mask), block_q=4, block_k=4, unit=1.0
    )
    queries = torch.zeros(1, 4, 2)
    assert slab.scores(queries, queries, range(4), range(4, 8)) is None
    assert slab.scores(queries, queries, range(4), range(4)) is not None
