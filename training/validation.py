"""How far the policy's chunks are from the demonstrator's on held-out episodes, in the robot's units."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray

from mode_ros.policy.continuation import Known
from mode_ros.policy.diffusion import sample_plain
from mode_ros.policy.images import normalize_images
from mode_ros.policy.network import PolicyNetwork
from mode_ros.training.batches import Source
from mode_ros.training.loss import given
from mode_ros.training.settings import LossSettings

Floats = NDArray[np.float64]

# Chunks sampled at once.
_AT_ONCE = 64


@dataclass(frozen=True)
class Validation:
    """Recorded and predicted chunks of the same moments."""

    moments: tuple[tuple[int, int], ...]
    """[n] (data set, frame)."""
    recorded: Floats
    """[n, A, d], the robot's units."""
    predicted: Floats
    """[n, A, d], the robot's units."""
    padding: NDArray[np.bool_]
    """[n, A], True after the end of the demonstration, which counts for nothing here."""
    scale: Floats
    """[n, 1, d], standard deviation of the actions of the moment's embodiment; 1 where they are constant."""
    tasks: tuple[str, ...]
    """[n] the goal of each moment."""
    continued: Floats | None = None
    """[n, A, d] as `predicted`, with the first `committed` recorded actions given; None where none is ever given."""
    committed: int = 0

    @property
    def error(self) -> float:
        """Root mean square error of an action, each dimension in units of its standard deviation."""
        return float(np.sqrt(np.mean((self._difference / self.scale)[~self.padding] ** 2)))

    @property
    def free_errors(self) -> dict[str, float]:
        """As `error`, of the actions after `committed` alone: without and with those given; empty if none ever is."""
        free = ~self.padding[:, self.committed :]
        if self.continued is None or not free.any():
            return {}

        def error(predicted: Floats) -> float:
            differences = ((predicted - self.recorded) / self.scale)[:, self.committed :]
            return float(np.sqrt(np.mean(differences[free] ** 2)))

        return {'free_error': error(self.predicted), 'free_error_continued': error(self.continued)}

    @property
    def by_step(self) -> Floats:
        """[A] as `error`, for each action of the chunk."""
        squares = np.ma.array((self._difference / self.scale) ** 2, mask=self._mask)
        return np.sqrt(squares.mean(axis=(0, 2)).filled(np.nan))

    @property
    def by_dimension(self) -> Floats:
        """[d] mean absolute error in the robot's units."""
        return np.abs(self._difference)[~self.padding].mean(axis=0)

    @property
    def by_task(self) -> dict[str, float]:
        """As `error`, for each task."""
        return {
            task: float(np.sqrt(np.mean((self._difference / self.scale)[rows][~self.padding[rows]] ** 2)))
            for task in sorted(set(self.tasks))
            for rows in [np.array([each == task for each in self.tasks])]
        }

    @property
    def _difference(self) -> Floats:
        return self.predicted - self.recorded

    @property
    def _mask(self) -> NDArray[np.bool_]:
        return np.broadcast_to(self.padding[:, :, None], self.recorded.shape)


@torch.inference_mode()
def validate(
    network: PolicyNetwork, source: Source, moments: Sequence[tuple[int, int]], loss: LossSettings
) -> Validation:
    """Sample a chunk for each moment, with the solver and steps of the configuration, from the same noise each time.

    network: in eval mode. One that was trained to continue samples a second chunk, its first max_committed given.
    """
    device = network.denoiser.position.device
    committed = network.config.denoiser.max_committed
    predicted, recorded, padding, continued = [], [], [], []
    for start in range(0, len(moments), _AT_ONCE):
        chosen = moments[start : start + _AT_ONCE]
        batch = source.moments(chosen, loss).to(device)
        images = [normalize_images(each).contiguous(memory_format=torch.channels_last) for each in batch.images]
        features = network.encode_images(images, batch.goal)
        sample = partial(
            sample_plain,
            network.denoiser,
            network.config.diffusion,
            batch.draws.noise,
            batch.goal,
            features,
            batch.state,
        )
        predicted.append(source.action_units(chosen, sample()))
        if committed:
            clean = given(torch.full((len(chosen),), committed, device=device), batch.actions.shape[1])
            known = Known(batch.actions, clean.unsqueeze(-1).to(batch.actions), clean)
            continued.append(source.action_units(chosen, sample(known=known)))
        recorded.append(source.action_units(chosen, batch.actions))
        over = batch.padding if batch.failed is None else batch.padding | batch.failed
        padding.append(over.cpu().numpy())
    deviations = np.array([source.deviation(number) for number in range(len(source.datasets))])
    deviation = deviations[[data for data, _ in moments]][:, None]
    return Validation(
        tuple(moments),
        np.concatenate(recorded),
        np.concatenate(predicted),
        np.concatenate(padding),
        np.where(deviation > 0, deviation, 1.0),
        tuple(source.datasets[data].goal(frame) for data, frame in moments),
        np.concatenate(continued) if committed else None,
        committed,
    )
