"""AdamW with its groups, and the running average of the weights that is kept in the end."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from mode_ros.training.settings import OptimizerSettings

_FUSED = ('cpu', 'cuda')

Tensors = tuple[Tensor, ...] | list[Tensor]


def build_optimizer(network: nn.Module, settings: OptimizerSettings) -> torch.optim.AdamW:
    """AdamW over what is trained, its weight decay where decay_reaches says.

    In one pass over each tensor (fused), which on a CPU takes a third to a sixth of the time of one pass per operation:
    a mixture has several times the weights that a sample meets, and the optimiser goes over all. Not for weights that
    are spread over processes, whose tensors are not torch's plain ones.
    """
    decayed: list[nn.Parameter] = []
    others: list[nn.Parameter] = []
    reaches = _REACHES[settings.decay_reaches]
    for name, parameter in network.named_parameters():
        if parameter.requires_grad:
            (decayed if reaches(name, parameter) else others).append(parameter)
    groups = [{'params': decayed, 'weight_decay': settings.weight_decay}, {'params': others, 'weight_decay': 0.0}]
    return torch.optim.AdamW(
        [group for group in groups if group['params']],
        lr=settings.learning_rate,
        betas=settings.betas,
        fused=all(type(each.data) is Tensor and each.device.type in _FUSED for each in (*decayed, *others)),
    )


def _is_matrix(name: str, parameter: nn.Parameter) -> bool:
    return parameter.dim() >= 2 and not name.endswith(('bias', 'position'))


def _is_no_bias(name: str, _: nn.Parameter) -> bool:
    return name.startswith('image_encoders.') or 'bias' not in name


_REACHES: Mapping[str, Callable[[str, nn.Parameter], bool]] = {
    'matrices': _is_matrix,
    'all_but_biases': _is_no_bias,
}
_FORMS: Mapping[str, Callable[[int], float]] = {
    'constant': lambda updates: (1 + updates) / (10 + updates),
    'power': lambda updates: 1 - (1 + updates) ** (-2 / 3),
}


def average_of(network: nn.Module, settings: OptimizerSettings) -> AveragedModel:
    """The exponential moving average of a network's weights and batch-norm statistics, in float32.

    Its decay rises to settings.ema_decay as settings.ema_form says, so that little of the random start is left.
    """
    rise = _FORMS[settings.ema_form]

    @torch.no_grad()
    def update(averaged: Tensors, current: Tensors, _: Tensor | int) -> None:
        # Not `updates`, which is a copy on the weights' device: the host would wait for what that is doing.
        kept = min(settings.ema_decay, rise(int(average.n_averaged)))
        if averaged[0].is_floating_point():
            torch._foreach_lerp_(list(averaged), list(current), 1 - kept)
        else:  # counters of batches
            for mean, value in zip(averaged, current, strict=True):
                mean.copy_(value)

    average = AveragedModel(network, multi_avg_fn=update, use_buffers=True)  # its count stays on the CPU
    return average
