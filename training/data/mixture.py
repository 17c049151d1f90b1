"""Several data sets in one training, each with its share of the samples and normalised on its own.

# mixture.yaml; paths are relative to this file
datasets:
  - {path: drawers, weight: 2.0}
  - {path: ../libero_goal, cameras: {static: static, wrist: wrist}}
  - {path: from_the_hub, weight: 0.5, cameras: {static: image, wrist: wrist_image}}
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from mode_ros.errors import UserError
from mode_ros.policy.config import Normalization
from mode_ros.policy.normalization import Normalizer, build_normalizer, build_state_normalizer
from mode_ros.settings import load_settings
from mode_ros.training.data.dataset import Dataset, Sample, open_dataset


class MixtureItem(BaseModel):
    """One data set of a mixture."""

    model_config = ConfigDict(frozen=True, extra='forbid')

    path: str = Field(min_length=1, description='Folder of the data set, relative to the YAML file.')
    weight: float = Field(1.0, gt=0, allow_inf_nan=False, description='Its share, relative to the other weights.')
    cameras: dict[str, str] | None = Field(None, description='Name in training -> name in the data set.')


class MixtureConfig(BaseModel):
    """What a mixture's YAML file says."""

    model_config = ConfigDict(frozen=True, extra='forbid')

    datasets: tuple[MixtureItem, ...] = Field(min_length=1)


def load_mixture_config(path: Path | str) -> MixtureConfig:
    """Reads a mixture; UserError names the file and every key that does not fit."""
    return load_settings(path, MixtureConfig, 'The mixture')


class Mixture:
    """Data sets with weights. All give the same cameras in the same sizes, and vectors of the same lengths."""

    def __init__(self, datasets: Sequence[Dataset], weights: Sequence[float], method: Normalization) -> None:
        """method: how each data set is normalised with its own statistics."""
        self.datasets = list(datasets)
        self.weights = np.asarray(weights, np.float64) / np.sum(weights)
        self._action: list[Normalizer] = [build_normalizer(data.statistics.action, method) for data in datasets]
        self._state = [build_state_normalizer(data.statistics.state, tuple(data.streams), method) for data in datasets]
        _check_alike(self.datasets)

    def __len__(self) -> int:
        """Frames in all data sets."""
        return sum(len(data) for data in self.datasets)

    def batches(self, size: int, seed: int, start: int = 0) -> Iterator[tuple[NDArray[np.int64], Sample]]:
        """Endless batches of `size` normalised samples, and which data set each comes from [size].

        The same seed gives the same batches; `start` skips that many, as when a training goes on.
        """
        number = start
        while True:
            generator = np.random.default_rng((seed, number))
            yield self.draw(size, generator)
            number += 1

    def draw(self, size: int, generator: np.random.Generator) -> tuple[NDArray[np.int64], Sample]:
        """One batch: data sets by weight, frames of each evenly; grouped by data set."""
        which = np.sort(generator.choice(len(self.datasets), size, p=self.weights)).astype(np.int64)
        parts = []
        for number, data in enumerate(self.datasets):
            count = int((which == number).sum())
            if count:
                parts.append(self.normalize(number, data.batch(generator.integers(len(data), size=count))))
        return which, _join(parts)

    def normalize(self, number: int, sample: Sample) -> Sample:
        """A sample of data set `number` in the network's numbers; images stay bytes."""
        normalizer = self._state[number]
        state = sample.state if normalizer is None else normalizer.normalize(sample.state).astype(np.float32)
        actions = self._action[number].normalize(sample.actions).astype(np.float32)
        return replace(sample, state=state, actions=actions)


def open_mixture(
    path: Path | str,
    chunk_length: int,
    size: tuple[int, int] | None = None,
    method: Normalization = 'mean_std',
    cache: Path | str | None = None,
) -> Mixture:
    """The mixture in a YAML file; arguments as in `open_dataset`. cache: gets a folder per data set."""
    config, base = load_mixture_config(path), Path(path).parent
    datasets = []
    for number, item in enumerate(config.datasets):
        folder = None if cache is None else Path(cache) / f'{number:02d}'
        datasets.append(open_dataset(base / item.path, chunk_length, size, item.cameras, folder))
    return Mixture(datasets, [item.weight for item in config.datasets], method)


def _check_alike(datasets: Sequence[Dataset]) -> None:
    first = _shape(datasets[0])
    for data in datasets[1:]:
        found = _shape(data)
        for what, value in found.items():
            if value != first[what]:
                raise UserError(
                    f'{data.files.root} and {datasets[0].files.root} cannot be mixed: {what} {value}, '
                    f'not {first[what]}. '
                    'Set `cameras` in the mixture, give one size, or leave one of them out.'
                )


def _shape(data: Dataset) -> Mapping[str, object]:
    return {
        'the cameras are': {name: list(frames.shape[1:3]) for name, frames in sorted(data.frames.items())},
        'the numbers in an action are': data.actions.shape[1],
        'the numbers in a state are': data.state.shape[1],
    }


def _join(parts: Sequence[Sample]) -> Sample:
    return Sample(
        {name: np.concatenate([part.images[name] for part in parts]) for name in parts[0].images},
        np.concatenate([part.state for part in parts]),
        np.concatenate([part.actions for part in parts]),
        np.concatenate([part.padding for part in parts]),
        [goal for part in parts for goal in part.goal],
    )
