"""The pictures of a batch: picked, shifted and recoloured, from the cache of frames or from the device's own memory.

Both give the same pictures. From the cache a processor core bounds a training at some thousand samples a second; a GPU
that holds them all picks them itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mode_ros.errors import UserError
from mode_ros.policy.config import CameraConfig
from mode_ros.policy.images import to_tensor
from mode_ros.training.colours import GREY, Factors, change_colours
from mode_ros.training.data.dataset import Dataset

Indices = NDArray[np.int64]

# Frames that are sent to the device at once.
_AT_ONCE = 4096
# Of a GPU's free memory, what the pictures may take: the network, its gradients and a step need the rest.
_SHARE = 0.8


class Pictures(Protocol):
    """Where a batch's pictures come from."""

    def __call__(
        self, which: Indices, frames: Indices, offsets: Sequence[Indices], colours: Sequence[Factors]
    ) -> tuple[Tensor, ...]:
        """The pictures of b moments: by camera uint8 [b, 3, H, W], of depth int16 [b, 1, H, W]; channels last.

        which, frames: [b], data set and its frame; offsets: of each camera [b, 2], pixels down and to the right;
        colours: of each camera [b, 3], none: as they are.
        """


class CachedPictures:
    """From the data sets' frames, which lie in memory-mapped files."""

    def __init__(self, datasets: Sequence[Dataset], cameras: Sequence[CameraConfig]) -> None:
        self._datasets, self._cameras = datasets, cameras

    def __call__(
        self, which: Indices, frames: Indices, offsets: Sequence[Indices], colours: Sequence[Factors]
    ) -> tuple[Tensor, ...]:
        """As Pictures."""
        found = []
        for index, (camera, by) in enumerate(zip(self._cameras, offsets, strict=True)):
            images: NDArray[Any] = np.empty((len(which), *camera.shape), camera.number)
            for number in np.unique(which):
                at = np.flatnonzero(which == number)
                images[at] = self._datasets[number].frames[camera.name][frames[at]]
            if by.any():
                images = shift_images(images, by)
            if colours and not camera.depth:
                images = change_colours(images, colours[index])
            found.append(to_tensor(images).permute(0, 3, 1, 2))
        return tuple(found)


class DevicePictures:
    """From the memory of a device, which holds every frame of every data set."""

    def __init__(self, datasets: Sequence[Dataset], cameras: Sequence[CameraConfig], device: torch.device) -> None:
        """Copies them there. Raises UserError where a GPU has no room for them."""
        lengths = [len(data) for data in datasets]
        self._starts = np.concatenate([[0], np.cumsum(lengths)[:-1]]).astype(np.int64)
        self._cameras, self._device = cameras, device
        _check_room(sum(lengths), cameras, device)
        self._frames = [_copy([data.frames[camera.name] for data in datasets], device) for camera in cameras]

    def __call__(
        self, which: Indices, frames: Indices, offsets: Sequence[Indices], colours: Sequence[Factors]
    ) -> tuple[Tensor, ...]:
        """As Pictures, on the device."""
        at = send(torch.from_numpy(self._starts[which] + frames), self._device)
        found = []
        for index, (camera, held, by) in enumerate(zip(self._cameras, self._frames, offsets, strict=True)):
            images = pick_shifted(held, at, send(torch.from_numpy(by), self._device))
            if colours and not camera.depth:
                images = recolour(images, send(torch.from_numpy(colours[index]), self._device))
            found.append(images.permute(0, 3, 1, 2))
        return tuple(found)


def send(values: Tensor, device: torch.device) -> Tensor:
    """The same on a device. A GPU fetches them when it comes to them, and nobody waits for it to have done so."""
    if device.type == 'cuda' and not values.is_cuda:
        values = values.pin_memory()
    return values.to(device, non_blocking=True)


def shift_images(images: NDArray[Any], offsets: Indices) -> NDArray[Any]:
    """Each image moved by its own whole number of pixels, its edge repeated. images: [b, H, W, c]; offsets: [b, 2]."""
    height, width = images.shape[1:3]
    rows = np.clip(np.arange(height) + offsets[:, :1], 0, height - 1)
    columns = np.clip(np.arange(width) + offsets[:, 1:], 0, width - 1)
    shifted = np.empty_like(images)
    for image, row, column, target in zip(images, rows, columns, shifted, strict=True):
        np.take(image[row], column, axis=1, out=target)
    return shifted


def pick_shifted(frames: Tensor, at: Tensor, offsets: Tensor) -> Tensor:
    """shift_images of frames[at]. frames: [n, H, W, c]; at: [b]; offsets: [b, 2] → [b, H, W, c]."""
    height, width = frames.shape[1:3]
    rows = (torch.arange(height, device=at.device) + offsets[:, :1]).clamp(0, height - 1)
    columns = (torch.arange(width, device=at.device) + offsets[:, 1:]).clamp(0, width - 1)
    return frames[at[:, None, None], rows[:, :, None], columns[:, None, :]]


def recolour(images: Tensor, factors: Tensor) -> Tensor:
    """change_colours on any device, within one of 255. images: uint8 [b, H, W, 3]; factors: [b, 3]."""
    brightness, contrast, saturation = factors.float().T[..., None, None]  # [b, 1, 1] each
    grey = torch.tensor(GREY, dtype=torch.float32, device=images.device)
    pixels = images.flatten(1, 2).float()  # [b, H·W, 3]
    mean = (pixels.mean(1) @ grey)[:, None, None]
    own = saturation * torch.eye(3, device=images.device)
    matrix = contrast * brightness * (own + (1 - saturation) * grey.expand(3, 3))  # of a column (red, green, blue)
    changed = torch.baddbmm((1 - contrast) * brightness * mean, pixels, matrix.transpose(1, 2))
    return changed.round_().clamp_(0, 255).to(torch.uint8).view_as(images)


def _check_room(count: int, cameras: Sequence[CameraConfig], device: torch.device) -> None:
    if device.type != 'cuda':
        return
    needed = count * sum(int(np.prod(camera.shape)) * np.dtype(camera.number).itemsize for camera in cameras)
    free, _ = torch.cuda.mem_get_info(device)
    if needed > _SHARE * free:
        raise UserError(
            f'The pictures are {needed / 1e9:.1f} GB, and of the {free / 1e9:.1f} GB that are free on {device} they '
            f'may take {_SHARE:.0%} (data.pictures device): set data.pictures to cache, or make them smaller with '
            'policy.image_sizes.'
        )


def _copy(parts: Sequence[NDArray[Any]], device: torch.device) -> Tensor:
    """[n, H, W, c] of all parts together."""
    first = to_tensor(np.array(parts[0][:1]))
    held = torch.empty((sum(map(len, parts)), *first.shape[1:]), dtype=first.dtype, device=device)
    at = 0
    for part in parts:
        for start in range(0, len(part), _AT_ONCE):
            some = np.array(part[start : start + _AT_ONCE])  # a copy: torch takes only what it may write to
            held[at : at + len(some)] = to_tensor(some).to(device)
            at += len(some)
    return held
