"""How far a chunk of few denoising steps is from one of 200, per solver and schedule."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import get_args

import torch

from mode_ros.bench.measure import relative_rms
from mode_ros.bench.variants import Inputs, make_inputs
from mode_ros.policy.checkpoint import load_checkpoint
from mode_ros.policy.config import DiffusionConfig, Schedule, Solver
from mode_ros.policy.denoiser import Denoiser
from mode_ros.policy.inference import ChunkSampler

STEPS = (2, 3, 4, 5, 6, 8, 10, 15, 20)
REFERENCE = DiffusionConfig(steps=200)
# Chunks that the error is taken over.
_CHUNKS = 16


@dataclass(frozen=True)
class SolverError:
    """RMS distance from the reference's actions over their spread."""

    solver: Solver
    schedule: Schedule
    steps: int
    error: float


def solver_errors(checkpoint: Path, device: str) -> tuple[list[SolverError], int]:
    """Errors for every solver, schedule and step count, and how many steps the checkpoint was trained.

    On standard normal observations, in normalised actions. The reference is DDIM in 200 steps from the same noise.
    """
    info, network = load_checkpoint(checkpoint, device)
    inputs = make_inputs(network.denoiser.config, _CHUNKS, device)
    return errors_of(network.denoiser, info.config.diffusion, inputs), info.trained_steps


def errors_of(denoiser: Denoiser, diffusion: DiffusionConfig, inputs: Inputs) -> list[SolverError]:
    """As solver_errors, of a denoiser in memory; the noise levels' range is `diffusion`'s."""

    def chunk(**changes: object) -> torch.Tensor:
        sampler = ChunkSampler(denoiser, DiffusionConfig.model_validate(diffusion.model_dump() | changes))
        prefix = sampler.read_observation(sampler.read_goal(inputs.goal), inputs.images, inputs.state)
        return sampler.sample(prefix, inputs.noise)

    expected = chunk(steps=REFERENCE.steps, solver='ddim', schedule='exponential')
    return [
        SolverError(solver, spaced, steps, relative_rms(chunk(steps=steps, solver=solver, schedule=spaced), expected))
        for solver in get_args(Solver)
        for spaced in get_args(Schedule)
        for steps in STEPS
    ]
