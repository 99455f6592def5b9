"""The gradients against differences of the outputs, in float64, where torch's gradcheck can tell them apart."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

import tilewise
from tilewise.testing import AttentionCase

BACKENDS = ("reference", "torch_fa1", "torch_fa2")
SMALL: dict[str, Any] = {"n_q": 4, "n_k": 5, "d": 3}
CASES = (
    AttentionCase("plain", **SMALL),
    AttentionCase("causal, grouped heads", causal=True, heads=4, h_kv=2, **SMALL),
    AttentionCase("causal, N_q > N_k", causal=True, n_q=6, n_k=3, d=3),
    AttentionCase("bool mask", mask="random", batch=2, **SMALL),
    AttentionCase("additive mask", mask="additive", heads=2, **SMALL),
    AttentionCase("additive mask, one query sees nothing", mask="additive, hiding", heads=2, **SMALL),
    AttentionCase("softcap", softcap=1.5, spread=2.0, **SMALL),
    AttentionCase("window, alibi", window=(2, 1), alibi=True, heads=2, **SMALL),
    AttentionCase("dropout", dropout_p=0.4, **SMALL),
    AttentionCase("wide values", d_v=5, **SMALL),
)


@pytest.mark.parametrize("case", CASES, ids=str)
@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("output", ["o", "o and lse"])
def test_gradients_are_the_slopes_of_the_outputs(backend: str, case: AttentionCase, output: str) -> None:
    q, k, v = (x.requires_grad_() for x in case.draw(dtype=torch.float64))
    options = case.options(dtype=torch.float64)
    generator, mask = options.pop("generator", None), options.pop("mask", None)
    # A hidden element has no slope: shifting -inf gives -inf, and its difference from itself is NaN.
    added = torch.zeros_like(mask, requires_grad=True) if mask is not None and mask.dtype is not torch.bool else None

    def outputs(q: Tensor, k: Tensor, v: Tensor, added: Tensor | None) -> Tensor | tuple[Tensor, Tensor]:
        o, lse = tilewise.attention(
            q,
            k,
            v,
            **options,
            mask=mask if added is None else mask + added,
            generator=None if generator is None else generator.clone_state(),
            backend=backend,
            return_lse=True,
        )
        # lse of a query that sees no key is -inf, from which no difference can be taken.
        return o if output == "o" else (o, torch.where(lse == -torch.inf, 0.0, lse))

    assert torch.autograd.gradcheck(outputs, (q, k, v, added))


def test_gradcheck_notices_a_gradient_that_is_one_percent_off() -> None:
    case = CASES[0]
    q, k, v = (x.requires_grad_() for x in case.draw(dtype=torch.float64))

    def nearly(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        o = tilewise.attention(q, k, v)
        return o.detach() + 1.01 * (o - o.detach())

    assert not torch.autograd.gradcheck(nearly, (q, k, v), raise_exception=False)
