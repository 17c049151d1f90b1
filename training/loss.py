"""What MoDE is trained on: denoising at random noise levels (EDM), and an even use of the experts.

Randomness is handed in: a step's draws belong to the whole batch, and whoever computes a part of it takes its rows.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from mode_ros.policy.config import DiffusionConfig
from mode_ros.policy.diffusion import scalings
from mode_ros.policy.routing import Routing

# Of any shape: the mean over all processes.
MeanOverAll = Callable[[Tensor], Tensor]


def log_logistic_sigmas(uniform: Tensor, config: DiffusionConfig, scale: float) -> Tensor:
    """Noise levels of a log-logistic with location ln σ_data, cut to [σ_min, σ_max], from uniform numbers in [0, 1)."""
    location = math.log(config.sigma_data)
    low, high = (
        1 / (1 + math.exp(-(math.log(sigma) - location) / scale)) for sigma in (config.sigma_min, config.sigma_max)
    )
    share = (low + (high - low) * uniform.double()).clamp(low, high)
    sigmas = torch.exp(location + scale * torch.logit(share)).float()
    return sigmas.clamp(config.sigma_min, config.sigma_max)


class Draws(NamedTuple):
    """The randomness of one step, on the CPU; B is the whole batch."""

    sigma: Tensor  # [B]
    noise: Tensor  # [B, A, d], standard normal
    experts: Tensor  # [L, B, T, E], or [L, B, E] for a sample as a whole, exponential, for select_experts
    goal_kept: Tensor  # [B, goal_dim], or [B, 1] for the goal as a whole, bool
    committed: Tensor  # [B], int64, how many of the first actions are given

    def rows(self, rows: slice) -> Draws:
        """A part of the batch."""
        experts = self.experts[:, rows]
        return Draws(self.sigma[rows], self.noise[rows], experts, self.goal_kept[rows], self.committed[rows])


def given(committed: Tensor, chunk_length: int) -> Tensor:
    """Which actions of each chunk are given: [B], how many of the first → [B, A], bool."""
    return torch.arange(chunk_length, device=committed.device) < committed.unsqueeze(-1)


def denoising_error(raw: Tensor, actions: Tensor, noisy: Tensor, sigma: Tensor, sigma_data: float) -> Tensor:
    """(F − (a − c_skip·x)/c_out)², each [B, A, d]; sigma: [B]."""
    c = scalings(sigma.view(-1, 1, 1), sigma_data)
    return (raw.float() - (actions - c.skip * noisy) / c.out) ** 2


def expert_loads(routing: Routing) -> Tensor:
    """f: the share of what was routed (samples, or tokens) that selected each expert, [E], summing to k."""
    experts = routing.probabilities.shape[-1]
    chosen = routing.experts.flatten()
    # Not bincount, for which the host waits to know how many there are.
    counts = torch.zeros(experts, device=chosen.device).scatter_add_(0, chosen, torch.ones_like(chosen).float())
    return counts / (routing.probabilities.numel() // experts)


def expert_shares(routing: Routing) -> Tensor:
    """The share of selections that went to each expert, [E], summing to 1."""
    loads = expert_loads(routing)
    return loads / loads.sum()


@torch.no_grad()
def move_biases(biases: Sequence[Tensor], shares: Tensor, rate: float) -> None:
    """Loss-free balancing (Wang et al. 2024): each expert's bias by `rate` towards an even load, in place.

    biases: L of [E]; shares: [L, E], of a step's selections in all processes, summing to 1.
    """
    for bias, share in zip(biases, shares, strict=True):
        bias += rate * torch.sign(1 / len(share) - share)


def softmax_share(routing: Routing) -> Tensor:
    """The router's mean probabilities, [E] (the paper's equation 9)."""
    return routing.probabilities.flatten(0, -2).mean(0)


def selected_share(routing: Routing) -> Tensor:
    """The mean weight with which each expert was taken, 0 where it was not, [E] (what the published code computes)."""
    weights = torch.zeros_like(routing.probabilities).scatter(-1, routing.experts, routing.weights)
    return weights.flatten(0, -2).mean(0)


SHARES: Mapping[str, Callable[[Routing], Tensor]] = {'softmax': softmax_share, 'selected': selected_share}


def balancing_loss(
    routings: Sequence[Routing],
    over_all: MeanOverAll = lambda loads: loads,
    share: Callable[[Routing], Tensor] = softmax_share,
) -> Tensor:
    """Load balancing, E·Σ f·p, the mean over layers: k when the experts share evenly, up to E when k do it all.

    f: as expert_loads; p: `share`; both over the batch. over_all makes f that of all processes, so that the mean of the
    processes' losses is the loss of the whole batch.
    """
    loads = over_all(torch.stack([expert_loads(routing) for routing in routings]))  # [L, E], one exchange for all
    mean = torch.stack([share(routing) for routing in routings])
    return mean.shape[-1] * (loads * mean).sum(-1).mean()
