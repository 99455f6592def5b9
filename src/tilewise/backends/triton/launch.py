"""How a kernel is called: in which version, on which device, in how many programs and which tiles."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch
import triton
from torch import Tensor

from tilewise.backends.triton.blocks import Blocks, chosen, width
from tilewise.backends.triton.versions import ONE_INTERPRETED, is_interpreted, kernels


@dataclass(frozen=True)
class Launcher:
    """Calls kernels for one problem. block_q, block_k: None for what is best here"""

    q: Tensor
    k: Tensor
    v: Tensor
    block_q: int | None
    block_k: int | None

    def blocks(self, kernel: str) -> Blocks:
        """Choose the tiles for a kernel."""
        interpreted = is_interpreted(self.q.device)
        return chosen(kernel, self.q, self.k, self.v, interpreted, self.block_q, self.block_k)

    @property
    def widths(self) -> dict[str, int]:
        """The constants of a kernel that say how wide heads are."""
        d, d_v = self.q.shape[-1], self.v.shape[-1]
        return {"D": d, "D_V": d_v, "BLOCK_D": width(d), "BLOCK_DV": width(d_v)}

    def __call__(self, kernel: str, *arguments: Any, over: Tensor, **constants: Any) -> None:
        """Run a kernel with one program for each block of rows of each head of `over`, which is q or k."""
        blocks = self.blocks(kernel)
        rows = blocks.block_k if over is self.k else blocks.block_q
        programs = over.shape[0] * over.shape[1] * triton.cdiv(over.shape[2], rows)
        if programs == 0:
            return
        options = {"num_warps": blocks.num_warps, "num_stages": blocks.num_stages, "enable_fp_fusion": True}
        interpreted = is_interpreted(over.device)
        with _on(over.device), ONE_INTERPRETED if interpreted else nullcontext():
            function = getattr(kernels(interpreted), f"{kernel}_kernel")
            function[(programs,)](*arguments, **self.widths, **blocks.constants, **constants, **options)


def _on(device: torch.device) -> AbstractContextManager[Any]:
    """Triton launches on the current device, wherever the tensors are."""
    return torch.cuda.device(device) if device.type == "cuda" else nullcontext()
