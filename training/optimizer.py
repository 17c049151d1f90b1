"""AdamW with its groups, and the running average of the weights that is kept in the end."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from mode_ros.training.settings import OptimizerSettings

Tensors = tuple[Tensor, ...] | list[Tensor]


def build_optimizer(network: nn.Module, settings: OptimizerSettings) -> torch.optim.AdamW:
    """AdamW over what is trained. Weight decay draws matrices to zero, not biases, gains, norms and positions."""
    matrices: list[nn.Parameter] = []
    others: list[nn.Parameter] = []
    for name, parameter in network.named_parameters():
        if parameter.requires_grad:
            plain = parameter.dim() < 2 or name.endswith(('bias', 'position'))
            (others if plain else matrices).append(parameter)
    groups = [{'params': matrices, 'weight_decay': settings.weight_decay}, {'params': others, 'weight_decay': 0.0}]
    return torch.optim.AdamW(
        [group for group in groups if group['params']], lr=settings.learning_rate, betas=settings.betas
    )


def average_of(network: nn.Module, decay: float) -> AveragedModel:
    """The exponential moving average of a network's weights and batch-norm statistics, in float32.

    The first averages are short (decay (1 + n)/(10 + n) after n updates), so that little of the random start is left.
    """

    @torch.no_grad()
    def update(averaged: Tensors, current: Tensors, updates: Tensor | int) -> None:
        kept = min(decay, (1 + int(updates)) / (10 + int(updates)))
        if averaged[0].is_floating_point():
            torch._foreach_lerp_(list(averaged), list(current), 1 - kept)
        else:  # counters of batches
            for mean, value in zip(averaged, current, strict=True):
                mean.copy_(value)

    return AveragedModel(network, multi_avg_fn=update, use_buffers=True)
