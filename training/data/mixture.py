"""Several data sets in one training, each with its share of the samples.

# mixture.yaml; paths are relative to this file
datasets:
  - {path: drawers, weight: 2.0}
  - {path: ../libero_goal, embodiment: panda}
  - {path: from_the_hub, weight: 0.5, cameras: {static: image, wrist: wrist_image}, keys: {action: actions}}

Data of one embodiment have one scale: their statistics are pooled as they are sampled, in whatever order they are
listed. Data of another embodiment are normalised by their own.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, model_validator

from mode_ros.errors import UserError
from mode_ros.policy.normalization import Statistics
from mode_ros.settings import load_settings
from mode_ros.training.data.dataset import Dataset, Size, open_dataset
from mode_ros.training.data.pooling import pool_statistics


class MixtureItem(BaseModel):
    """One data set of a mixture."""

    model_config = ConfigDict(frozen=True, extra='forbid')

    path: str = Field(min_length=1, description='Folder of the data set, relative to the YAML file.')
    weight: float = Field(1.0, gt=0, allow_inf_nan=False, description='Its share, relative to the other weights.')
    cameras: dict[str, str] | None = Field(None, description='Name in training -> name in the data set.')
    keys: dict[str, str] = Field({}, description='Column here (action, observation.state) -> its name in the data set.')
    embodiment: str = Field('', description="Another robot's data: its name. '' is the robot that the policy runs.")
    contract: str = Field('', description="Another robot's contract, for data that carry none.")

    @model_validator(mode='after')
    def _fits_together(self) -> MixtureItem:
        if self.contract and not self.embodiment:
            raise ValueError("contract is for data of another embodiment; the policy's own is data.contract")
        return self


class MixtureConfig(BaseModel):
    """What a mixture's YAML file says."""

    model_config = ConfigDict(frozen=True, extra='forbid')

    datasets: tuple[MixtureItem, ...] = Field(min_length=1)

    @model_validator(mode='after')
    def _one_runs(self) -> MixtureConfig:
        if all(item.embodiment for item in self.datasets):
            names = sorted({item.embodiment for item in self.datasets})
            raise ValueError(f'every data set is of another embodiment ({names}): leave it out where the policy runs')
        spelt: dict[str, str] = {}
        for item in self.datasets:
            first = spelt.setdefault(' '.join(item.embodiment.lower().split()), item.embodiment)
            if first != item.embodiment:
                raise ValueError(
                    f'the embodiments {first!r} and {item.embodiment!r} would be two robots, each of its own scale: '
                    'spell one alike'
                )
        return self


def load_mixture_config(path: Path | str) -> MixtureConfig:
    """Reads a mixture; UserError names the file and every key that does not fit, and a data set that is in it twice."""
    config = load_settings(path, MixtureConfig, 'The mixture')
    known: dict[tuple[Path, str], MixtureItem] = {}
    for item in config.datasets:
        # With other cameras it is another view of the same.
        place = (Path(path).parent / item.path).resolve(), repr(sorted((item.cameras or {}).items()))
        first = known.setdefault(place, item)
        if first is not item:
            names = f'as {first.path!r} and {item.path!r}' if first.path != item.path else f'as {item.path!r}'
            raise UserError(
                f'The mixture {path} lists the data set {place[0]} twice ({names}), so that it would count twice: list '
                f'it once, with the weight {first.weight + item.weight:g}.'
            )
    return config


class Mixture(NamedTuple):
    """Data sets with weights, which sum up to 1, and each one's embodiment, '' for the robot that the policy runs.

    All give the same cameras in the same sizes, and vectors of the same lengths.
    """

    datasets: Sequence[Dataset]
    weights: NDArray[np.float64]
    embodiments: Sequence[str]


def open_mixture(
    path: Path | str,
    chunk_length: int,
    size: Size | Mapping[str, Size] | None = None,
    cache: Path | str | None = None,
) -> Mixture:
    """The mixture in a YAML file; arguments as in `open_dataset`. cache: gets a folder per data set."""
    config, base = load_mixture_config(path), Path(path).parent
    datasets = []
    for number, item in enumerate(config.datasets):
        folder = None if cache is None else Path(cache) / _cache_name(config, number)
        datasets.append(open_dataset(base / item.path, chunk_length, size, item.cameras, folder, keys=item.keys))
    _check_alike(datasets)
    weights = np.asarray([item.weight for item in config.datasets], np.float64)
    return Mixture(datasets, weights / np.sum(weights), [item.embodiment for item in config.datasets])


def embodiment_statistics(
    datasets: Sequence[Dataset],
    weights: Sequence[float],
    embodiments: Sequence[str],
    frames: Sequence[NDArray[np.int64]] | None = None,
) -> dict[str, Statistics]:
    """The statistics of each embodiment's data sets as one; frames: as for `pool_statistics`."""
    found = {}
    for name in dict.fromkeys(embodiments):
        members = [number for number, each in enumerate(embodiments) if each == name]
        contract = next((datasets[k].contract for k in members if datasets[k].contract is not None), None)
        chosen = None if frames is None else [frames[k] for k in members]
        found[name] = pool_statistics([datasets[k] for k in members], [weights[k] for k in members], contract, chosen)
    return found


def _cache_name(config: MixtureConfig, number: int) -> str:
    """A folder for the pictures of one data set, the same wherever it stands in the list."""
    path = config.datasets[number].path
    before = sum(item.path == path for item in config.datasets[:number])
    return f'{Path(path).name}-{hashlib.sha256(path.encode()).hexdigest()[:8]}' + (f'-{before}' if before else '')


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
