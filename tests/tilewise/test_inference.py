"""KVCache, and decode against attention over the whole; budgets come from `tilewise.testing`."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from tilewise import KVCache, attention, decode, inference
from tilewise.parts import merge_attention
from tilewise.testing import AttentionCase, compare

BATCH, HEADS, H_KV, D, D_V = 2, 4, 2, 8, 6


def drawn(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed + sum(shape)))


def problem(n_q: int, n_k: int, seed: int = 0) -> tuple[Tensor, Tensor, Tensor]:
    return drawn(BATCH, HEADS, n_q, D, seed=seed), drawn(BATCH, H_KV, n_k, D, seed=seed), drawn(BATCH, H_KV, n_k, D_V)


def assert_whole(q: Tensor, k: Tensor, v: Tensor, splits: int, options: dict[str, Any]) -> None:
    """o and lse of `decode` must be those of attention over all keys at once."""
    found = decode(q, k, v, splits=splits, return_lse=True, **options)
    asked = {"causal": True, "return_lse": True, "backend": "reference"} | options
    right = attention(*(x.double() for x in (q, k, v)), **asked)
    plain = attention(q, k, v, **asked)
    for actual, expected, ordinary in zip(found, right, plain, strict=True):
        assert actual.dtype == ordinary.dtype
        result = compare(actual, expected, ordinary)
        assert result.ok, (result, splits, options)


def options_of(kind: str, n_q: int, n_k: int) -> dict[str, Any]:
    return {
        "causal": {},
        "not causal": {"causal": False},
        "window": {"window": 4},
        "window ahead": {"window": (3, 2), "causal": False},
        "softcap and scale": {"softcap": 2.0, "scale": 0.7},
        "alibi": {"alibi_slopes": torch.tensor([0.5, 0.25, 0.125, 1.0])},
        "alibi of a batch": {"alibi_slopes": drawn(BATCH, HEADS).abs(), "causal": False, "softcap": 3.0, "window": 9},
        "keys": {"mask": drawn(BATCH, 1, 1, n_k) > -0.5},
        "heads": {"mask": drawn(BATCH, HEADS, n_q, n_k) > -0.5, "alibi_slopes": drawn(HEADS).abs()},
        "queries": {"mask": drawn(BATCH, 1, n_q, 1) > 0},
        "added": {"mask": drawn(1, 1, n_q, n_k)},
        "added in bfloat16": {"mask": 10 * drawn(BATCH, 1, n_q, n_k).bfloat16()},
        "added to heads": {"mask": drawn(HEADS, n_q, n_k), "alibi_slopes": drawn(HEADS).abs(), "window": 5},
    }[kind]


KINDS = [
    "causal", "not causal", "window", "window ahead", "softcap and scale", "alibi", "alibi of a batch", "keys", "heads",
    "queries", "added", "added in bfloat16", "added to heads",
]  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("n_q", "n_k"), [(1, 23), (5, 23), (7, 4)])
@pytest.mark.parametrize("splits", [1, 4, 100])
def test_any_number_of_splits_gives_attention_over_the_whole(kind: str, n_q: int, n_k: int, splits: int) -> None:
    assert_whole(*problem(n_q, n_k), splits, options_of(kind, n_q, n_k))


@given(st.integers(0, 5), st.integers(0, 40), st.integers(1, 50), st.sampled_from(KINDS), st.integers(0, 999))
def test_sizes_and_splits_of_any_kind_go_together(n_q: int, n_k: int, splits: int, kind: str, seed: int) -> None:
    assert_whole(*problem(n_q, n_k, seed), splits, options_of(kind, n_q, n_k))


@pytest.mark.parametrize("heads", [(4, 4), (6, 2), (3, 1)])
@pytest.mark.parametrize("backend", ["reference", "torch_fa1", "torch_fa2"])
def test_grouped_heads_read_the_keys_of_their_group(heads: tuple[int, int], backend: str) -> None:
    h, h_kv = heads
    q, k, v = drawn(BATCH, h, 3, D), drawn(BATCH, h_kv, 17, D), drawn(BATCH, h_kv, 17, D_V)
    assert_whole(q, k, v, 5, {"backend": backend})


def test_the_dtype_of_q_comes_back_and_half_precision_costs_no_more_than_elsewhere() -> None:
    assert_whole(*(x.bfloat16() for x in problem(2, 30)), 4, {})
    assert decode(*(x.double() for x in problem(2, 30)), splits=4).dtype == torch.float64


@pytest.mark.parametrize("case", [AttentionCase("large", spread=40.0), AttentionCase("low", shift=-1e4)], ids=str)
def test_splits_whose_scores_lie_far_apart_are_weighed_by_lse(case: AttentionCase) -> None:
    q, k, v = replace(case, n_q=1, n_k=37).draw()
    assert_whole(q, k, v, 6, {})


@pytest.mark.parametrize("low", [-1e6, -1e9, torch.finfo(torch.float32).min])
@pytest.mark.parametrize("backend", ["reference", "torch_fa1", "torch_fa2"])
@pytest.mark.parametrize("splits", [1, 3, 4])
def test_a_whole_row_that_is_low_attends_as_if_it_were_not(low: float, backend: str, splits: int) -> None:
    """The lse of its splits, which they are weighed by, had no digits left for how many keys each has."""
    hidden = torch.where(torch.arange(10) == 7, -torch.inf, 0.0)
    by_row = torch.tensor([low, 0.0, low])[:, None]
    answers = []
    for attend, dtype in ((decode, torch.float32), (attention, torch.float64), (attention, torch.float32)):
        leaves = [x.to(dtype).requires_grad_() for x in problem(3, 10)]
        mask = (hidden + by_row if attend is decode else hidden.expand(3, 10)).to(dtype).requires_grad_()
        how = {"splits": splits, "backend": backend} if attend is decode else {"backend": "reference"}
        o, lse = attend(*leaves, mask=mask, causal=False, return_lse=True, **how)
        lse = lse if attend is decode else lse + by_row[:, 0].to(dtype)
        ((o * drawn(*o.shape).to(dtype)).sum() + (lse * drawn(*lse.shape).to(dtype)).sum()).backward()
        answers.append([o.detach(), lse.detach(), *(x.grad for x in (*leaves, mask))])
    for actual, expected, plain in zip(*answers, strict=True):
        result = compare(actual, expected, plain)
        assert result.ok, result


def test_gradients_flow_through_the_splits() -> None:
    """Also where a query sees no key of a split, or none at all."""
    mask = torch.arange(23) >= torch.tensor([9, 23])[:, None, None, None]
    answers = []
    for attend, dtype in ((decode, torch.float32), (attention, torch.float64), (attention, torch.float32)):
        leaves = [x.to(dtype).requires_grad_() for x in problem(3, 23)]
        how = {"splits": 4} if attend is decode else {"causal": True, "backend": "reference"}
        o, lse = attend(*leaves, mask=mask, return_lse=True, **how)
        ((o * drawn(*o.shape).to(dtype)).sum() + lse[0].sum()).backward()
        answers.append([x.grad for x in leaves])
    for actual, expected, plain in zip(*answers, strict=True):
        result = compare(actual, expected, plain)
        assert result.ok, result


def test_splits_copy_no_key_and_run_in_one_call(monkeypatch: pytest.MonkeyPatch) -> None:
    cache = KVCache(BATCH, H_KV, D, capacity=64)
    cache.append(*(2 * [drawn(BATCH, H_KV, 32, D)]))
    calls = []

    def recorded(q: Tensor, k: Tensor, v: Tensor, **options: Any) -> Any:
        calls.append((k.shape, k.untyped_storage().data_ptr(), v.untyped_storage().data_ptr()))
        return attention(q, k, v, **options)

    monkeypatch.setattr(inference, "attention", recorded)
    decode(drawn(BATCH, HEADS, 1, D), cache, splits=8)
    storages = cache.k.untyped_storage().data_ptr(), cache.v.untyped_storage().data_ptr()
    assert calls == [((BATCH * H_KV, 8, 4, D), *storages)]


@pytest.mark.parametrize(("splits", "n_k", "parts"), [(1, 10, 1), (4, 10, 4), (6, 10, 5), (10, 10, 10), (99, 10, 10)])
def test_there_are_never_more_splits_than_asked_for(
    splits: int, n_k: int, parts: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    merged = []
    monkeypatch.setattr(
        inference, "merge_attention", lambda o, lse: (merged.append(len(o)), merge_attention(o, lse))[1]
    )
    decode(*problem(1, n_k), splits=splits)
    assert merged == [parts]


def test_a_window_leaves_out_the_keys_before_it(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    monkeypatch.setattr(inference, "attention", lambda q, k, v, **o: (seen.append(k.shape), attention(q, k, v, **o))[1])
    decode(*problem(1, 40), window=7, splits=2)
    assert seen == [(BATCH * H_KV, 2, 4, D)]


def filled(n: int = 0, **options: Any) -> KVCache:
    cache = KVCache(BATCH, H_KV, D, D_V, **options)
    cache.append(drawn(BATCH, H_KV, n, D), drawn(BATCH, H_KV, n, D_V))
    return cache


def test_decoding_token_by_token_is_causal_attention() -> None:
    q, k, v = problem(19, 19)
    cache = KVCache(BATCH, H_KV, D, D_V, capacity=2)
    steps = []
    for i, j in ((0, 7), *((i, i + 1) for i in range(7, 19))):  # a prompt of seven, then one at a time
        cache.append(k[:, :, i:j], v[:, :, i:j])
        steps.append(decode(q[:, :, i:j], cache, splits=3))
    right = attention(q.double(), k.double(), v.double(), causal=True)
    result = compare(torch.cat(steps, dim=2), right, attention(q, k, v, causal=True, backend="reference"))
    assert result.ok, result


@pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated")
@pytest.mark.parametrize("dynamic", [None, True])
@pytest.mark.parametrize("kind", ["causal", "window", "alibi", "added"])
def test_compiled_decoding_takes_lengths_that_change(kind: str, dynamic: bool | None) -> None:
    """At the second length torch.compile makes a symbol of it, and of the heads if all sizes are to be symbols."""

    def attend(q: Tensor, k: Tensor, v: Tensor, options: dict[str, Any]) -> Tensor:
        return decode(2 * q, k, v, splits=3, **options) + 1

    torch.compiler.reset()
    compiled = torch.compile(attend, backend="eager", dynamic=dynamic)
    for n_k in (5, 6, 9):
        call = (*problem(1, n_k), options_of(kind, 1, n_k))
        assert torch.equal(compiled(*call), attend(*call))


@pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated")
def test_a_compiled_step_decodes_token_by_token_from_a_cache() -> None:
    def step(cache: KVCache, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        cache.append(k, v)
        return decode(q, cache, splits=3)

    torch.compiler.reset()
    compiled = torch.compile(step, backend="eager")
    caches = [filled(1, capacity=2) for _ in range(2)]
    for i in range(6):
        token = problem(1, 1, seed=i)
        assert torch.equal(compiled(caches[0], *token), step(caches[1], *token))


def test_what_is_appended_is_what_is_kept() -> None:
    cache = filled(3, capacity=1)
    k, v = drawn(BATCH, H_KV, 5, D, seed=1), drawn(BATCH, H_KV, 5, D_V, seed=2)
    all_k, all_v = cache.append(k, v)
    assert len(cache) == 8
    assert torch.equal(all_k, torch.cat([drawn(BATCH, H_KV, 3, D), k], dim=2))
    assert torch.equal(all_v, torch.cat([drawn(BATCH, H_KV, 3, D_V), v], dim=2))


@given(st.lists(st.integers(0, 9), max_size=12), st.integers(0, 5))
def test_the_buffers_double_and_never_shrink(lengths: list[int], capacity: int) -> None:
    cache = KVCache(1, 1, 1, capacity=capacity)
    kept = torch.empty(1, 1, 0, 1)
    for i, n in enumerate(lengths):
        before, x = cache.capacity, torch.full((1, 1, n, 1), float(i))
        kept = torch.cat([kept, x], dim=2)
        k, v = cache.append(x, -x)
        assert torch.equal(k, kept)
        assert torch.equal(v, -kept)
        assert cache.capacity == (before if len(cache) <= before else max(2 * before, len(cache)))


def test_what_comes_back_are_views_until_the_buffers_grow() -> None:
    cache = filled(3, capacity=8)
    early = cache.k
    assert cache.k.data_ptr() == early.data_ptr()
    cache.rewind(2)
    cache.append(torch.full((BATCH, H_KV, 1, D), 7.0), drawn(BATCH, H_KV, 1, D_V))
    assert (early[:, :, 2] == 7).all()
    cache.grow(9)
    cache.rewind(0)
    cache.append(drawn(BATCH, H_KV, 3, D, seed=3), drawn(BATCH, H_KV, 3, D_V))
    assert (early[:, :, 2] == 7).all()


def test_rewinding_forgets_and_growing_keeps() -> None:
    cache = filled(6, capacity=6)
    kept = cache.k[:, :, :4].clone()
    cache.rewind(4)
    cache.grow(20)
    assert (len(cache), cache.capacity) == (4, 20)
    assert torch.equal(cache.k, kept)
    cache.grow(5)
    assert cache.capacity == 20
    assert "4 tokens" in repr(cache)


def test_the_cache_keeps_its_dtype_and_works_across_inference_mode() -> None:
    cache = KVCache(1, 1, 4, capacity=1, dtype=torch.bfloat16)
    with torch.inference_mode():
        cache.append(*(2 * [torch.ones(1, 1, 3, 4, dtype=torch.bfloat16)]))
    cache.rewind(1)
    cache.append(*(2 * [torch.ones(1, 1, 2, 4, dtype=torch.bfloat16)]))  # into what was made in inference mode
    assert cache.k.dtype == cache.v.dtype == torch.bfloat16
    assert cache.k.sum() == 12


def test_decoding_from_an_empty_cache_gives_zeros() -> None:
    o, lse = decode(drawn(BATCH, HEADS, 2, D), filled(0), return_lse=True, splits=3)
    assert o.shape == (BATCH, HEADS, 2, D_V)
    assert not o.any()
    assert (lse == -torch.inf).all()


def x(*shape: int) -> Tensor:
    return torch.zeros(*shape)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda c: c.append(x(2, 3, 1, 8), x(2, 2, 1, 6)), ValueError, r"k must have .*\(2, 2, n, 8\).*got \(2, 3"),
        (lambda c: c.append(x(2, 2, 1, 8), x(2, 2, 1, 8)), ValueError, r"v must have .*\(2, 2, n, 6\) of the cache"),
        (lambda c: c.append(x(2, 2, 1, 8), x(2, 2, 2, 6)), ValueError, "same length, got 1 and 2"),
        (lambda c: c.append(x(2, 2, 1, 8).half(), x(2, 2, 1, 6)), TypeError, "k must have the dtype.*float32, got"),
        (lambda c: c.append(x(2, 2, 1, 8).to("meta"), x(2, 2, 1, 6)), ValueError, "got meta; what is appended holds"),
        (
            lambda c: c.append(x(2, 2, 1, 8).requires_grad_(), x(2, 2, 1, 6)),
            ValueError,
            r"k requires grad.*torch.no_grad\(\), or detach",
        ),
        (lambda c: c.append([1.0], x(2, 2, 1, 6)), TypeError, r"k must be a torch.Tensor, got list.*as_tensor\(k\)"),
        (lambda c: c.append(x(2, 2, 1, 8), None), TypeError, "v must be a torch.Tensor, got NoneType"),
        (lambda c: c.rewind(4), ValueError, "between 0 and the 3 tokens of the cache, got 4"),
        (lambda c: c.rewind(2.0), TypeError, "length must be a whole number, got 2.0; divide with //"),
        (lambda c: c.grow(9.5), TypeError, "capacity must be a whole number, got 9.5"),
        (lambda c: KVCache(1, 1, 8, capacity=2.0), TypeError, "capacity must be a whole number, got 2.0"),
        (lambda c: KVCache(1, None, 8), TypeError, "heads must be a whole number, got None"),
        (lambda c: decode(x(2, 4, 1, 8), c, splits=1.5), TypeError, "splits must be a whole number, got 1.5; divide"),
        (lambda c: decode(x(2, 4, 1, 8), c, splits=None), TypeError, "splits must be a whole number, got None"),
        (lambda c: decode([1.0], c), TypeError, "q must be a torch.Tensor, got list"),
        (lambda c: c.rewind(-1), ValueError, "got -1"),
        (lambda c: KVCache(0, 1, 1), ValueError, "at least 1 and capacity at least 0, got 0, 1, 1, 1 and 256"),
        (lambda c: decode(x(2, 4, 1, 8), c, splits=0), ValueError, "splits must be at least 1, got 0"),
        (lambda c: decode(x(2, 4, 1, 8), c, c.v), TypeError, "two tensors, or a KVCache alone, got KVCache and Tensor"),
        (lambda c: decode(x(2, 4, 1, 8), c.k), TypeError, "got Tensor and NoneType"),
        (lambda c: decode(x(2, 3, 1, 8), c), ValueError, "multiple of those of k"),
    ],
)  # fmt: skip
def test_errors_say_what_was_expected_and_what_came_and_keep_nothing(
    call: Callable[[KVCache], object], error: type[Exception], message: str
) -> None:
    cache = filled(3)
    with pytest.raises(error, match=message):
        call(cache)
    assert len(cache) == 3
