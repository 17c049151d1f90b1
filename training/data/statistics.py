"""Statistics of what was converted: exact and mergeable for images, exact for vectors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

QUANTILES = (0.01, 0.10, 0.50, 0.90, 0.99)
# Of every counted image each PIXEL_STEP-th pixel both ways: the histogram of thousands of images hardly changes.
PIXEL_STEP = 4


class ImageHistogram:
    """How often each byte occurs in each of three channels."""

    def __init__(self, counts: NDArray[np.int64] | None = None, images: int = 0) -> None:
        self.counts = np.zeros((3, 256), np.int64) if counts is None else counts
        self.images = images

    def add(self, image: NDArray[np.uint8]) -> None:
        """image: [height, width, 3]."""
        sample = image[::PIXEL_STEP, ::PIXEL_STEP]
        for channel in range(3):
            self.counts[channel] += np.bincount(sample[..., channel].ravel(), minlength=256)
        self.images += 1

    def statistics(self) -> dict[str, list[Any]]:
        """LeRobot's statistics of an image feature: each [3][1][1], of pixels in 0 to 1."""
        total = self.counts.sum(axis=1, keepdims=True)
        values = np.arange(256)
        mean = (self.counts * values).sum(axis=1) / total[:, 0]
        spread = np.sqrt(np.maximum((self.counts * values**2).sum(axis=1) / total[:, 0] - mean**2, 0.0))
        present = self.counts > 0
        found = {'min': present.argmax(axis=1), 'max': 255 - present[:, ::-1].argmax(axis=1)}
        found |= {'mean': mean, 'std': spread}
        reached = np.cumsum(self.counts, axis=1)
        for quantile in QUANTILES:
            found[_name(quantile)] = (reached >= quantile * total).argmax(axis=1)
        scaled = {name: (np.asarray(value) / 255.0).reshape(3, 1, 1).tolist() for name, value in found.items()}
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
