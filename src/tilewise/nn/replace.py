"""Give the modules of a model that attend this library's attention."""

from __future__ import annotations

from typing import cast

import torch

from tilewise import backends, checks
from tilewise.nn.multihead import MultiheadAttention


def replace_attention(model: torch.nn.Module, backend: str = "auto") -> list[str]:
    """Make every torch.nn.MultiheadAttention in a model, and the model itself if it is one, a `MultiheadAttention`.

    backend: as for `tilewise.attention`   ->   the names of those that were, as `named_modules` gives them

    In place, and the module object stays the same: its parameters, dtype, device, mode and hooks, and all that refers
    to it (optimizers, tied modules). Subclasses of torch's module are left alone: they attend in a way of their own.
    A torch.nn.TransformerEncoder with a replaced layer makes no more nested tensors in eval mode, so that it gives
    padded places some finite output where torch gave them zeros. Raises ValueError, and replaces nothing, where a
    module's dropout is none that ours can do, 1 or more.
    """
    backends.checked_name(backend)
    named = list(model.named_modules(remove_duplicate=False))
    replaced = {name: module for name, module in named if type(module) is torch.nn.MultiheadAttention}
    for name, module in replaced.items():
        checks.dropout_share(f"dropout of {name or 'the model'}", module.dropout)
    for module in replaced.values():
        module.__class__ = MultiheadAttention
        module = cast(MultiheadAttention, module)
        module.backend, module._qkv_same_embed_dim = backend, False
    for _, module in named:
        if isinstance(module, torch.nn.TransformerEncoder) and any(
            isinstance(part, MultiheadAttention) for part in module.modules()
        ):
            module.use_nested_tensor = False
    return list(replaced)
