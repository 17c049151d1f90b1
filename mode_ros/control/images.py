"""The one way in which images are brought to the policy's size: recorded, converted and live ones alike."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray


def fit(image: NDArray[np.uint8], width: int, height: int) -> NDArray[np.uint8]:
    """`image` [h, w, 3] resized to [height, width, 3] (stretched; the published trainings have square pictures).

    Shrinking averages over areas, so that thin objects do not vanish between sampled pixels; growing interpolates.
    An image of the right size is returned as it is, not copied.
    """
    h, w = image.shape[:2]
    if (w, h) == (width, height):
        return image
    shrinking = width <= w and height <= h
    resized = cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA if shrinking else cv2.INTER_LINEAR)
    return np.asarray(resized, dtype=np.uint8)
