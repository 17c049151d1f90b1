"""The mixture of experts: the selected ones run, each once, on all that selected it."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mode_ros.policy.layers import gate, gated_expert
from mode_ros.policy.routing import Routing


class Mixture(nn.Module):
    """E gated experts, stacked so that expert e lies at [e] and is read there without a copy."""

    def __init__(self, dim: int, experts: int, dropout: float, width: int | None = None) -> None:
        """width: inside an expert, after its gate; None for the published 4·dim."""
        super().__init__()
        width = width or 4 * dim
        self.dropout = dropout
        self.all_see_all = False
        """Whether every expert computes everything, and what it was not selected for is left out of the sum: the same
        sum for E/k times the work, in shapes that no draw changes, which is what a recorded step needs.
        """
        self.up_weight = nn.Parameter(torch.empty(experts, 2 * width, dim))
        self.up_bias = nn.Parameter(torch.zeros(experts, 2 * width))
        self.down_weight = nn.Parameter(torch.empty(experts, dim, width))

    @property
    def experts(self) -> int:
        """Number of experts, E."""
        return self.up_weight.shape[0]

    def expert(self, index: int, z: Tensor) -> Tensor:
        """Expert `index` alone: [..., D] → [..., D]."""
        dropout = self.dropout if self.training else 0.0
        return gated_expert(z, self.up_weight[index], self.up_bias[index], self.down_weight[index], dropout)

    def forward(self, z: Tensor, routing: Routing) -> Tensor:
        """Σ over the selected experts of weight · expert(z).

        z: [B, T, D]. The routing's leading dimensions are the first of z's: [B] routes whole samples (by noise),
        [B, T] routes tokens.

        What an expert is to see is put side by side first, so that there is one product per expert and no expert sees
        what it was not selected for. `forward_plain` is the same without that.
        """
        if routing.tokens is not None:
            return self._chosen_tokens(z, routing, routing.tokens)
        if self.all_see_all:
            return self._all_experts(z, routing)
        k = routing.experts.shape[-1]
        chosen = routing.experts.flatten()  # [n·k], of n routed samples or tokens
        rows = z.flatten(0, routing.experts.dim() - 2)  # [n, (T,) D]
        order = chosen.argsort(stable=True)
        counts = torch.bincount(chosen, minlength=self.experts).tolist()
        groups = rows[order // k].split(counts)
        # Taken apart once: the gradient of one expert picked out of the stack would be as large as all of them, and be
        # filled with zeros for each.
        weights = zip(self.up_weight.unbind(), self.up_bias.unbind(), self.down_weight.unbind(), strict=True)
        dropout = self.dropout if self.training else 0.0
        seen = [gated_expert(group, *own, dropout) for group, own in zip(groups, weights, strict=True) if len(group)]
        # Back into the order of the rows: [n, k, (T,) D].
        y = torch.cat(seen)[order.argsort()].unflatten(0, (-1, k))
        shares = routing.weights.flatten(0, -2).to(y.dtype)
        return torch.einsum('nk,nk...->n...', shares, y).view_as(z)

    def _all_experts(self, z: Tensor, routing: Routing) -> Tensor:
        """As forward, where every expert sees everything: two products in all."""
        shares = torch.zeros_like(routing.probabilities).scatter(-1, routing.experts, routing.weights)  # [..., E]
        shares = shares.view(*shares.shape[:-1], *[1] * (z.dim() - shares.dim()), self.experts)  # [B, T or 1, E]
        projected = F.linear(z, self.up_weight.flatten(0, 1), self.up_bias.flatten())
        hidden = gate(projected.unflatten(-1, (self.experts, -1)))  # [B, T, E, width]
        if self.training and self.dropout:
            hidden = F.dropout(hidden, self.dropout)
        hidden = hidden * shares.unsqueeze(-1).to(hidden.dtype)
        return F.linear(hidden.flatten(-2), self.down_weight.movedim(0, 1).flatten(1))

    def _chosen_tokens(self, z: Tensor, routing: Routing, tokens: Tensor) -> Tensor:
        """As forward, where each expert has chosen its tokens (choose_tokens)."""
        out = torch.zeros_like(z)
        for index in range(self.experts):
            where = tokens[..., index, None].expand(-1, -1, z.shape[-1])  # [B, n, D]
            y = self.expert(index, z.gather(1, where)) * routing.weights[..., index, None].to(z.dtype)
            out = out.scatter_add(1, where, y.to(z.dtype))
        return out

    def forward_plain(self, z: Tensor, routing: Routing) -> Tensor:
        """As forward, written the obvious way: expert after expert looks for what selected it.

        Not for experts that choose their tokens.
        """
        out = torch.zeros_like(z)
        # Taken apart once, as in forward.
        weights = zip(self.up_weight.unbind(), self.up_bias.unbind(), self.down_weight.unbind(), strict=True)
        dropout = self.dropout if self.training else 0.0
        for index, own in enumerate(weights):
            selected = routing.experts == index  # [..., k]
            rows = selected.any(-1)  # [...]
            if not rows.any():
                continue
            weight = (routing.weights * selected).sum(-1)[rows]  # [n]
            y = gated_expert(z[rows], *own, dropout)  # [n, (T,) D]
            out[rows] += (weight.view(-1, *[1] * (y.dim() - 1)) * y).to(z.dtype)
        return out
