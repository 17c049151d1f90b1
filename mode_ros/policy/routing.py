"""Which experts run: a router that looks at the noise level alone (MoDE, section 3.2), and others to compare with."""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Routing(NamedTuple):
    """A router's decision. The leading dimensions are those of what was routed: [B] for routing by noise."""

    probabilities: Tensor  # [..., E], softmax over all experts; what a load-balancing loss needs
    experts: Tensor  # [..., k], int64, the selected ones
    weights: Tensor  # [..., k], theirs, summing to 1
    tokens: Tensor | None = None  # where experts choose, [B, n, E]: the tokens that each took; experts, weights as this


def select_experts(
    probabilities: Tensor, top_k: int, draws: Tensor | None = None, bias: Tensor | None = None
) -> Routing:
    """Pick k of E experts and renormalise their probabilities to sum to 1.

    probabilities: [..., E]. Without `draws` the k most probable, in falling order. With them, as while training, k
    drawn without replacement from the distribution, so that rare experts are tried. draws: [..., E], independent and
    exponential of rate 1: the k first of an exponential race are such a draw (as in torch.multinomial), and who hands
    the draws in can repeat it, on any device and with the batch cut in any way.

    bias: [E], added to the probabilities that select, and not to those that become weights (Wang et al. 2024, whose
    experts are the k largest while training, too).
    """
    preferred = probabilities.detach().float() if bias is None else probabilities.detach().float() + bias
    if draws is None:
        experts = preferred.topk(top_k, dim=-1).indices
    else:
        # Those that underflowed are drawn last, and at random.
        experts = (preferred.clamp_min(1e-20) / draws).topk(top_k, dim=-1).indices
    chosen = probabilities.gather(-1, experts)
    # The floor matters only when every chosen expert has underflowed.
    weights = chosen / chosen.sum(-1, keepdim=True).clamp_min(1e-20)
    return Routing(probabilities, experts, weights)


def choose_tokens(probabilities: Tensor, top_k: int) -> Routing:
    """Each expert takes the tokens that want it most (expert choice, Zhou et al. 2022), within a sample.

    probabilities: [B, T, E]. Every expert takes n = k·T/E of a sample's tokens, rounded, so that the load is even by
    construction; a token may get several experts or none. The weights are the probabilities, as published.

    Whether an expert takes a token depends on the later tokens that rival for it, so causality leaks: the observation's
    tokens are no longer the same for all noisy actions. Within a chunk that is allowed, since all of its tokens are
    known at once, but nothing can be computed ahead.
    """
    tokens, experts = probabilities.shape[-2:]
    taken = min(max(round(top_k * tokens / experts), 1), tokens)
    chosen = probabilities.topk(taken, dim=-2)
    numbers = torch.arange(experts, device=probabilities.device).expand_as(chosen.indices)
    return Routing(probabilities, numbers, chosen.values, chosen.indices)


def use_the_only_one(batch: int, device: torch.device) -> Routing:
    """The routing of a dense block, which is a mixture of one expert."""
    ones = torch.ones(batch, 1, device=device)
    return Routing(ones, torch.zeros(batch, 1, dtype=torch.int64, device=device), ones)


class Router(nn.Module):
    """Linear(D→2D), GELU, Linear(2D→E), softmax."""

    bias: Tensor | None
    """[E], see select_experts. Moved by training, not by its gradient."""

    def __init__(self, dim: int, experts: int, top_k: int, biased: bool = False) -> None:
        super().__init__()
        self.register_buffer('bias', torch.zeros(experts) if biased else None)
        self.top_k = top_k
        self.input = nn.Linear(dim, 2 * dim)
        self.output = nn.Linear(2 * dim, experts)

    def probabilities(self, condition: Tensor) -> Tensor:
        """condition: [..., D] → [..., E], the softmax taken in float32."""
        return F.softmax(self.output(F.gelu(self.input(condition))), dim=-1, dtype=torch.float32)

    def forward(self, condition: Tensor, draws: Tensor | None = None) -> Routing:
        """condition: [..., D]; draws: [..., E] to draw the experts, None to take the k most probable.

        For a condition [B, D] draws may be [B, T, E]: then each token of a sample draws for itself.
        """
        probabilities = self.probabilities(condition)
        if draws is not None and draws.dim() > probabilities.dim():
            probabilities = probabilities.unsqueeze(1).expand_as(draws)
        return select_experts(probabilities, self.top_k, draws, self.bias)
