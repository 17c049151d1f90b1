"""What a network begins with: as MoDE's published training does, or small everywhere.

The published class has a method that gives every weight a deviation of 0.02, and nothing calls it. What is left is what
each layer begins with by itself, apart from the routers and the position.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd

from mode_ros.policy.config import Initialisation
from mode_ros.policy.layers import Modulation
from mode_ros.policy.mixture import Mixture
from mode_ros.policy.routing import Router

_DEVIATION = 0.02


def begin_published(denoiser: nn.Module, position: Tensor) -> None:
    """Every layer uniform in ±1/√inputs with its bias, routers normal with deviation 0.02, positions zero.

    denoiser: just made, so that its linear layers are as torch begins them, which is the same.
    """
    for module in denoiser.modules():
        if isinstance(module, Mixture):
            for weight in (module.up_weight, module.down_weight):
                _uniform(weight, weight.shape[-1])
            _uniform(module.up_bias, module.up_weight.shape[-1])
        elif isinstance(module, Router):
            module.apply(_small)
        elif isinstance(module, Modulation):
            module.reset()
    nn.init.zeros_(position)


def begin_small(denoiser: nn.Module, position: Tensor) -> None:
    """Every weight and position normal with deviation 0.02, every bias zero."""
    denoiser.apply(_small)
    nn.init.normal_(position, std=_DEVIATION)


BEGINNINGS: Mapping[Initialisation, Callable[[nn.Module, Tensor], None]] = {
    'published': begin_published,
    'small': begin_small,
}


def begin_as_plain_layers(blocks: nn.Module) -> None:
    """Convolutions as torch's layers begin, uniform in ±1/√inputs, rather than as torchvision's ResNet sets them."""
    for module in blocks.modules():
        if isinstance(module, _ConvNd):
            module.reset_parameters()


def guess(noise_input: Tensor) -> Initialisation:
    """Which of the two a trained denoiser probably began with, told by its noise embedding's first weight, [D, 1].

    It begins with a deviation of 0.58 or of 0.02, and a training moves it far less than they are apart.
    """
    begun = float(noise_input.detach().float().square().mean().sqrt())
    return 'published' if begun > (3**-0.5 * _DEVIATION) ** 0.5 else 'small'


def _small(module: nn.Module) -> None:
    if isinstance(module, nn.Linear):
        nn.init.normal_(module.weight, std=_DEVIATION)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
    elif isinstance(module, Mixture):
        nn.init.normal_(module.up_weight, std=_DEVIATION)
        nn.init.zeros_(module.up_bias)
        nn.init.normal_(module.down_weight, std=_DEVIATION)
    elif isinstance(module, Modulation):
        module.reset()


def _uniform(weight: Tensor, inputs: int) -> None:
    with torch.no_grad():
        nn.init.uniform_(weight, -(inputs**-0.5), inputs**-0.5)
