"""EDM diffusion (Karras et al. 2022): scalings, schedule and sampler, as pure functions.

The scalings exist here once and serve the training loss and inference alike. Noise levels are in units of the
normalised actions.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from itertools import pairwise
from typing import NamedTuple

import torch
from torch import Tensor

from mode_ros.errors import UserError
from mode_ros.policy.config import DiffusionConfig, Solver
from mode_ros.policy.continuation import Known
from mode_ros.policy.denoiser import Denoiser
from mode_ros.policy.guidance import differentiable, guided

# (noisy chunk, index of the noise level in the schedule) → denoised chunk. An index rather than the level itself, so
# that a fast path can look up what it prepared for the level without comparing floats.
Denoise = Callable[[Tensor, int], Tensor]
OnStep = Callable[[int, Tensor], None]
# (denoise, x, sigmas, on_step) → chunk; see ddim.
Solve = Callable[[Denoise, Tensor, Tensor, 'OnStep | None'], Tensor]


class Scalings(NamedTuple):
    """Factors of the EDM parametrisation: denoised = skip·x + out·F(into·x, σ)."""

    skip: Tensor
    out: Tensor
    into: Tensor


def scalings(sigma: Tensor, sigma_data: float) -> Scalings:
    """c_skip, c_out and c_in (EDM, table 1) for noise levels of any shape."""
    variance = sigma**2 + sigma_data**2
    return Scalings(sigma_data**2 / variance, sigma * sigma_data / variance.sqrt(), variance.rsqrt())


def exponential_schedule(steps: int, sigma_min: float, sigma_max: float) -> Tensor:
    """`steps` levels equally spaced in ln σ from sigma_max down to sigma_min, then 0: [steps + 1], on the CPU."""
    _check_steps(steps)
    levels = torch.linspace(math.log(sigma_max), math.log(sigma_min), steps, dtype=torch.float64).exp()
    return torch.cat([levels, levels.new_zeros(1)]).float()


def karras_schedule(steps: int, sigma_min: float, sigma_max: float, rho: float = 7.0) -> Tensor:
    """`steps` levels equally spaced in σ^(1/rho) (EDM, equation 5), then 0: [steps + 1], on the CPU."""
    _check_steps(steps)
    ends = torch.tensor([sigma_max, sigma_min], dtype=torch.float64) ** (1 / rho)
    levels = torch.linspace(float(ends[0]), float(ends[1]), steps, dtype=torch.float64) ** rho
    return torch.cat([levels, levels.new_zeros(1)]).float()


def schedule(config: DiffusionConfig) -> Tensor:
    """The configured noise levels, falling, the last one 0: [N + 1], on the CPU."""
    spaced = karras_schedule if config.schedule == 'karras' else exponential_schedule
    return spaced(config.steps, config.sigma_min, config.sigma_max)


def _check_steps(steps: int) -> None:
    if steps < 1:
        raise UserError(f'The number of denoising steps is {steps}, and must be at least 1.')


def ddim(denoise: Denoise, x: Tensor, sigmas: Tensor, on_step: OnStep | None = None) -> Tensor:
    """Deterministic DDIM from sigmas[0] to sigmas[-1]: x ← (σ'/σ)·x + (1 − σ'/σ)·denoise(x, step).

    x: [B, A, d], noise of standard deviation sigmas[0]; sigmas: [N + 1], falling, on the CPU (on a GPU, reading it
    would make the host wait). on_step(step, x) is called after each step and may raise to stop.
    """
    levels = sigmas.tolist()
    for step, (sigma, following) in enumerate(pairwise(levels)):
        kept = following / sigma
        x = kept * x + (1 - kept) * denoise(x, step)
        if on_step is not None:
            on_step(step, x)
    return x


def dpmpp_2m(denoise: Denoise, x: Tensor, sigmas: Tensor, on_step: OnStep | None = None) -> Tensor:
    """DPM-Solver++(2M), Lu et al. 2022, algorithm 2, for noise that is added to the data (α = 1). As ddim.

    The denoised chunk is extrapolated from the last two levels, at no further cost. The first step has no level before
    it, and the step to 0 is infinitely long in ln σ: both are DDIM's.
    """
    levels = sigmas.tolist()
    before: Tensor | None = None
    for step, (sigma, following) in enumerate(pairwise(levels)):
        denoised = denoise(x, step)
        towards = denoised
        if before is not None and following > 0:
            ratio = math.log(levels[step - 1] / sigma) / math.log(sigma / following)
            towards = denoised + (denoised - before) / (2 * ratio)
        kept = following / sigma
        x = kept * x + (1 - kept) * towards
        before = denoised
        if on_step is not None:
            on_step(step, x)
    return x


SOLVERS: Mapping[Solver, Solve] = {'ddim': ddim, 'dpmpp_2m': dpmpp_2m}


def initial_noise(batch: int, chunk_length: int, action_dim: int, generator: torch.Generator | None = None) -> Tensor:
    """Standard normal [batch, A, d] in float32. Drawn on the CPU, so that a seed means the same on every device."""
    return torch.randn(batch, chunk_length, action_dim, generator=generator)


def denoise_plain(
    denoiser: Denoiser,
    x: Tensor,
    sigma: Tensor,
    goal: Tensor,
    images: Tensor | None,
    state: Tensor | None,
    sigma_data: float,
    known: Known | None = None,
) -> Tensor:
    """Denoised chunk by the full network: c_skip·x + c_out·F(c_in·x, σ). x: [B, A, d], sigma: [B] → [B, A, d].

    known: what the chunk continues; it is put into what comes out, and clean actions into what goes in.
    """
    c = scalings(sigma.view(-1, 1, 1), sigma_data)
    shown, clean = c.into * x, None if known is None else known.clean
    if known is not None and clean is not None:
        shown = torch.where(clean.unsqueeze(-1), known.target / sigma_data, shown)
    denoised = c.skip * x + c.out * denoiser(shown, sigma, goal, images, state, committed=clean).raw
    return denoised if known is None else torch.lerp(denoised, known.target, known.weight)


@torch.inference_mode()
def sample_plain(
    denoiser: Denoiser,
    config: DiffusionConfig,
    noise: Tensor,
    goal: Tensor,
    images: Tensor | None = None,
    state: Tensor | None = None,
    on_step: OnStep | None = None,
    known: Known | None = None,
    guidance: float | None = None,
) -> Tensor:
    """A chunk by the full network at every step: slow and obvious, the oracle for mode_ros.policy.inference.

    noise: [B, A, d], standard normal → [B, A, d], normalised actions; known: what the chunk continues; guidance: not
    put into the estimate, but with this largest weight (mode_ros.policy.guidance).
    """
    sigmas = schedule(config)

    def denoise(x: Tensor, step: int) -> Tensor:
        sigma = sigmas[step].to(x).expand(len(x))
        return denoise_plain(denoiser, x, sigma, goal, images, state, config.sigma_data, known)

    def denoise_guided(x: Tensor, step: int) -> Tensor:
        assert known is not None
        assert guidance is not None
        sigma = differentiable(sigmas[step].to(x).expand(len(x)))
        seen = [None if each is None else differentiable(each) for each in (images, state)]

        def free(y: Tensor) -> Tensor:
            return denoise_plain(denoiser, y, sigma, differentiable(goal), seen[0], seen[1], config.sigma_data)

        return guided(free, x, float(sigmas[step]), config.sigma_data, known, guidance)

    if known is not None and guidance is not None:
        denoise = denoise_guided

    return SOLVERS[config.solver](denoise, noise * sigmas[0].to(noise), sigmas, on_step)
