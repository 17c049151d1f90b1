"""Camera images as the image encoders take them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

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


# The code of depth that means the farthest, or beyond, as mode_ros.control.depth gives them: the network sees 1 there.
DEPTH_FARTHEST = 32767


def normalize_images(images: Tensor) -> Tensor:
    """uint8 [..., 3, H, W], red first → float32 of the same shape with CLIP's mean and deviation taken out.

    Codes of depth, int16 [..., 1, H, W], become [..., 3, H, W]: the same share of the range, 0 to 1, in all three.
    """
    scale = DEPTH_FARTHEST if images.shape[-3] == 1 else 255
    mean, std = (_by_channel(values, images.device) * scale for values in (IMAGE_MEAN, IMAGE_STD))
    return (images.float() - mean) / std


def _by_channel(values: Sequence[float], device: torch.device) -> Tensor:
    """[3, 1, 1], filled on the device: a step that is recorded cannot take numbers from the host."""
    import torch

    return torch.cat([torch.full((1, 1, 1), value, device=device) for value in values])


def to_tensor(pixels: NDArray[Any]) -> Tensor:
    """Pictures as torch takes them: codes of depth, of 15 bits, as int16, which every device can convert."""
    import torch

    return torch.from_numpy(pixels.view(np.int16) if pixels.dtype == np.uint16 else pixels)


def check_image(image: NDArray[Any], camera: CameraConfig) -> None:
    """Raise UserError unless `image` is uint8 [H, W, 3], or uint16 [H, W, 1] of depth, of the camera's size."""
    if image.shape != camera.shape or image.dtype != camera.number:
        what = 'code of depth' if camera.depth else 'red-green-blue'
        raise UserError(
            f'The image of camera {camera.name!r} is {image.dtype} of shape {tuple(image.shape)}, but the policy takes '
            f'{camera.number} of shape {camera.shape} (height, width, {what}): resize and convert it as the contract '
            'says.'
        )


def image_to_tensor(image: NDArray[Any], camera: CameraConfig, device: torch.device | str = 'cpu') -> Tensor:
    """uint8 [H, W, 3] RGB, or codes of depth, at the configured size → float32 [3, H, W], normalised, on `device`.

    Raises UserError that names the camera and both sizes when the image does not fit.
    """
    check_image(image, camera)
    # A copy, because a ROS message's buffer is read-only and torch takes only writable ones. Sent as bytes: a quarter.
    return normalize_images(to_tensor(image.transpose(2, 0, 1).copy()).to(device))
