"""Statistics of what was converted: exact and mergeable for images, exact for vectors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mode_ros.control.depth import FARTHEST, NEAREST

QUANTILES = (0.01, 0.10, 0.50, 0.90, 0.99)
# Of every counted image each PIXEL_STEP-th pixel both ways: the histogram of thousands of images hardly changes.
PIXEL_STEP = 4


# Of a histogram of depth: codes per bin. The first bin is 'nothing measured' and the last what is at `far` or beyond.
_DEPTH_BINS = 254
_PER_BIN = (FARTHEST - NEAREST) / _DEPTH_BINS


class ImageHistogram:
    """How often each byte occurs in each of three channels; of depth, how often codes of 256 bins do in its one."""

    def __init__(self, counts: NDArray[np.int64] | None = None, images: int = 0) -> None:
        self.counts = np.zeros((3, 256), np.int64) if counts is None else counts
        self.images = images

    @classmethod
    def of(cls, depth: bool) -> ImageHistogram:
        """An empty one."""
        return cls(np.zeros((1 if depth else 3, 256), np.int64))

    @property
    def is_depth(self) -> bool:
        return len(self.counts) == 1

    @property
    def ends(self) -> tuple[float, float]:
        """Of depth: the shares of pixels that measured nothing, and that are at the farthest or beyond."""
        total = max(1, int(self.counts.sum()))
        return float(self.counts[0, 0] / total), float(self.counts[0, -1] / total)

    def add(self, image: NDArray[Any]) -> None:
        """image: [height, width, 3], or codes of depth [height, width, 1]."""
        sample = image[::PIXEL_STEP, ::PIXEL_STEP]
        if self.is_depth:
            inside = 1 + np.minimum((sample.astype(np.int64) - NEAREST) / _PER_BIN, _DEPTH_BINS - 1).astype(np.int64)
            sample = np.where(sample == 0, 0, np.where(sample >= FARTHEST, 255, inside))
        for channel in range(len(self.counts)):
            self.counts[channel] += np.bincount(sample[..., channel].ravel(), minlength=256)
        self.images += 1

    def statistics(self) -> dict[str, list[Any]]:
        """LeRobot's statistics of an image feature: each [3][1][1], of pixels in 0 to 1; of depth [1][1][1], in codes,
        which are what a reader gets.
        """
        if self.is_depth:
            values = np.concatenate([[0.0], NEAREST + (np.arange(_DEPTH_BINS) + 0.5) * _PER_BIN, [float(FARTHEST)]])
            return self._statistics(values, 1.0)
        return self._statistics(np.arange(256, dtype=np.float64), 255.0)

    def _statistics(self, values: NDArray[np.float64], scale: float) -> dict[str, list[Any]]:
        total = self.counts.sum(axis=1, keepdims=True)
        mean = (self.counts * values).sum(axis=1) / total[:, 0]
        spread = np.sqrt(np.maximum((self.counts * values**2).sum(axis=1) / total[:, 0] - mean**2, 0.0))
        present = self.counts > 0
        found = {'min': values[present.argmax(axis=1)], 'max': values[255 - present[:, ::-1].argmax(axis=1)]}
        found |= {'mean': mean, 'std': spread}
        reached = np.cumsum(self.counts, axis=1)
        for quantile in QUANTILES:
            found[_name(quantile)] = values[(reached >= quantile * total).argmax(axis=1)]
        scaled = {name: (np.asarray(value) / scale).reshape(-1, 1, 1).tolist() for name, value in found.items()}
        return {**scaled, 'count': [self.images]}


def vector_statistics(values: NDArray[Any]) -> dict[str, list[Any]]:
    """LeRobot's statistics of a vector feature [n, dim], n at least 1: each [dim]."""
    x = np.asarray(values, np.float64)
    x = x.reshape(len(x), -1)
    found: dict[str, Any] = {'min': x.min(0), 'max': x.max(0), 'mean': x.mean(0), 'std': x.std(0)}
    for quantile, value in zip(QUANTILES, np.quantile(x, QUANTILES, axis=0), strict=True):
        found[_name(quantile)] = value
    return {**{name: value.tolist() for name, value in found.items()}, 'count': [len(x)]}


def merge_histograms(histograms: Sequence[ImageHistogram]) -> ImageHistogram:
    """The histogram of all their images."""
    return ImageHistogram(
        np.sum([histogram.counts for histogram in histograms], axis=0), sum(item.images for item in histograms)
    )


def merge_statistics(parts: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Of a picture feature, from LeRobot's statistics of parts of it, each counting with its count.

    Minimum, maximum, mean and deviation are exact; percentiles are the parts' mean, as LeRobot's own merging has them.
    """
    if not parts:
        return {}
    counts = np.array([float(np.sum(part['count'])) for part in parts])
    share = counts / counts.sum()

    def mean(values: Sequence[Any]) -> Any:
        return np.tensordot(share, np.array([np.asarray(value, np.float64) for value in values]), axes=1)

    center = mean([part['mean'] for part in parts])
    spread = mean([np.square(part['std']) + np.square(np.subtract(part['mean'], center)) for part in parts])
    found = {
        'min': np.min([part['min'] for part in parts], axis=0),
        'max': np.max([part['max'] for part in parts], axis=0),
        'mean': center,
        'std': np.sqrt(spread),
    }
    for name in map(_name, QUANTILES):
        if all(name in part for part in parts):
            found[name] = mean([part[name] for part in parts])
    return {**{name: np.asarray(value).tolist() for name, value in found.items()}, 'count': [int(counts.sum())]}


def _name(quantile: float) -> str:
    return f'q{round(quantile * 100):02d}'
