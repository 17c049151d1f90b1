"""How far a chunk of few denoising steps is from one of 200, and one in another number format from float32."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import get_args

import torch

from mode_ros.bench.measure import relative_rms
from mode_ros.bench.variants import Inputs
from mode_ros.policy.config import DiffusionConfig, Schedule, Solver
from mode_ros.policy.denoiser import Denoiser
from mode_ros.policy.inference import ChunkSampler
from mode_ros.policy.linear import NUMBER_FORMATS, is_available, linear_makers
from mode_ros.policy.products import products_of

STEPS = (2, 3, 4, 5, 6, 8, 10, 15, 20)
REFERENCE = DiffusionConfig(steps=200)


@dataclass(frozen=True)
class SolverError:
    """RMS distance from the reference's actions over their spread."""

    solver: Solver
    schedule: Schedule
    steps: int
    error: float


def errors_of(denoiser: Denoiser, diffusion: DiffusionConfig, inputs: Inputs) -> list[SolverError]:
    """Errors for every solver, schedule and step count, in normalised actions.

    The range of noise levels is `diffusion`'s; the reference is DDIM in 200 steps from the same noise.
    """

    def chunk(**changes: object) -> torch.Tensor:
        config = DiffusionConfig.model_validate(diffusion.model_dump() | changes)
        return _sample(ChunkSampler(denoiser, config), inputs)

    expected = chunk(steps=REFERENCE.steps, solver='ddim', schedule='exponential')
    return [
        SolverError(solver, spaced, steps, relative_rms(chunk(steps=steps, solver=solver, schedule=spaced), expected))
        for solver in get_args(Solver)
        for spaced in get_args(Schedule)
        for steps in STEPS
    ]


def format_errors(denoiser: Denoiser, diffusion: DiffusionConfig, inputs: Inputs) -> dict[str, float]:
    """RMS distance from the float32 chunk over its spread, for each other number format that the device has."""
    device = denoiser.position.device

    def chunk(number_format: str) -> torch.Tensor:
        make_products = partial(products_of, denoiser, linear_makers(number_format, device))
        return _sample(ChunkSampler(denoiser, diffusion, make_products=make_products), inputs)

    expected = chunk('float32')
    others = [name for name in NUMBER_FORMATS if name != 'float32' and is_available(name, device)]
    return {name: relative_rms(chunk(name), expected) for name in others}


def _sample(sampler: ChunkSampler, inputs: Inputs) -> torch.Tensor:
    prefix = sampler.read_observation(sampler.read_goal(inputs.goal), inputs.images, inputs.state)
    return sampler.sample(prefix, inputs.noise)
