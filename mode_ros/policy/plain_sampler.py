"""The slow path behind the fast path's interface, for denoisers that the fast path does not compute."""

from __future__ import annotations

from typing import Any, NamedTuple, Protocol

from torch import Tensor

from mode_ros.policy.config import DiffusionConfig
from mode_ros.policy.continuation import Known
from mode_ros.policy.denoiser import Denoiser
from mode_ros.policy.diffusion import sample_plain, schedule
from mode_ros.policy.stages import Interrupted, ShouldStop


class Sampler(Protocol):
    """What a Policy samples with: ChunkSampler or PlainSampler. What a call returns is for the next one alone."""

    def prepare(self, batch: int = 1) -> None:
        """Get ready for a batch size."""

    def read_goal(self, goal: Tensor) -> Any:
        """goal: [B, goal_dim]."""

    def read_observation(self, goal_prefix: Any, images: Tensor | None = None, state: Tensor | None = None) -> Any:
        """goal_prefix: what read_goal gave; images: [B, C, image_dim]; state: [B, state_dim]."""

    def begin(
        self,
        goal_prefix: Any,
        images: Tensor | None,
        state: Tensor | None,
        noise: Tensor,
        known: Known | None = None,
    ) -> tuple[Any, Tensor | None]:
        """As read_observation, and as much of the first step as goes along with that; noise, known: as for sample."""
        ...

    def sample(
        self,
        prefix: Any,
        noise: Tensor,
        should_stop: ShouldStop | None = None,
        known: Known | None = None,
        first: Tensor | None = None,
    ) -> Tensor:
        """prefix, first: what begin gave; noise: [B, A, d], standard normal; known: to continue → [B, A, d]."""
        ...


class Given(NamedTuple):
    """What the denoiser is told beside the noisy actions."""

    goal: Tensor
    images: Tensor | None = None
    state: Tensor | None = None


class PlainSampler:
    """sample_plain as a Sampler: the full network at every step, and nothing computed ahead."""

    def __init__(self, denoiser: Denoiser, diffusion: DiffusionConfig, guidance: float | None = None) -> None:
        """guidance: as sample_plain takes it."""
        self.denoiser, self.diffusion, self._guidance = denoiser, diffusion, guidance
        self._last = len(schedule(diffusion)) - 2

    def prepare(self, batch: int = 1) -> None:
        """Nothing to do."""

    def read_goal(self, goal: Tensor) -> Given:
        """goal: [B, goal_dim]."""
        return Given(goal)

    def read_observation(self, goal_prefix: Given, images: Tensor | None = None, state: Tensor | None = None) -> Given:
        """images: [B, C, image_dim] features; state: [B, state_dim], normalised."""
        return goal_prefix._replace(images=images, state=state)

    def begin(
        self,
        goal_prefix: Given,
        images: Tensor | None,
        state: Tensor | None,
        noise: Tensor,
        known: Known | None = None,
    ) -> tuple[Given, None]:
        """As read_observation: no step goes along with it."""
        return self.read_observation(goal_prefix, images, state), None

    def sample(
        self,
        prefix: Given,
        noise: Tensor,
        should_stop: ShouldStop | None = None,
        known: Known | None = None,
        first: Tensor | None = None,
    ) -> Tensor:
        """noise: [B, A, d], standard normal; known: what the chunk continues → [B, A, d], normalised actions.

        should_stop is asked before every step; once it says yes, Interrupted is raised.
        """

        def ask(step: int) -> None:
            if should_stop is not None and should_stop():
                raise Interrupted(f'stopped before denoising step {step}')

        def on_step(step: int, x: Tensor) -> None:
            if step < self._last:
                ask(step + 1)

        ask(0)
        return sample_plain(
            self.denoiser,
            self.diffusion,
            noise,
            prefix.goal,
            prefix.images,
            prefix.state,
            on_step,
            known,
            self._guidance,
        )
