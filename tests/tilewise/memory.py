"""A meter of tensors: how many bytes are alive at once, and which tensor is the largest."""

from __future__ import annotations

import weakref
from typing import Any

from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


class Memory(TorchDispatchMode):
    """Follow every storage that PyTorch's operators make while this is entered, until it is freed.

    peak_bytes: the most that was alive at once of what was made here   largest: elements of the largest tensor made
    """

    def __init__(self) -> None:
        super().__init__()
        self.peak_bytes = self.largest = self._alive = 0
        self._known: set[int] = set()

    def __torch_dispatch__(self, operator: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = operator(*args, **(kwargs or {}))
        given = {x.untyped_storage()._cdata for x in tree_leaves((args, kwargs)) if isinstance(x, Tensor)}
        for x in tree_leaves(result):
            if isinstance(x, Tensor):
                self._follow(x, given)
        return result

    def _follow(self, x: Tensor, given: set[int]) -> None:
        storage = x.untyped_storage()
        if storage._cdata in given or storage._cdata in self._known:
            return
        self._known.add(storage._cdata)
        self._alive += storage.nbytes()
        self.peak_bytes = max(self.peak_bytes, self._alive)
        self.largest = max(self.largest, x.numel())
        weakref.finalize(storage, self._free, storage._cdata, storage.nbytes())

    def _free(self, key: int, size: int) -> None:
        self._known.discard(key)
        self._alive -= size
