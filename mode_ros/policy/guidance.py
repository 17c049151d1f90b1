"""Continuing a plan by guidance: the denoised estimate is drawn towards it along its own gradient.

The form of real-time chunking (arXiv 2506.07339, equation 2, after ΠGDM) for noise that is added to the data. It takes
the network's gradient at every step, so only the plain path has it; it is there to compare with.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from mode_ros.policy.continuation import Known


def guided(
    denoise: Callable[[Tensor], Tensor], x: Tensor, sigma: float, sigma_data: float, known: Known, largest: float
) -> Tensor:
    """D(x) + s·∂D/∂xᵀ·W·(y − D(x)) with s = min(β·σ/σ_data, 1 + σ²/σ_data²). x: [B, A, d] → [B, A, d].

    denoise: D at this noise level, on tensors that gradients can be taken of; known: y (target) and W (weight);
    largest: β. Without the limit, s is ΠGDM's for data of the deviation σ_data, and the first steps would overshoot.
    """
    relative = sigma / sigma_data
    strength = min(largest * relative, 1 + relative**2)
    with torch.inference_mode(False), torch.enable_grad():
        x = x.clone().requires_grad_()
        denoised = denoise(x)
        error = (known.target - denoised.detach()) * known.weight
        (gradient,) = torch.autograd.grad(denoised, x, error)
    return denoised.detach() + strength * gradient


def differentiable(tensor: Tensor) -> Tensor:
    """A copy that gradients can be taken through, also of a tensor that was made in inference mode."""
    with torch.inference_mode(False):
        return tensor.clone()
