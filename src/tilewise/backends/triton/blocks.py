"""How large the tiles of each kernel are, and by how many warps and pipeline stages it is run."""

from __future__ import annotations

from dataclasses import dataclass, replace

import triton
from torch import Tensor

SMALLEST = 16  # tl.dot multiplies nothing smaller


@dataclass(frozen=True)
class Blocks:
    """block_q, block_k: queries and keys of a tile   num_warps, num_stages: as Triton has them"""

    block_q: int
    block_k: int
    num_warps: int
    num_stages: int

    @property
    def constants(self) -> dict[str, int]:
        """As the kernels name them."""
        return {"BLOCK_M": self.block_q, "BLOCK_N": self.block_k}


INTERPRETED = Blocks(256, 256, 4, 1)  # each operation costs much and each element little
# By kernel and bytes of an element, then for heads of at most so many features. Chosen without a GPU: what is usual on
# an H100 for such kernels, of that the largest that ptxas fits into registers (float32 is not multiplied by tensor
# cores and needs many more), and into the shared memory of the smaller GPUs too, 99 KB. `make gpu-bench` measures them.
COMPILED: dict[tuple[str, int], dict[int, Blocks]] = {
    ("forward", 2): {64: Blocks(128, 64, 4, 3), 128: Blocks(128, 64, 8, 3), 256: Blocks(64, 32, 4, 2)},
    ("keys", 2): {64: Blocks(64, 128, 8, 3), 128: Blocks(32, 128, 8, 2), 256: Blocks(32, 32, 4, 1)},
    ("queries", 2): {64: Blocks(128, 64, 8, 3), 128: Blocks(128, 64, 8, 2), 256: Blocks(32, 32, 4, 1)},
    ("forward", 4): {64: Blocks(32, 32, 4, 2), 128: Blocks(32, 16, 4, 1), 256: Blocks(16, 16, 4, 1)},
    ("keys", 4): {64: Blocks(32, 32, 4, 1), 128: Blocks(16, 32, 4, 1), 256: Blocks(16, 16, 4, 1)},
    ("queries", 4): {64: Blocks(32, 32, 4, 1), 128: Blocks(16, 16, 4, 1), 256: Blocks(16, 16, 4, 1)},
    ("delta", 2): {64: Blocks(128, 16, 4, 1), 256: Blocks(32, 16, 4, 1)},
    ("delta", 4): {64: Blocks(64, 16, 4, 1), 256: Blocks(16, 16, 4, 1)},
}
WIDEST = 256


def width(d: int) -> int:
    """Give the power of two that d features are padded to."""
    return max(SMALLEST, triton.next_power_of_2(d))


def chosen(
    kernel: str, q: Tensor, k: Tensor, v: Tensor, interpreted: bool, block_q: int | None, block_k: int | None
) -> Blocks:
    """Choose the tiles of a launch: those asked for, else the table's, no longer than there are queries and keys.

    Raises ValueError for a block size that Triton cannot have.
    """
    for name, size in (("block_q", block_q), ("block_k", block_k)):
        if size is not None and (size < SMALLEST or size != triton.next_power_of_2(size)):
            raise ValueError(f"{name} must be a power of two from {SMALLEST} for the backend triton, got {size}")
    if interpreted:
        best = INTERPRETED
    else:
        widest = max(width(q.shape[-1]), width(v.shape[-1]))
        by_width = COMPILED[kernel, q.element_size()]
        best = by_width[min(limit for limit in by_width if limit >= widest)]
    return replace(
        best,
        block_q=block_q or min(best.block_q, width(q.shape[2])),
        block_k=block_k or min(best.block_k, width(k.shape[2])),
    )
