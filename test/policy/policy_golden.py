"""The golden files: the published implementation's outputs on weights made from names (test/data/golden)."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mode_ros.policy.config import DenoiserConfig
from mode_ros.policy.denoiser import Denoiser
from mode_ros.policy.published import convert, plan_import

FOLDER = Path(__file__).parents[1] / 'data' / 'golden'

sys.path.insert(0, str(FOLDER))
from fill import fill  # noqa: E402

TOLERANCE = 1e-4  # relative, as shared with whoever made the files


def description(name: str) -> dict[str, Any]:
    return json.loads((FOLDER / f'{name}.json').read_text())


def outputs(name: str) -> dict[str, Tensor]:
    with np.load(FOLDER / f'{name}.npz') as arrays:
        return {key: torch.from_numpy(arrays[key]) for key in arrays.files}


def weight(about: dict[str, Any], name: str) -> Tensor:
    return torch.from_numpy(fill(about['salt'] + name, tuple(about['shapes'][name])))


def random_input(about: dict[str, Any], name: str, shape: tuple[int, ...]) -> Tensor:
    values = torch.from_numpy(fill(f'{about["salt"]}input.{name}', shape))
    return values / values.std()


def config(about: dict[str, Any]) -> DenoiserConfig:
    sizes = about['config']
    return DenoiserConfig(
        action_dim=sizes['action_dim'],
        image_dim=sizes['obs_dim'],
        goal_dim=sizes['goal_dim'],
        cameras=about['images'],
        embed_dim=sizes['embed_dim'],
        layers=sizes['n_layers'],
        heads=sizes['n_heads'],
        experts=sizes['num_experts'],
        top_k=sizes['top_k'],
        chunk_length=sizes['action_seq_len'],
    )


def denoiser(about: dict[str, Any]) -> Denoiser:
    network = Denoiser(config(about)).eval()
    shapes = {f'denoiser.{name}': tensor.shape for name, tensor in network.state_dict().items()}
    plan = plan_import(about['shapes'], shapes)
    tensors = convert(plan, lambda name: weight(about, name), shapes)
    network.load_state_dict({name.removeprefix('denoiser.'): tensor for name, tensor in tensors.items()})
    return network


def assert_near(found: Tensor, expected: Tensor, tolerance: float = TOLERANCE) -> None:
    """Largest error at most `tolerance` of the largest number expected."""
    error = (found - expected).abs().max() / expected.abs().max()
    assert error <= tolerance, f'relative error {error:.2e}'
