"""Camera images as the image encoders take them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from mode_ros.errors import UserError
from mode_ros.policy.config import CameraConfig

if TYPE_CHECKING:  # imported where it is used: a robot may have none
    import torch
    from torch import Tensor

# CLIP's, which the published encoders were trained with. Red, green, blue, for values in [0, 1].
IMAGE_MEAN = (0.48145466, 0.4578275, 0.40821073)
IMAGE_STD = (0.26862954, 0.26130258, 0.27577711)


def normalize_images(images: Tensor) -> Tensor:
    """uint8 [..., 3, H, W], red first → float32 of the same shape with CLIP's mean and deviation taken out."""
    import torch

    mean = torch.tensor(IMAGE_MEAN, device=images.device).view(3, 1, 1) * 255
    std = torch.tensor(IMAGE_STD, device=images.device).view(3, 1, 1) * 255
    return (images.float() - mean) / std


def check_image(image: NDArray[np.uint8], camera: CameraConfig) -> None:
    """Raise UserError unless `image` is uint8 [H, W, 3] of the camera's configured size."""
    expected = (camera.height, camera.width, 3)
    if image.shape != expected or image.dtype != np.uint8:
        raise UserError(
            f'The image of camera {camera.name!r} is {image.dtype} of shape {tuple(image.shape)}, but the policy takes '
            f'uint8 of shape {expected} (height, width, red-green-blue): resize and convert it as the contract says.'
        )


def image_to_tensor(image: NDArray[np.uint8], camera: CameraConfig, device: torch.device | str = 'cpu') -> Tensor:
    """uint8 [H, W, 3] RGB at the configured size → float32 [3, H, W], normalised, on `device`.

    Raises UserError that names the camera and both sizes when the image does not fit.
    """
    import torch

    check_image(image, camera)
    # A copy, because a ROS message's buffer is read-only and torch takes only writable ones. Sent as bytes: a quarter.
    return normalize_images(torch.from_numpy(image.transpose(2, 0, 1).copy()).to(device))
