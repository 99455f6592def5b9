"""Modules that attend: a drop-in for torch.nn.MultiheadAttention, two plain ones, and a model's attention replaced."""

from tilewise.nn.multihead import MultiheadAttention
from tilewise.nn.projected import FlashAttention, StandardAttention
from tilewise.nn.replace import replace_attention

__all__ = ["FlashAttention", "MultiheadAttention", "StandardAttention", "replace_attention"]
