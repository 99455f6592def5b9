"""Dropout is a function of the seed and the place: the same in every tile, and fair."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tilewise.dropout import kept, mixed, threshold

HEADS = torch.tensor([0, 1, 5, 70_000])


def finalized(h: int) -> int:
    """MurmurHash3's finalizer as its author wrote it, on whole numbers that Python never overflows."""
    h &= 0xFFFFFFFF
    h ^= h >> 16
    h = h * 0x85EBCA6B % 2**32
    h ^= h >> 13
    h = h * 0xC2B2AE35 % 2**32
    return h ^ (h >> 16)


@given(st.integers(0, 2**33))
def test_the_mixing_step_is_that_of_murmur_hash(x: int) -> None:
    assert int(mixed(torch.tensor(x))) == finalized(x)


def test_known_values_of_the_mixing_step() -> None:
    assert [int(mixed(torch.tensor(x))) for x in (0, 1)] == [0, 0x514E28B7]


@given(seed=st.integers(0, 2**31 - 1), head=st.integers(0, 2**20), i=st.integers(0, 2**20), j=st.integers(0, 2**20))
def test_an_element_is_kept_by_its_seed_head_query_and_key_alone(seed: int, head: int, i: int, j: int) -> None:
    golden = 0x9E3779B9
    number = finalized(finalized(finalized(head * golden + seed) + i * golden) + j * golden)
    keep = kept(seed, torch.tensor([head]), range(i, i + 1), range(j, j + 1), 0.5)
    assert bool(keep) is (number >= 2**31)


@given(
    row=st.integers(0, 20),
    rows=st.integers(1, 12),
    column=st.integers(0, 20),
    columns=st.integers(1, 12),
    seed=st.integers(0, 9),
)
def test_a_tile_is_cut_out_of_the_whole(row: int, rows: int, column: int, columns: int, seed: int) -> None:
    whole = kept(seed, HEADS, range(32), range(32), 0.4)
    tile = kept(seed, HEADS, range(row, row + rows), range(column, column + columns), 0.4)
    assert torch.equal(tile, whole[:, row : row + rows, column : column + columns])


@pytest.mark.parametrize("dropout_p", [0.01, 0.1, 0.5, 0.9])
def test_the_share_that_is_dropped_is_the_one_asked_for_in_every_row_and_column(dropout_p: float) -> None:
    """Within five standard deviations of a fair coin, in each of 256 rows and columns."""
    n = 256
    dropped = (~kept(3, torch.arange(8), range(n), range(n), dropout_p)).double()
    deviation = (dropout_p * (1 - dropout_p)) ** 0.5
    for kind in ((0, 1, 2), (0, 1), (0, 2), (1, 2)):
        share = dropped.mean(dim=kind)
        count = dropped.numel() / share.numel()
        assert (share - dropout_p).abs().max() < 5 * deviation / count**0.5


def test_seeds_heads_and_neighbours_are_not_alike() -> None:
    """Two patterns of fair coins agree in half of the places."""
    n = 128
    pattern = kept(0, torch.arange(3), range(n), range(n), 0.5)
    other = kept(1, torch.arange(3), range(n), range(n), 0.5)
    pairs = {
        "seeds": (pattern, other),
        "heads": (pattern[:2], pattern[1:]),
        "rows": (pattern[:, :-1], pattern[:, 1:]),
        "columns": (pattern[..., :-1], pattern[..., 1:]),
        "turned over": (pattern, pattern.mT),
        "diagonals": (pattern[:, :-1, :-1], pattern[:, 1:, 1:]),
    }
    for name, (a, b) in pairs.items():
        alike = (a == b).double().mean()
        assert abs(alike - 0.5) < 5 * 0.5 / a.numel() ** 0.5, name


def test_the_threshold_counts_out_of_two_to_the_32() -> None:
    assert [threshold(p) for p in (0.0, 0.5, 0.25)] == [0, 2**31, 2**30]
    assert kept(0, HEADS, range(50), range(50), 0.0).all()
