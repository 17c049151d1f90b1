"""Random weights on disk for measuring: as large as real ones, and every part has a say in the output."""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors.torch import save_file

from mode_ros.policy.config import DenoiserConfig
from mode_ros.policy.denoiser import Denoiser
from mode_ros.policy.weights import meta_device

# Numbers drawn; larger tensors repeat them, shifted. Drawing hundreds of millions would take longer than measuring.
_DRAWN = 4_000_003


def make_weights(config: DenoiserConfig, path: Path, seed: int = 0) -> None:
    """Write a denoiser's tensors: normal, with deviation 1/√fan-in; norm gains are 1."""
    with meta_device():
        shapes = {name: tensor.shape for name, tensor in Denoiser(config).state_dict().items()}
    drawn = torch.randn(_DRAWN, generator=torch.Generator().manual_seed(seed))
    tensors = {}
    for number, (name, shape) in enumerate(shapes.items()):
        if name.endswith('gain'):
            tensors[name] = torch.ones(shape)
            continue
        size = shape.numel()
        shifted = drawn.roll(977 * number)
        values = shifted[:size] if size <= _DRAWN else shifted.repeat(-(-size // _DRAWN))[:size]
        fan_in = shape[-1] if len(shape) > 1 else 100  # biases: a tenth
        tensors[name] = (values * fan_in**-0.5).view(shape)
    save_file(tensors, path)
