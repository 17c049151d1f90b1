"""Between the robot's units and the numbers the network works in, per stream."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from mode_ros.errors import UserError
from mode_ros.policy.config import Normalization, explain

Floats = NDArray[np.float64]

# A spread below this, relative to the dimension's magnitude, is a constant: dividing by it would turn rounding noise
# into large numbers.
_CONSTANT = 1e-6
# How far beyond the smallest and largest value of the data an input may go, in units of the scale.
_MARGIN = 2.0


class StreamStatistics(BaseModel):
    """What the training data looked like, per dimension, in the robot's units."""

    model_config = ConfigDict(frozen=True, extra='forbid')

    min: tuple[float, ...]
    max: tuple[float, ...]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    q01: tuple[float, ...] = Field(description='1st percentile')
    q99: tuple[float, ...] = Field(description='99th percentile')
    floor: tuple[float, ...] = Field(default=(), description='smallest spread to scale by; none in policies of before')

    @model_validator(mode='after')
    def _fits_together(self) -> StreamStatistics:
        if not self.min:
            raise ValueError('a stream has at least one dimension')
        for name in type(self).model_fields:
            values = getattr(self, name)
            if name == 'floor' and not values:
                continue
            if len(values) != len(self.min):
                raise ValueError(f'{name} has {len(values)} numbers, but min has {len(self.min)}')
            if not all(map(math.isfinite, values)):
                raise ValueError(f'{name} has a number that is not finite: {list(values)}')
        for low, high in (('min', 'max'), ('q01', 'q99')):
            if any(a > b for a, b in zip(getattr(self, low), getattr(self, high), strict=True)):
                raise ValueError(f'{low} is above {high} in some dimension')
        for name in ('std', 'floor'):
            if any(s < 0 for s in getattr(self, name)):
                raise ValueError(f'{name} has a number below 0')
        return self

    @property
    def dim(self) -> int:
        """Numbers in the stream."""
        return len(self.min)

    @classmethod
    def of(cls, values: ArrayLike) -> StreamStatistics:
        """Statistics of samples [n, dim], n at least 1."""
        x = np.asarray(values, np.float64)
        if x.ndim != 2 or not x.size:
            raise UserError(f'Statistics need samples of shape [n, dim], and were given shape {list(x.shape)}.')
        q01, q99 = np.quantile(x, (0.01, 0.99), axis=0)
        columns = {'min': x.min(0), 'max': x.max(0), 'mean': x.mean(0), 'std': x.std(0), 'q01': q01, 'q99': q99}
        return cls(**{name: tuple(column.tolist()) for name, column in columns.items()})

    @classmethod
    def unit(cls, dim: int) -> StreamStatistics:
        """Statistics that change nothing: min −1, max 1, mean 0, std 1. For an untrained policy and for tests."""
        low, high = (-1.0,) * dim, (1.0,) * dim
        return cls(min=low, max=high, mean=(0.0,) * dim, std=high, q01=low, q99=high)


class Statistics(BaseModel):
    """Statistics of a data set: its actions, and each state stream by name."""

    model_config = ConfigDict(frozen=True, extra='forbid')

    action: StreamStatistics
    state: Mapping[str, StreamStatistics] = Field(default_factory=dict)

    def to_json(self) -> str:
        """As a JSON document."""
        return json.dumps(self.model_dump(mode='json'), indent=1) + '\n'

    @classmethod
    def from_values(cls, values: Any, where: str) -> Statistics:
        """From parsed JSON; `where` is the file, for the message. Raises UserError that names each wrong key."""
        try:
            return cls.model_validate(values)
        except ValidationError as error:
            raise UserError(f'{where} does not hold usable statistics: {explain(error)}.') from error


class Normalizer(NamedTuple):
    """(x − center) / scale and back, along the last dimension; before, x is clipped to [low, high] where there are."""

    center: Floats  # [dim], the robot's units
    scale: Floats  # [dim], the robot's units, above 0
    low: Floats | None = None  # [dim], the robot's units, −inf where there is no bound
    high: Floats | None = None

    def normalize(self, x: ArrayLike) -> Floats:
        """Robot's units → network's numbers; [..., dim] → [..., dim]."""
        values = np.asarray(x, np.float64)
        if self.low is not None and self.high is not None:
            values = np.clip(values, self.low, self.high)
        return (values - self.center) / self.scale

    def unnormalize(self, x: ArrayLike) -> Floats:
        """Network's numbers → robot's units; [..., dim] → [..., dim]. Not clipped: limits are the controller's job."""
        return np.asarray(x, np.float64) * self.scale + self.center


def build_normalizer(statistics: StreamStatistics, method: Normalization) -> Normalizer:
    """min_max and quantile send [min, max] and [q01, q99] to [−1, 1]; mean_std gives mean 0 and deviation 1; none
    leaves the numbers as they are.

    A spread below the statistics' floor is taken for the floor: noise is not blown up into a signal. Without a floor, a
    dimension that never changed is only shifted to 0. In both cases it comes back as the constant it was.
    """
    if method == 'none':
        return Normalizer(np.zeros(statistics.dim), np.ones(statistics.dim))
    if method == 'mean_std':
        center, spread = np.array(statistics.mean), np.array(statistics.std)
    else:
        ends = ('min', 'max') if method == 'min_max' else ('q01', 'q99')
        low, high = (np.array(getattr(statistics, end)) for end in ends)
        center, spread = (low + high) / 2, (high - low) / 2
    constant = spread <= _CONSTANT * np.maximum(1.0, np.abs(center))
    floor = np.array(statistics.floor or (0.0,) * statistics.dim)
    return Normalizer(center, np.where(floor > 0, np.maximum(spread, floor), np.where(constant, 1.0, spread)))


def build_state_normalizer(
    statistics: Mapping[str, StreamStatistics], streams: tuple[str, ...], method: Normalization
) -> Normalizer | None:
    """One normaliser for the state vector, which is the streams joined in order; None without streams.

    Where the statistics have a floor, what goes far beyond anything that was shown is clipped: the network answers for
    what it has seen, and a sensor that jumps must not become a number of a thousand.
    """
    if not streams:
        return None
    missing = [name for name in streams if name not in statistics]
    if missing:
        raise UserError(f'There are no statistics for the state stream {missing[0]!r}; there are {sorted(statistics)}.')
    parts = [_clipped(build_normalizer(statistics[name], method), statistics[name]) for name in streams]
    return Normalizer(*(np.concatenate(column) for column in zip(*parts, strict=True)))


def _clipped(normalizer: Normalizer, statistics: StreamStatistics) -> Normalizer:
    if not statistics.floor:
        nowhere = np.full(statistics.dim, np.inf)
        return normalizer._replace(low=-nowhere, high=nowhere)
    margin = _MARGIN * normalizer.scale
    return normalizer._replace(low=np.array(statistics.min) - margin, high=np.array(statistics.max) + margin)
