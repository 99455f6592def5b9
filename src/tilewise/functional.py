"""The one public way to attend: check the arguments, choose the backend, connect its two passes to autograd."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Literal, TypedDict, Unpack, overload

import torch
from torch import Tensor

from tilewise import backends
from tilewise.spec import Spec, Window, make_spec

WAY_OUT = "take torch's scaled_dot_product_attention under sdpa_kernel(SDPBackend.MATH)"


class Options(TypedDict, total=False):
    """What can be asked of `attention` besides the backend."""

    causal: bool
    mask: Tensor | None
    scale: float | None
    window: Window | None
    softcap: float | None
    alibi_slopes: Tensor | None
    dropout_p: float
    generator: torch.Generator | None


@overload
def attention(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    *,
    backend: str = ...,
    return_lse: Literal[False] = False,
    **options: Unpack[Options],
) -> Tensor: ...
@overload
def attention(
    q: Tensor, k: Tensor, v: Tensor, *, backend: str = ..., return_lse: Literal[True], **options: Unpack[Options]
) -> tuple[Tensor, Tensor]: ...
def attention(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    *,
    causal: bool = False,
    mask: Tensor | None = None,
    scale: float | None = None,
    window: Window | None = None,
    softcap: float | None = None,
    alibi_slopes: Tensor | None = None,
    dropout_p: float = 0.0,
    generator: torch.Generator | None = None,
    backend: str = "auto",
    return_lse: bool = False,
) -> Tensor | tuple[Tensor, Tensor]:
    """Attend: softmax(q @ k^T * scale) @ v, for every head, differentiable once in q, k, v and an additive mask.

    q: (B, H, N_q, D)   k: (B, H_kv, N_k, D)   v: (B, H_kv, N_k, D_v)   ->   o: (B, H, N_q, D_v) in the dtype of q
    Any strides; float64, float32, float16 or bfloat16; sums in float32 at least. H is a multiple of H_kv, and query
    head h reads head h // (H / H_kv): grouped heads, or multi-query attention where H_kv is 1.

    causal: aligned at the bottom right, so that the last query sees every key (FlashAttention 2.1 and later; torch's
        own `is_causal` is aligned at the top left). For N_q = 2, N_k = 4 and for N_q = 4, N_k = 2, 1 where seen:

            1 1 1 0        0 0
            1 1 1 1        0 0
                           1 0
                           1 1

    mask: broadcasts to (B, H, N_q, N_k); bool (True: may attend) or floating (added to the scores, -inf hides)
    scale: what scores are multiplied by; None means 1/sqrt(D)
    window: how many keys before and after its own position a query sees, one number for both or (left, right), None
        for no bound; query i stands at position i + N_k - N_q
    softcap: c in c * tanh(s / c), taken after the scale and before any mask (Gemma 2, arXiv 2408.00118)
    alibi_slopes: (H,) or (B, H); slope * distance is subtracted from the score (Press et al. 2021, arXiv 2108.12409)
    dropout_p: the share of weights set to 0, the others divided by 1 - dropout_p; which ones is drawn from `generator`,
        or torch's default one, and is the same in every backend
    backend: "auto" takes the best that can run (`tilewise.explain_backend` says which, and why), or a name out of
        `tilewise.backends()`, which raises `BackendError` with the reason where it cannot run
    return_lse: also give lse = log(sum(exp(s))) of each row, natural log: (B, H, N_q), float32 (float64 for float64),
        differentiable too

    A query that sees no key gets o = 0, lse = -inf and zero gradients. Raises TypeError or ValueError for arguments
    that do not fit one another, and says what to do.
    """
    spec = make_spec(
        q,
        k,
        v,
        causal=causal,
        mask=mask,
        scale=scale,
        window=window,
        softcap=softcap,
        alibi_slopes=alibi_slopes,
        dropout_p=dropout_p,
        generator=generator,
    )
    chosen = backends.load(backends.choose(backend, q, k, v, spec))
    o, lse = attend(q, k, v, spec.drawn(generator), chosen)
    return (o, lse) if return_lse else o


def attend(q: Tensor, k: Tensor, v: Tensor, spec: Spec, backend: backends.Backend) -> tuple[Tensor, Tensor]:
    """Run the two passes of one backend under autograd: `attention` after its checks and its choice. -> (o, lse)"""
    if torch.compiler.is_compiling():
        # It would unroll loops over tiles, and fails at some of them. As a decorator this would import torch.compile's
        # machinery, which takes a second, for all.
        return torch.compiler.disable(_attend)(q, k, v, spec, backend)
    return _attend(q, k, v, spec, backend)


def _attend(q: Tensor, k: Tensor, v: Tensor, spec: Spec, backend: backends.Backend) -> tuple[Tensor, Tensor]:
    try:
        o, lse = _Attention.apply(q, k, v, spec.mask, spec, backend)
    except RuntimeError as error:
        if "functorch transforms" in str(error):
            raise RuntimeError(f"tilewise.attention cannot be transformed by torch.func or vmap; {WAY_OUT}") from error
        raise
    return o, lse


class _Attention(torch.autograd.Function):
    """Only q, k, v, o and lse outlive the forward pass (and the mask, which is the caller's): nothing N_q x N_k.

    Autocast is off inside, for it would take the sums out of float32. Kernels read memory, and of a tensor such as
    z.conj().imag torch may have noted only that it is to be negated: `resolve_neg` writes its numbers out.
    """

    @staticmethod
    def forward(
        ctx: Any, q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None, spec: Spec, backend: backends.Backend
    ) -> tuple[Tensor, Tensor]:
        with torch.autocast(q.device.type, enabled=False):
            o, lse = backend.forward(q.resolve_neg(), k.resolve_neg(), v.resolve_neg(), spec)
        ctx.save_for_backward(q, k, v, mask, o, lse)
        ctx.set_materialize_grads(False)
        ctx.spec, ctx.backend = replace(spec, mask=None), backend
        return o, lse

    @staticmethod
    def backward(ctx: Any, do: Tensor | None, dlse: Tensor | None) -> tuple[Tensor | None, ...]:
        q, k, v, mask, o, lse = ctx.saved_tensors
        if do is None and dlse is None:
            return (None,) * 6
        do = torch.zeros_like(o) if do is None else do
        spec = replace(ctx.spec, mask=mask)
        with torch.autocast(q.device.type, enabled=False):
            gradients = _Gradients.apply(do, dlse, q, k, v, o, lse, spec, ctx.backend, ctx.needs_input_grad[3])
        return *gradients, None, None

    @staticmethod
    def jvp(ctx: Any, *tangents: Tensor | None) -> None:
        raise NotImplementedError(f"tilewise.attention has no forward mode AD; {WAY_OUT}")


class _Gradients(torch.autograd.Function):
    """The backward pass as a step of its own, so that who differentiates it too is told that it cannot be.

    Torch's `once_differentiable` says so only where do has a gradient: o.sum() would give zeros, in silence.
    """

    @staticmethod
    def forward(
        ctx: Any,
        do: Tensor,
        dlse: Tensor | None,
        q: Tensor,
        k: Tensor,
        v: Tensor,
        o: Tensor,
        lse: Tensor,
        spec: Spec,
        backend: backends.Backend,
        mask_grad: bool,
    ) -> tuple[Tensor, Tensor, Tensor, Tensor | None]:
        do, q, k, v = (x.resolve_neg() for x in (do, q, k, v))
        dlse = None if dlse is None else dlse.resolve_neg()
        return backend.backward(do, dlse, q, k, v, o, lse, spec, mask_grad=mask_grad)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor | None) -> tuple[None, ...]:
        raise RuntimeError(
            f"tilewise.attention can be differentiated once, and its gradient was differentiated again; {WAY_OUT}"
        )


def explain_backend(q: Tensor, k: Tensor, v: Tensor, **options: Unpack[Options]) -> backends.Choice:
    """Say which backend "auto" takes for a call of `attention` with these arguments, and why not those before it.

    Printed, the choice reads as a few lines. Raises what `attention` raises for arguments that do not fit one another.
    """
    if unknown := options.keys() - Options.__annotations__.keys():
        raise TypeError(
            "explain_backend says what backend='auto' takes, and wants q, k, v and any of"
            f" {', '.join(Options.__annotations__)}, got {', '.join(sorted(unknown))}; leave that out"
        )
    return backends.explain(q, k, v, make_spec(q, k, v, **options))
