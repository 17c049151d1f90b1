"""Depth as the policy sees it: metres, clipped to what the contract names, on a scale of 15 bits.

    0            nothing was measured there
    1 .. 32767   from `near` to `far`, both included; what is nearer or farther counts as the end

15 bits, and not 16, because readers of other people's tools hold 16-bit PNGs as signed numbers. Over 3 m a step is
0.09 mm. The same codes are recorded, learnt from and seen by a running policy.
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

NEAREST, FARTHEST = 1, 32767

Codes = NDArray[np.uint16]


def encode_depth(metres: NDArray[np.floating], near: float, far: float) -> Codes:
    """Codes [h, w, 1] of distances [h, w] in metres.

    Zero, negative numbers and NaN are no measurement; +inf is beyond `far` and -inf nearer than `near`, as ROS has it
    (REP 117).
    """
    x = np.asarray(metres, np.float32)
    measured = (x > 0) | np.isneginf(x)
    share = (np.clip(np.where(measured, x, near), near, far) - near) / (far - near)
    codes = np.rint(share * (FARTHEST - NEAREST)).astype(np.uint16) + np.uint16(NEAREST)
    return np.asarray(np.where(measured, codes, 0), np.uint16)[..., None]


def decode_depth(codes: Codes, near: float, far: float) -> NDArray[np.float32]:
    """Metres, of the same shape; NaN where nothing was measured."""
    share = (codes.astype(np.float32) - NEAREST) / (FARTHEST - NEAREST)
    return np.asarray(np.where(codes == 0, np.nan, near + share * (far - near)), np.float32)


def fit_depth(codes: NDArray[Any], width: int, height: int) -> NDArray[Any]:
    """Codes, or distances, [h, w, 1] in [height, width, 1].

    Each place gets the nearest pixel: the mean of two distances, or of one and none, is nothing that was there.
    """
    h, w = codes.shape[:2]
    if (w, h) == (width, height):
        return codes
    rows = (np.arange(height) * 2 + 1) * h // (2 * height)
    columns = (np.arange(width) * 2 + 1) * w // (2 * width)
    return np.ascontiguousarray(codes[rows[:, None], columns])


def is_depth(image: NDArray[Any]) -> bool:
    """Whether a picture is one of depth codes."""
    return image.dtype == np.uint16


def as_rgb(image: NDArray[Any]) -> NDArray[np.uint8]:
    """For people: a picture in colours as it is; depth as grey, near bright and far dark, black where nothing is."""
    if not is_depth(image):
        return image
    grey = np.where(image == 0, 0, 255 - (image.astype(np.int32) * 215 // FARTHEST)).astype(np.uint8)
    return np.asarray(cv2.cvtColor(grey.reshape(image.shape[:2]), cv2.COLOR_GRAY2RGB), np.uint8)
