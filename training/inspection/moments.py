"""Recorded moments of a data set as a checkpoint's denoiser is given them, and the same some frames later."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from mode_ros.control.contract import differences, parse_contract
from mode_ros.errors import UserError
from mode_ros.policy.checkpoint import CheckpointInfo
from mode_ros.policy.images import normalize_images
from mode_ros.policy.language import TextEncoder, build_text_encoder
from mode_ros.policy.network import PolicyNetwork
from mode_ros.training.batches import Source
from mode_ros.training.data.dataset import open_dataset
from mode_ros.training.settings import DataSettings, LossSettings

# Moments, evenly from the episodes; twice as many take twice as long, and change no number by much.
MOMENTS = 256


class Recorded(NamedTuple):
    """n moments."""

    goal: Tensor  # [n, goal_dim]
    images: Tensor | None  # [n, C, image_dim]
    state: Tensor | None  # [n, state_dim]
    actions: Tensor  # [n, A, d], normalised
    padding: Tensor  # [n, A], bool
    noise: Tensor  # [n, A, d]


def open_moments(
    info: CheckpointInfo,
    network: PolicyNetwork,
    data_set: Path,
    encoder: TextEncoder | None = None,
    furthest: int = 8,
) -> tuple[Callable[[int], Recorded], Sequence[bool]]:
    """What reads the moments so many frames after the chosen ones, at most `furthest`; and which actions are
    displacements, [d].

    They are from the episodes that a training with seed 0 and the usual share holds out, or from all where that leaves
    none. Raises UserError for a data set of another robot, and where no episode is long enough.
    """
    config = info.config
    data = open_dataset(data_set, config.denoiser.chunk_length)
    if data.contract is None:
        raise UserError(f'The data set {data_set} does not say which robot it is from: convert it with its contract.')
    other = differences(parse_contract(info.contract_text, "of the checkpoint's training"), data.contract)
    if other:
        listed = '\n'.join(f'  {line}' for line in other)
        raise UserError(f"The data set {data_set} is from a robot that differs from the checkpoint's:\n{listed}")
    settings = DataSettings(path=str(data_set))
    source = Source([data], [1.0], config, encoder or build_text_encoder(config.text_encoder), settings, seed=0)
    every = np.arange(len(data))
    episodes = np.searchsorted(data.episode_starts, every, side='right') - 1
    within = every + furthest + config.denoiser.chunk_length < data.episode_ends
    held = source.held_out[0][episodes]
    chosen = every[within & held] if (within & held).any() else every[within]
    if not len(chosen):
        raise UserError(
            f'No episode of {data_set} is longer than {furthest + config.denoiser.chunk_length} frames, as two chunks '
            'of which one continues the other need.'
        )
    chosen = chosen[np.unique(np.linspace(0, len(chosen) - 1, MOMENTS).round().astype(int))]

    @torch.inference_mode()
    def read(later: int) -> Recorded:
        batch = source.moments([(0, int(frame) + later) for frame in chosen], LossSettings())
        images = [normalize_images(each) for each in batch.images]
        features = network.encode_images(images, batch.goal)
        return Recorded(batch.goal, features, batch.state, batch.actions, batch.padding, batch.draws.noise)

    return read, [bool(each) for each in data.contract.delta_mask]
