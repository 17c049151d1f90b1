"""What a validation found, as pictures for TensorBoard: predicted against recorded chunks, and the experts' use.

Drawn with OpenCV, which is there anyway.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from mode_ros.policy.network import PolicyNetwork
from mode_ros.training.inspection.measure import Floats, random_inputs, route
from mode_ros.training.validation import Validation

Picture = NDArray[np.uint8]

_CELL_HEIGHT, _CELL_WIDTH, _MARGIN, _TITLE = 80, 130, 6, 16
_RECORDED, _PREDICTED, _INK, _FRAME = (0, 114, 178), (213, 94, 0), (60, 60, 60), (197, 206, 214)
_MOMENTS, _DIMENSIONS, _LEVELS = 4, 8, 48


def chunk_picture(found: Validation, names: Sequence[str]) -> Picture:
    """Recorded (blue) and predicted (red) chunks, uint8 [height, width, 3]: a row per moment, a column per dimension.

    names: of the actions' dimensions, of which the first 8 are drawn.
    """
    rows = np.unique(np.linspace(0, len(found.moments) - 1, min(_MOMENTS, len(found.moments))).round().astype(int))
    lines = []
    for row in rows:
        cells = []
        for column, name in list(enumerate(names))[:_DIMENSIONS]:
            pair = found.recorded[row, :, column], found.predicted[row, :, column]
            cells.append(_plot(pair, name))
        lines.append(np.concatenate(cells, axis=1))
    return np.concatenate(lines)


@torch.inference_mode()
def routing_picture(network: PolicyNetwork) -> Picture:
    """The experts' use over the noise levels, low to high, uint8 [height, width, 3]: layers below one another.

    Routing by what the network is shown is drawn for random inputs.
    """
    diffusion, denoiser = network.config.diffusion, network.denoiser
    grid = torch.linspace(math.log(diffusion.sigma_min), math.log(diffusion.sigma_max), _LEVELS).exp()
    inputs = None
    if not denoiser.config.routes_by_noise_alone:
        grid = grid[:: _LEVELS // 12]
        inputs = random_inputs(denoiser, 4, diffusion.sigma_data, torch.Generator().manual_seed(0))
    use = route(denoiser, grid, diffusion.sigma_data, inputs).use  # [S, L, E]
    return np.concatenate([_map(use[:, layer].T, f'layer {layer}') for layer in range(use.shape[1])])


def _plot(lines: Sequence[Floats], title: str) -> Picture:
    cell = _blank(_CELL_HEIGHT, _CELL_WIDTH, title)
    both = np.concatenate(lines)
    low, high = float(both.min()), float(both.max())
    if high - low < 1e-9:
        low, high = low - 1, high + 1
    floor = _CELL_HEIGHT - _MARGIN
    cv2.rectangle(cell, (_MARGIN, _TITLE), (_CELL_WIDTH - _MARGIN, floor), _FRAME)
    for values, colour in zip(lines, (_RECORDED, _PREDICTED), strict=True):
        across = np.linspace(_MARGIN, _CELL_WIDTH - _MARGIN, len(values))
        up = floor - (values - low) / (high - low) * (floor - _TITLE)
        points = np.stack([across, up], axis=1).round().astype(np.int32)
        cv2.polylines(cell, [points], False, colour)
    return cell


def _map(shares: Floats, title: str) -> Picture:
    """shares: [E, S] in 0 to 1."""
    heat = cv2.applyColorMap((255 * shares.clip(0, 1)).astype(np.uint8), cv2.COLORMAP_VIRIDIS)[:, :, ::-1]
    size = (6 * _LEVELS, 12 * len(shares))
    picture = _blank(_TITLE + size[1], size[0], title)
    picture[_TITLE:] = cv2.resize(np.ascontiguousarray(heat), size, interpolation=cv2.INTER_NEAREST)
    return picture


def _blank(height: int, width: int, title: str) -> Picture:
    cell = np.full((height, width, 3), 255, np.uint8)
    cv2.putText(cell, title, (_MARGIN, _TITLE - 5), cv2.FONT_HERSHEY_SIMPLEX, 0.35, _INK, 1, cv2.LINE_AA)
    return cell
