"""What stands beside attention in a transformer's layer: a sum and its LayerNorm, in one kernel."""

from __future__ import annotations

import torch
from torch import Tensor

from tilewise.backends import BackendError
from tilewise.backends.cuda import build, on_cpu, passes


def add_layer_norm(
    x: Tensor, residual: Tensor, weight: Tensor, bias: Tensor, eps: float = 1e-5
) -> tuple[Tensor, Tensor]:
    """Add two tensors and normalise each row of the sum. -> (LayerNorm(x + residual) * weight + bias, x + residual)

    x, residual: (..., C), of one shape   weight, bias: (C,)   all float32 or float16, on one device   Sums in float32.
    On a GPU; and tensors on the CPU are executed as those of backend "cuda_cpu" are. Gives no gradients: work under
    torch.no_grad(). Raises ValueError, TypeError, or BackendError where no kernel can run.
    """
    tensors = {"x": x, "residual": residual, "weight": weight, "bias": bias}
    if residual.shape != x.shape or x.ndim == 0:
        raise ValueError(f"x and residual need one shape (..., C), got {tuple(x.shape)} and {tuple(residual.shape)}")
    for name in ("weight", "bias"):
        if tuple(tensors[name].shape) != tuple(x.shape[-1:]):
            raise ValueError(f"{name} must have the shape ({x.shape[-1]},), got {tuple(tensors[name].shape)}")
    for name, tensor in tensors.items():
        if tensor.dtype not in passes.DTYPES or tensor.dtype != x.dtype:
            raise TypeError(
                f"x, residual, weight and bias need one dtype, float32 or float16; {name} is {tensor.dtype}"
            )
        if tensor.device != x.device:
            raise ValueError(f"{name} must lie on the device of x, {x.device}, got {tensor.device}")
        if tensor.requires_grad and torch.is_grad_enabled():
            raise ValueError(f"{name} requires grad, but gets none here: work under torch.no_grad(), or detach it")
    on_gpu = x.device.type == "cuda"
    if reason := (build.here() if on_gpu else on_cpu.here()):
        raise BackendError(f"add_layer_norm cannot run here: {reason}")
    return passes.add_layer_norm(x, residual, weight, bias, eps, build.machine(x.device) if on_gpu else on_cpu.MACHINE)
