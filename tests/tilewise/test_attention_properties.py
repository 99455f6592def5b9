"""Hypothesis: whatever the shapes, strides, options and tiles, the answer is the oracle's up to rounding."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

import tilewise
from tests.tilewise.answers import Problem, by_attention, by_module, wrong_parts
from tilewise import backends, tiles
from tilewise.testing import MASKS, AttentionCase

AVAILABLE = [name for name, status in tilewise.backends().items() if status.available]
TILED = [name for name in AVAILABLE if name != "reference"]
# The interpreter takes a hundred times as long as PyTorch.
EXAMPLES = {"triton": 10}
MANY = 80
LAYOUTS: dict[str, Callable[[Tensor], Tensor]] = {
    "as drawn": lambda x: x,
    "(B, N, H, D) transposed": lambda x: x.transpose(1, 2).contiguous().transpose(1, 2),
    "(D, N, H, B) transposed": lambda x: x.permute(3, 2, 1, 0).contiguous().permute(3, 2, 1, 0),
    "every second feature": lambda x: torch.stack([x, torch.full_like(x, torch.nan)], dim=-1).flatten(-2)[..., ::2],
    "a slice of something larger": lambda x: torch.nn.functional.pad(x, (3, 2, 4, 1, 1, 1), value=torch.nan)[
        :, 1:-1, 4:-1, 3:-2
    ],
    "one head expanded": lambda x: x[:, :1].expand(x.shape),
    "one number expanded": lambda x: x.flatten()[:1].expand(x.shape),
    "one row expanded": lambda x: x[:, :, :1].expand(x.shape),
}

sizes = st.integers(1, 40)
seeds = st.integers(0, 2**31)
sides = st.none() | st.integers(0, 12)
layouts = st.sampled_from(sorted(LAYOUTS))


@st.composite
def cases(draw: Callable[..., Any]) -> AttentionCase:
    """Any of what `tilewise.attention` can be asked."""
    h_kv = draw(st.integers(1, 3))
    return AttentionCase(
        "drawn",
        n_q=draw(sizes),
        n_k=draw(sizes),
        d=draw(st.integers(1, 20)),
        d_v=draw(st.integers(1, 20)),
        batch=draw(st.integers(1, 2)),
        heads=h_kv * draw(st.integers(1, 3)),
        h_kv=h_kv,
        causal=draw(st.booleans()),
        spread=draw(st.sampled_from([0.1, 1.0, 5.0])),
        contiguous=draw(st.booleans()),
        mask=draw(st.none() | st.sampled_from(sorted(MASKS))),
        window=draw(st.none() | st.integers(0, 12) | st.tuples(sides, sides)),
        scale=draw(st.none() | st.sampled_from([-0.5, 0.0, 1.0])),
        softcap=draw(st.none() | st.sampled_from([0.5, 20.0])),
        alibi=draw(st.booleans()),
        dropout_p=draw(st.sampled_from([0.0, 0.0, 0.4])),
    )


@pytest.mark.parametrize("backend", AVAILABLE)
def test_any_problem_gets_the_right_answer(backend: str) -> None:
    @settings(max_examples=EXAMPLES.get(backend, MANY))
    @given(case=cases(), seed=seeds)
    def check(case: AttentionCase, seed: int) -> None:
        problem = Problem.of(case, seed=seed)
        assert wrong_parts(problem, by_attention(backend, problem)) == {}

    check()


@pytest.mark.parametrize("backend", TILED)
def test_the_tiles_change_nothing_but_rounding(backend: str) -> None:
    smallest = 16 if backend == "triton" else 1
    lengths = st.integers(smallest, 48) if smallest == 1 else st.sampled_from([16, 32, 64])

    @settings(max_examples=EXAMPLES.get(backend, MANY))
    @given(case=cases(), seed=seeds, block_q=lengths, block_k=lengths, elements=st.integers(1, 4000))
    def check(case: AttentionCase, seed: int, block_q: int, block_k: int, elements: int) -> None:
        problem = Problem.of(case, seed=seed)
        with pytest.MonkeyPatch.context() as patch:
            # How many heads go into one tile of the backends in PyTorch.
            patch.setattr(tiles, "TILE_ELEMENTS", elements)
            answer = by_module(backends.load(backend), problem, (block_q, block_k))
        assert wrong_parts(problem, answer) == {}

    check()


@pytest.mark.parametrize("backend", AVAILABLE)
def test_the_strides_change_nothing(backend: str) -> None:
    @settings(max_examples=EXAMPLES.get(backend, MANY))
    @given(q=layouts, k=layouts, v=layouts, do=layouts, dlse=layouts, mask=layouts, seed=seeds)
    def check(q: str, k: str, v: str, do: str, dlse: str, mask: str, seed: int) -> None:
        case = AttentionCase("laid out", batch=2, heads=4, h_kv=2, n_q=9, n_k=13, d=6, d_v=5, mask="additive per key")
        drawn = Problem.of(case, seed=seed)
        problem = Problem(
            LAYOUTS[q](drawn.q),
            LAYOUTS[k](drawn.k),
            LAYOUTS[v](drawn.v),
            LAYOUTS[do](drawn.do),
            LAYOUTS[dlse](drawn.dlse[..., None])[..., 0],
            {"mask": LAYOUTS[mask](drawn.options["mask"].expand(2, 4, 9, 13)), "causal": True},
        )
        dense = Problem(*(x.contiguous() for x in (problem.q, problem.k, problem.v, problem.do, problem.dlse)))
        dense.options.update(mask=problem.options["mask"].contiguous(), causal=True)
        assert wrong_parts(dense, by_attention(backend, problem)) == {}

    check()


@pytest.mark.parametrize("backend", AVAILABLE)
def test_a_bool_mask_in_any_layout_hides_the_same(backend: str) -> None:
    case = AttentionCase("masked", batch=2, heads=2, n_q=9, n_k=13, d=6, mask="random")
    problem = Problem.of(case)
    for layout in ("as drawn", "(B, N, H, D) transposed", "(D, N, H, B) transposed"):
        laid_out = LAYOUTS[layout](problem.options["mask"])
        moved = Problem(problem.q, problem.k, problem.v, problem.do, problem.dlse, {"mask": laid_out})
        assert wrong_parts(problem, by_attention(backend, moved)) == {}


@pytest.mark.parametrize("backend", AVAILABLE)
@pytest.mark.parametrize(
    "shape", [(), (13,), (1, 13), (9, 1), (9, 13), (2, 1, 1), (1, 9, 13), (2, 1, 1, 13), (1, 2, 9, 1)]
)
def test_a_mask_of_any_broadcast_shape_is_the_full_one_and_its_gradient_the_sum(
    backend: str, shape: tuple[int, ...]
) -> None:
    case = AttentionCase("masked", batch=2, heads=2, n_q=9, n_k=13, d=6, causal=True)
    drawn = Problem.of(case)
    bias = torch.randn(shape, generator=torch.Generator().manual_seed(3))
    problem = Problem(drawn.q, drawn.k, drawn.v, drawn.do, drawn.dlse, {"mask": bias, "causal": True})
    assert wrong_parts(problem, by_attention(backend, problem)) == {}
