"""torch.nn.MultiheadAttention with this library's attention in it."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from tilewise import backends, checks
from tilewise.backends import reference
from tilewise.functional import attend
from tilewise.spec import make_spec


class MultiheadAttention(torch.nn.MultiheadAttention):
    """A drop-in for torch.nn.MultiheadAttention: the same arguments, parameters, initialisation and state dict.

    backend: as for `tilewise.attention`; the other arguments are torch's, by position or by name
    dropout below 1; which weights it drops is drawn as `tilewise.attention` does

    What differs, on purpose: a query that may attend to nothing gives the output's bias and not NaN; `is_causal` works
    without a mask; and torch's own fused code for whole encoder layers never takes this module's place.
    """

    def __init__(
        self,
        embed_dim: int,
        num_heads: int,
        dropout: float = 0.0,
        bias: bool = True,
        add_bias_kv: bool = False,
        add_zero_attn: bool = False,
        kdim: int | None = None,
        vdim: int | None = None,
        batch_first: bool = False,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
        backend: str = "auto",
    ) -> None:
        for name, size in {"embed_dim": embed_dim, "num_heads": num_heads}.items():
            checks.whole(name, size)
        for name, width in {"kdim": kdim, "vdim": vdim}.items():
            if width is not None:
                checks.whole(name, width, " or None")
        checks.dropout_share("dropout", dropout)
        if min(embed_dim, num_heads) < 1 or embed_dim % num_heads:
            raise ValueError(f"embed_dim must be a multiple of num_heads, got {embed_dim} and {num_heads}")
        super().__init__(
            embed_dim, num_heads, dropout, bias, add_bias_kv, add_zero_attn, kdim, vdim, batch_first, device, dtype
        )
        self.backend = backends.checked_name(backend)

    def _reset_parameters(self) -> None:
        # The constructor asks this attribute which parameters to fill. Afterwards it must be False: then
        # TransformerEncoderLayer and TransformerEncoder, in eval mode, do not go past `forward` with their own kernel.
        self._qkv_same_embed_dim = self.in_proj_weight is not None
        super()._reset_parameters()
        self._qkv_same_embed_dim = False

    def forward(
        self,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        key_padding_mask: Tensor | None = None,
        need_weights: bool = True,
        attn_mask: Tensor | None = None,
        average_attn_weights: bool = True,
        is_causal: bool = False,
    ) -> tuple[Tensor, Tensor | None]:
        """Attend with H = num_heads heads of embed_dim / H features. -> (output, weights)

        query: (N_q, B, embed_dim), key: (N_k, B, kdim), value: (N_k, B, vdim); batch first where `batch_first`;
            without B for a single sequence. The output is like query.
        key_padding_mask: (B, N_k), or (N_k,) without B   attn_mask: (N_q, N_k) or (B * H, N_q, N_k)
            bool, where True may NOT attend (torch's meaning, the opposite of `tilewise.attention`), or floating, added
        need_weights: also give the weights, (B, N_q, N_k), or (B, H, N_q, N_k) with average_attn_weights=False, after
            dropout as in torch. They are None otherwise, and nothing N_q x N_k is formed.
        is_causal: without attn_mask, a query sees no key after it, aligned at the bottom right (torch raises). With
            one, a hint that it is the causal mask: it is then looked at and, if so, not used tile by tile; if not, the
            mask decides.

        Raises ValueError or TypeError for what does not fit, nested tensors included.
        """
        self._check(query, key, value)
        batched = query.ndim == 3
        if batched and not self.batch_first:
            q, k, v = (x.transpose(0, 1) for x in self._projected(query, key, value))
        else:
            q, k, v = (x if batched else x[None] for x in self._projected(query, key, value))
        if key_padding_mask is not None and not batched:
            key_padding_mask = key_padding_mask[None]
        causal, mask = self._mask(q, k, key_padding_mask, attn_mask, is_causal)
        k, v, mask = self._extended(k, v, mask)
        q, k, v = (x.unflatten(-1, (self.num_heads, -1)).transpose(1, 2) for x in (q, k, v))

        dropout_p = self.dropout if self.training else 0.0
        spec = make_spec(q, k, v, causal=causal, mask=mask, dropout_p=dropout_p)
        backend = backends.load(backends.choose(self.backend, q, k, v, spec))
        spec = spec.drawn(None)
        o, _ = attend(q, k, v, spec, backend)
        output = self.out_proj(o.transpose(1, 2).flatten(2))
        output = (output if self.batch_first else output.transpose(0, 1)) if batched else output[0]
        if not need_weights:
            return output, None
        with torch.autocast(q.device.type, enabled=False):
            weights = reference.weights(q, k, spec).to(q.dtype)
        weights = weights.mean(dim=1) if average_attn_weights else weights
        return output, weights if batched else weights[0]

    def extra_repr(self) -> str:
        return f"{self.embed_dim}, heads={self.num_heads}, batch_first={self.batch_first}, backend={self.backend!r}"

    def _check(self, query: Tensor, key: Tensor, value: Tensor) -> None:
        for name, x in {"query": query, "key": key, "value": value}.items():
            checks.dense(
                name,
                x,
                "pad it and give key_padding_mask. If torch.nn.TransformerEncoder made it, set its use_nested_tensor ="
                " False, as replace_attention does",
            )
        widths = {"query": self.embed_dim, "key": self.kdim, "value": self.vdim}
        for (name, width), x in zip(widths.items(), (query, key, value), strict=True):
            if x.ndim not in (2, 3) or x.ndim != query.ndim or x.shape[-1] != width:
                order = "(B, N, {0}) or (N, {0})" if self.batch_first else "(N, B, {0}) or (N, {0})"
                raise ValueError(
                    f"{name} must be {order.format(width)}, all three with B or without, got {tuple(x.shape)}"
                    + (f" beside a query of shape {tuple(query.shape)}" if name != "query" else "")
                )
        batch = 0 if self.batch_first else 1
        if key.shape[:-1] != value.shape[:-1] or (query.ndim == 3 and query.shape[batch] != key.shape[batch]):
            shapes = ", ".join(str(tuple(x.shape)) for x in (query, key, value))
            if key.shape[:-1] != value.shape[:-1]:
                remedy = "did you slice or pad only one of key and value?"
            elif query.shape[1 - batch] == key.shape[1 - batch]:
                remedy = f"should it be {not self.batch_first}?"
            else:
                remedy = "did you slice or repeat only some of them?"
            raise ValueError(
                "key and value need one length, and all three one batch size, got query, key, value of shape"
                f" {shapes} with batch_first={self.batch_first}; {remedy}"
            )

    def _projected(self, query: Tensor, key: Tensor, value: Tensor) -> tuple[Tensor, ...]:
        if self.in_proj_weight is not None and query is key and key is value:
            return F.linear(query, self.in_proj_weight, self.in_proj_bias).chunk(3, dim=-1)
        separate = (self.q_proj_weight, self.k_proj_weight, self.v_proj_weight)
        weights = separate if self.in_proj_weight is None else self.in_proj_weight.chunk(3)
        biases = (None,) * 3 if self.in_proj_bias is None else self.in_proj_bias.chunk(3)
        return tuple(F.linear(x, w, b) for x, w, b in zip((query, key, value), weights, biases, strict=True))

    def _mask(
        self, q: Tensor, k: Tensor, key_padding_mask: Tensor | None, attn_mask: Tensor | None, is_causal: bool
    ) -> tuple[bool, Tensor | None]:
        """Say what `attention` is asked for: causal, and its mask, True where it may attend. q, k: (B, N, embed_dim)"""
        (batch, n_q, _), n_k = q.shape, k.shape[1]
        self._check_mask("key_padding_mask", key_padding_mask, [(batch, n_k)])
        self._check_mask("attn_mask", attn_mask, [(n_q, n_k), (batch * self.num_heads, n_q, n_k)])
        causal = is_causal and (attn_mask is None or _is_causal(attn_mask))
        if causal:
            attn_mask = None
        if causal and self._extra_keys:  # what comes after the last key is seen by all: no longer bottom right
            causal, attn_mask = False, _after(n_q, n_k, q.device)
        masks = []
        if key_padding_mask is not None:
            masks.append(key_padding_mask[:, None, None])
        if attn_mask is not None:
            masks.append(attn_mask if attn_mask.ndim == 2 else attn_mask.unflatten(0, (batch, self.num_heads)))
        return causal, _joined(masks, q.dtype)

    def _check_mask(self, name: str, mask: Tensor | None, shapes: list[tuple[int, ...]]) -> None:
        if mask is None:
            return
        checks.dense(name, mask, "pad it with True")
        if mask.dtype is not torch.bool and not mask.is_floating_point():
            raise TypeError(
                f"{name} must be bool (True: may not attend) or floating (added), got {mask.dtype};"
                " did you mean mask.bool()?"
            )
        if tuple(mask.shape) not in shapes:
            raise ValueError(f"{name} must have the shape {' or '.join(map(str, shapes))}, got {tuple(mask.shape)}")

    @property
    def _extra_keys(self) -> int:
        return int(self.bias_k is not None) + int(self.add_zero_attn)

    def _extended(self, k: Tensor, v: Tensor, mask: Tensor | None) -> tuple[Tensor, Tensor, Tensor | None]:
        """Put the learnt key (`add_bias_kv`) and the key of zeros (`add_zero_attn`) after the others, seen by all."""
        if self.bias_k is not None and self.bias_v is not None:
            k = torch.cat([k, self.bias_k.to(k.dtype).expand(len(k), 1, -1)], dim=1)
            v = torch.cat([v, self.bias_v.to(v.dtype).expand(len(v), 1, -1)], dim=1)
        if self.add_zero_attn:
            k, v = F.pad(k, (0, 0, 0, 1)), F.pad(v, (0, 0, 0, 1))
        if mask is not None and self._extra_keys:
            mask = F.pad(mask, (0, self._extra_keys), value=1.0 if mask.dtype is torch.bool else 0.0)
        return k, v, mask


def _after(n_q: int, n_k: int, device: torch.device) -> Tensor:
    """Say which keys come after which query, the last query standing at the last key. -> (n_q, n_k) bool"""
    return torch.ones(n_q, n_k, dtype=torch.bool, device=device).triu(n_k - n_q + 1)


def _is_causal(attn_mask: Tensor) -> bool:
    """Say whether a mask hides what comes after each query, and no more; square, where all alignments agree."""
    if attn_mask.ndim != 2 or attn_mask.shape[0] != attn_mask.shape[1] or attn_mask.requires_grad:
        return False
    after = _after(len(attn_mask), len(attn_mask), attn_mask.device)
    return torch.equal(attn_mask, after if attn_mask.dtype is torch.bool else _added(after, attn_mask.dtype))


def _joined(hidden: list[Tensor], dtype: torch.dtype) -> Tensor | None:
    """Make one mask in the meaning of `attention` of some in torch's, which broadcast with one another."""
    if not hidden:
        return None
    if all(mask.dtype is torch.bool for mask in hidden):
        return ~(hidden[0] | hidden[-1])
    added = [_added(mask, dtype) if mask.dtype is torch.bool else mask for mask in hidden]
    return added[0] if len(added) == 1 else added[0] + added[1]


def _added(hidden: Tensor, dtype: torch.dtype) -> Tensor:
    return torch.zeros(hidden.shape, dtype=dtype, device=hidden.device).masked_fill_(hidden, -torch.inf)
