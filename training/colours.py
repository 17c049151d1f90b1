"""Other light and other cameras: brightness, contrast and saturation of a picture changed at random, bytes to bytes."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

# How much of red, green and blue a grey level is (ITU-R BT.601).
GREY = np.array([0.299, 0.587, 0.114])

Factors = NDArray[np.float64]
"""[b, 3]: brightness, contrast and saturation of each picture; 1 leaves it as it is."""


def draw_factors(generator: np.random.Generator, count: int, most: tuple[float, float, float]) -> Factors:
    """[count, 3] factors, each evenly between 1 − most and 1 + most; most: of brightness, contrast, saturation."""
    return 1 + np.asarray(most) * generator.uniform(-1, 1, (count, 3))


def change_colours(images: NDArray[np.uint8], factors: Factors) -> NDArray[np.uint8]:
    """Pictures [b, H, W, 3] RGB with their factors applied, rounded once and cut at 0 and 255.

    Saturation moves each colour away from its grey, contrast everything away from the picture's mean grey, brightness
    multiplies. All three together are one matrix per picture.
    """
    changed = np.empty_like(images)
    for image, factor, target in zip(images, factors, changed, strict=True):
        cv2.transform(image, colour_matrix(image, factor), dst=target)
    return changed


def colour_matrix(image: NDArray[np.uint8], factors: Factors) -> NDArray[np.float64]:
    """[3, 4]: what makes of (red, green, blue, 1) the new colour."""
    brightness, contrast, saturation = factors
    mean = float(GREY @ np.asarray(cv2.mean(image))[:3])
    mixed = saturation * np.eye(3) + (1 - saturation) * np.broadcast_to(GREY, (3, 3))
    shift = np.full((3, 1), (1 - contrast) * brightness * mean)
    return np.hstack([contrast * brightness * mixed, shift])
