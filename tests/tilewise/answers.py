"""Both passes of a backend, of the oracle and of plain arithmetic on the same problem, and how they compare."""

from __future__ import annotations

import inspect
from dataclasses import dataclass, field
from functools import cached_property
from types import ModuleType
from typing import Any

import torch
from torch import Tensor

import tilewise
from tilewise import oracle
from tilewise.dropout import kept
from tilewise.oracle import Answer
from tilewise.spec import Spec, make_spec
from tilewise.testing import AttentionCase, Comparison, compare, plain_float64

DTYPES = (torch.float64, torch.float32, torch.float16, torch.bfloat16)


@dataclass(frozen=True)
class Problem:
    """What attention is asked, and what comes back to its outputs. Shapes as in `tilewise.attention`."""

    q: Tensor
    k: Tensor
    v: Tensor
    do: Tensor
    dlse: Tensor | None = None
    options: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, case: AttentionCase, dtype: torch.dtype = torch.float32, seed: int = 0) -> Problem:
        return cls(*case.draw(seed, dtype), *case.draw_gradients(seed, dtype), case.options(seed, dtype))

    @property
    def additive(self) -> bool:
        mask = self.options.get("mask")
        return mask is not None and mask.dtype is not torch.bool

    @property
    def fresh_options(self) -> dict[str, Any]:
        """The options with a generator that draws the same again: a generator is used up by what is drawn."""
        generator = self.options.get("generator")
        return self.options | ({} if generator is None else {"generator": generator.clone_state()})

    def formula(self, dtype: torch.dtype) -> Answer:
        """Let the plain formulas answer, with all arithmetic in dtype."""
        options = {name: value for name, value in self.options.items() if name != "generator"}
        if options.get("dropout_p"):
            options["keep"] = self.keep
        return oracle.attention_gradients(self.q, self.k, self.v, self.do, self.dlse, **options, dtype=dtype)

    @cached_property
    def spec(self) -> Spec:
        options = self.fresh_options
        return make_spec(self.q, self.k, self.v, **options).drawn(options.get("generator"))

    @cached_property
    def keep(self) -> Tensor:
        """Which weights dropout spares: (B, H, N_q, N_k)"""
        batch, heads, n_q = self.q.shape[:3]
        numbers = torch.arange(batch * heads).view(batch, heads)
        return kept(self.spec.dropout_seed, numbers, range(n_q), range(self.k.shape[2]), self.spec.dropout_p)

    @cached_property
    def expected(self) -> Answer:
        return self.formula(torch.float64)

    @cached_property
    def plain(self) -> Answer:
        """Plain arithmetic in the dtype of the inputs; that of lse is the dtype of the sums."""
        if self.q.dtype is torch.float64:
            pairs = zip(self.expected, self.formula(torch.float32), strict=True)
            return Answer(*(None if plain is None else plain_float64(expected, plain) for expected, plain in pairs))
        answer = self.formula(self.q.dtype)
        return answer if self.q.dtype is torch.float32 else answer._replace(lse=self.formula(torch.float32).lse)

    @cached_property
    def exponent(self) -> float:
        """The largest lse in size: weights are exp(s - lse), and only where s is about as large do they count."""
        finite = self.expected.lse[self.expected.lse.isfinite()]
        return float(finite.abs().max()) if finite.numel() else 0.0

    @cached_property
    def terms(self) -> dict[str, float]:
        """How large the terms are whose sum is each part: where they cancel, as in dp - delta, their rounding is left.

        The formulas of the backward pass (FlashAttention, appendix B.2), with every product in absolute value.
        """
        if self.q.numel() == 0 or self.k.numel() == 0:
            return {}
        group, n_k = self.q.shape[1] // self.k.shape[1], self.k.shape[2]
        q, do = self.q.double().abs(), self.do.double().abs()
        k, v = (x.double().abs().repeat_interleave(group, dim=1) for x in (self.k, self.v))
        options = {name: self.options[name] for name in self.options.keys() - {"generator", "dropout_p"}}
        p, _ = oracle.attention(self.q, self.k, torch.eye(n_k).expand(*self.k.shape[:2], -1, -1), **options)
        dp = do @ v.mT / (1 - self.spec.dropout_p)
        dlse = 0.0 if self.dlse is None else self.dlse.double().abs()[..., None]
        ds = p * (dp + (p * dp).sum(dim=-1, keepdim=True) + dlse)
        scale = abs(self.spec.scale)
        mask = self.options["mask"].shape if self.additive else ()
        sums = {
            "o": p @ v,
            "dq": ds @ k * scale,
            "dk": (ds.mT @ q * scale).unflatten(1, (-1, group)).sum(dim=2),
            "dv": (p.mT @ do).unflatten(1, (-1, group)).sum(dim=2),
            "dmask": ds.sum_to_size((1,) * (4 - len(mask)) + mask),
        }
        return {part: float(sum.max()) for part, sum in sums.items()}

    def compared(self, answer: Answer) -> dict[str, Comparison]:
        """Compare each part of an answer, by its name; its dtypes and shapes must be the right ones."""
        found = {}
        for name, actual, expected, plain in zip(Answer._fields, answer, self.expected, self.plain, strict=True):
            if expected is None:
                assert actual is None, name
                continue
            assert actual.dtype == plain.dtype, f"{name} is {actual.dtype} and should be {plain.dtype}"
            exponent, terms = (0.0, 0.0) if name == "lse" else (self.exponent, self.terms.get(name, 0.0))
            found[name] = compare(actual, expected, plain, exponent=exponent, terms=terms)
        return found


def by_module(module: ModuleType, problem: Problem, blocks: tuple[int, int] | None = None) -> Answer:
    """Let a backend's two functions answer, in tiles of the given size where it has any."""
    q, k, v, spec = problem.q, problem.k, problem.v, problem.spec
    tiled = blocks is not None and "block_q" in inspect.signature(module.forward).parameters
    tiles = dict(zip(("block_q", "block_k"), blocks, strict=True)) if tiled and blocks else {}
    o, lse = module.forward(q, k, v, spec, **tiles)
    gradients = module.backward(problem.do, problem.dlse, q, k, v, o, lse, spec, mask_grad=problem.additive, **tiles)
    dq, dk, dv, dmask = gradients
    return Answer(o, lse, dq, dk, dv, dmask if dmask is None else dmask.reshape(problem.options["mask"].shape))


def by_attention(backend: str, problem: Problem) -> Answer:
    """Let `tilewise.attention` and autograd answer."""
    q, k, v = (x.detach().requires_grad_() for x in (problem.q, problem.k, problem.v))
    options = problem.fresh_options
    wanted = [q, k, v]
    if problem.additive:
        options["mask"] = options["mask"].detach().requires_grad_()
        wanted.append(options["mask"])
    o, lse = tilewise.attention(q, k, v, **options, backend=backend, return_lse=True)
    dlse = torch.zeros_like(lse) if problem.dlse is None else problem.dlse
    dq, dk, dv, *dmask = torch.autograd.grad((o, lse), wanted, (problem.do, dlse))
    return Answer(o.detach(), lse.detach(), dq, dk, dv, dmask[0] if dmask else None)


def wrong_parts(problem: Problem, answer: Answer) -> dict[str, Comparison]:
    """Name the parts of an answer that are outside their budget."""
    return {name: result for name, result in problem.compared(answer).items() if not result.ok}
