"""Building blocks of the denoiser: norm, causal attention, gated expert, modulation."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class RMSNorm(nn.Module):
    """x / max(‖x‖₂ / √D, eps) · gain over the last dimension.

    Not torch's rms_norm, which adds eps under the root instead of taking the larger: published weights expect this.
    """

    def __init__(self, dim: int, eps: float = 1e-6) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.ones(dim))
        self.eps = eps

    def forward(self, x: Tensor) -> Tensor:
        """x: [..., D] → [..., D]."""
        # The norm is taken in float32 so that bfloat16 activations keep their scale.
        rms = torch.linalg.vector_norm(x, dim=-1, keepdim=True, dtype=torch.float32) * x.shape[-1] ** -0.5
        return (x / rms.clamp_min(self.eps)).to(x.dtype) * self.gain


def gated_expert(z: Tensor, up_weight: Tensor, up_bias: Tensor, down_weight: Tensor, dropout: float = 0.0) -> Tensor:
    """One expert: Linear(D→8D) split into (value, gate), value·SiLU(gate), Linear(4D→D).

    z: [..., D], up_weight: [8D, D], up_bias: [8D], down_weight: [D, 4D] → [..., D].
    """
    hidden = gate(F.linear(z, up_weight, up_bias))
    if dropout:
        hidden = F.dropout(hidden, dropout)
    return F.linear(hidden, down_weight)


def gate(projected: Tensor) -> Tensor:
    """value·SiLU(gate) of [..., (value, gate)]: [..., 8D] → [..., 4D]."""
    value, gate_ = projected.chunk(2, dim=-1)
    return value * F.silu(gate_)


class Attention(nn.Module):
    """Causal self-attention with RMSNorm on queries and keys, per head."""

    def __init__(self, dim: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.heads = heads
        self.dropout = dropout
        self.query_key_value = nn.Linear(dim, 3 * dim)
        self.query_norm = RMSNorm(dim // heads)
        self.key_norm = RMSNorm(dim // heads)
        self.output = nn.Linear(dim, dim, bias=False)

    def forward(self, h: Tensor) -> Tensor:
        """h: [B, T, D] → [B, T, D]; token t sees tokens 0 to t."""
        query, key, value = (split_heads(x, self.heads) for x in self.query_key_value(h).chunk(3, dim=-1))
        dropout = self.dropout if self.training else 0.0
        mixed = F.scaled_dot_product_attention(
            self.query_norm(query), self.key_norm(key), value, is_causal=True, dropout_p=dropout
        )
        return self.output(merge_heads(mixed))


class Modulation(nn.Module):
    """x·(1 + scale) + shift, both linear in SiLU(condition): adaptive layer norm (Peebles and Xie 2023).

    An alternative to adding the condition. It starts as the identity.
    """

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.output = nn.Linear(dim, 2 * dim)
        self.reset()

    def reset(self) -> None:
        """Make it the identity."""
        nn.init.zeros_(self.output.weight)
        nn.init.zeros_(self.output.bias)

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        """x: [B, T, D], condition: [B, D] → [B, T, D]."""
        scale, shift = self.output(F.silu(condition)).unsqueeze(1).chunk(2, dim=-1)
        return x * (1 + scale) + shift


def split_heads(x: Tensor, heads: int) -> Tensor:
    """[..., T, H·hd] → [..., H, T, hd]."""
    return x.unflatten(-1, (heads, -1)).transpose(-3, -2)


def merge_heads(x: Tensor) -> Tensor:
    """[..., H, T, hd] → [..., T, H·hd]."""
    return x.transpose(-3, -2).flatten(-2)
