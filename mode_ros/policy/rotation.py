"""Rotations that spread a row's outliers before it is rounded with one scale.

(x Q)(W Q)ᵀ = x Wᵀ for any orthonormal Q. So a product may be taken of rotated inputs and of weights that were rotated
once, when they were loaded. Every number is then a sum of several with changing signs: a few that are far larger than
the rest, which would set the scale of all, are shared out among their neighbours.

Q is a Hadamard matrix, as in QuaRot (Ashkboos et al. 2024) and SpinQuant (Liu et al. 2024), but block by block, and
multiplied out: the cost grows with the block, and beyond 32 inputs the error hardly falls.
"""

from __future__ import annotations

import torch
from torch import Tensor

_LARGEST = 32


def block_size(width: int) -> int:
    """How many inputs are rotated together: the largest power of two up to 32 that divides `width`. 1 leaves them."""
    return min(width & -width, _LARGEST)


def hadamard(size: int) -> Tensor:
    """[size, size], float32, ±1/√size: orthonormal, and its own transpose. size: a power of two."""
    matrix = torch.ones(1, 1)
    while len(matrix) < size:
        matrix = torch.cat([torch.cat([matrix, matrix], 1), torch.cat([matrix, -matrix], 1)])
    return matrix * size**-0.5


def rotate(rows: Tensor, block: Tensor) -> Tensor:
    """rows: [..., n·b], block: [b, b] → as the rows, new, each b numbers of them times the block."""
    return (rows.reshape(-1, len(block)) @ block).view(rows.shape)
