"""The policy a node runs, whatever computes its chunks: images, state and a goal sentence in, a chunk of actions in the
robot's units out.

What is the same for every runtime is here, in NumPy: what is checked and how it is scaled, how a plan is continued, and
the noise. A runtime adds _chunk.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from mode_ros.errors import UserError
from mode_ros.policy.checkpoint_info import CheckpointInfo
from mode_ros.policy.config import DenoiserConfig, DiffusionConfig, PolicyConfig, explain
from mode_ros.policy.goals import GoalCache, SentenceEncoder, normalize_sentence
from mode_ros.policy.images import check_image
from mode_ros.policy.normalization import build_normalizer, build_state_normalizer
from mode_ros.policy.plans import Continuation, KnownActions, PlanLike, PlanReader, choose_continuation
from mode_ros.policy.stages import DONE, Interrupted, OnStage, ShouldStop
from mode_ros.policy.words import ReadingEncoder

if TYPE_CHECKING:
    import torch

    Noise = np.random.Generator | torch.Generator


class Given(NamedTuple):
    """What a chunk is computed from, checked and normalised."""

    sentence: str  # as normalize_sentence gives it
    images: Sequence[NDArray[Any]]  # as check_image wants them, in the configured order
    state: NDArray[np.float32] | None  # [s]
    noise: NDArray[np.float32]  # [A, d], standard normal
    known: KnownActions | None  # what it continues


class RunningPolicy(ABC):
    """A loaded policy, ready to predict. Not for several threads at once."""

    runtime: str
    device: Any
    """Where it runs, to be told."""

    def __init__(
        self, info: CheckpointInfo, text_encoder: SentenceEncoder, device_note: str, continuation: Continuation | None
    ) -> None:
        """device_note: a sentence on where and how it runs; continuation: how a plan is continued, None: 'trained'
        where the policy was trained for it, else 'soft'. Raises UserError for what does not fit together.
        """
        if text_encoder.dim != info.config.text_encoder.dim:
            raise UserError(
                f'The text encoder gives {text_encoder.dim} numbers, but the policy takes '
                f'{info.config.text_encoder.dim}.'
            )
        if info.words is not None:
            text_encoder = ReadingEncoder(text_encoder, info.goals, info.words)
        self.info = info
        self.device_note = device_note
        self.text_encoder = text_encoder
        self._goals = GoalCache(text_encoder)
        self._actions = build_normalizer(info.statistics.action, info.config.action_normalization)
        chosen = choose_continuation(continuation, info.config.denoiser)
        self._plans = PlanReader(chosen, info.config.denoiser, self._actions, info.statistics.action)
        self._state = build_state_normalizer(
            info.statistics.state, info.config.state_streams, info.config.state_normalization
        )

    @property
    def config(self) -> PolicyConfig:
        """The policy's settings."""
        return self.info.config

    @property
    def contract_text(self) -> str:
        """The robot contract the policy was made for, as YAML text."""
        return self.info.contract_text

    @property
    def continuation(self) -> Continuation:
        """How a plan is continued."""
        return self._plans.continuation

    @property
    def fallbacks(self) -> Mapping[str, int]:
        """How many plans could not be continued so, by the reason (PlanReader)."""
        return self._plans.fallbacks

    @property
    def is_trained(self) -> bool:
        """False for random weights."""
        return self.info.trained_steps > 0

    def add_up(self, displacement: NDArray[np.bool_]) -> None:
        """Tell which numbers of an action, [d], are displacements: `rejoin` adds these up. The contract knows."""
        self._plans.displacement = np.asarray(displacement, bool)

    def embed_goal(self, text: str) -> Any:
        """A sentence's embedding, [goal_dim], on the CPU, as its encoder gives it; each distinct one is computed once.

        Raises UserError for an empty sentence.
        """
        return self._goals.embed(text)

    def warm_up(self, should_stop: ShouldStop | None = None) -> None:
        """Predict twice on a black image, so that the first real chunk does not pay for lazy set-up."""
        images = {c.name: np.zeros(c.shape, c.number) for c in self.config.cameras}
        state = np.zeros(self.config.denoiser.state_dim) if self.config.state_streams else None
        goal = next(iter(getattr(self.text_encoder, 'sentences', ())), 'warm up')  # some know a few alone
        for _ in range(2):
            self.predict(images, state, goal, np.random.default_rng(0), should_stop)

    def predict(
        self,
        images: Mapping[str, NDArray[Any]],
        state: NDArray[np.floating] | None,
        goal: str,
        generator: Noise,
        should_stop: ShouldStop | None = None,
        on_stage: OnStage | None = None,
        plan: PlanLike | None = None,
    ) -> NDArray[np.float64]:
        """One chunk, [A, d], float64, in the robot's units; not limited to what is safe, which the controller does.

        images: camera name → uint8 [H, W, 3], red-green-blue, or uint16 [H, W, 1], codes of depth, at the configured
        size, exactly the configured cameras;
        state: the state streams joined in the configured order, in the robot's units, or None for a policy without;
        generator: draws the initial noise: NumPy's, or torch's on the CPU, which differ; should_stop: asked before each
        stage and, by torch, each denoising step, after its yes Interrupted is raised; on_stage: told as each stage
        begins and at the end (mode_ros.policy.stages); plan: in the robot's units, what the chunk begins with. What of
        it is decided comes back as it is, but for `guided`.

        Raises UserError for a missing, unknown or ill-sized image or state, for an empty goal, and for a plan of
        another size or with a number that is not finite.
        """
        given = Given(
            sentence=normalize_sentence(goal),
            known=self._plans.read(plan),
            images=self._pictures(images),
            state=self._normalized_state(state),
            noise=draw_noise(generator, self.config.denoiser),
        )

        def begin(stage: str) -> None:
            if should_stop is not None and stage != DONE and should_stop():
                raise Interrupted(f'stopped before the stage {stage}')
            if on_stage is not None:
                on_stage(stage)

        chunk = self._actions.unnormalize(self._chunk(given, begin, should_stop))
        self._plans.keep_decided(chunk, plan)
        return chunk

    @abstractmethod
    def _chunk(self, given: Given, on_stage: OnStage, should_stop: ShouldStop | None) -> NDArray[np.float32]:
        """Normalised actions [A, d]. on_stage: to be told each stage, and may raise to stop."""

    def _pictures(self, images: Mapping[str, NDArray[Any]]) -> list[NDArray[Any]]:
        wanted = {camera.name for camera in self.config.cameras}
        if images.keys() != wanted:
            raise UserError(f'The policy takes images of the cameras {sorted(wanted)}, and got {sorted(images)}.')
        for camera in self.config.cameras:
            check_image(images[camera.name], camera)
        return [images[camera.name] for camera in self.config.cameras]

    def _normalized_state(self, state: NDArray[np.floating] | None) -> NDArray[np.float32] | None:
        if self._state is None:
            if state is not None:
                raise UserError('The policy takes no state, and was given one: pass None.')
            return None
        streams = list(self.config.state_streams)
        expected = (self.config.denoiser.state_dim,)
        if state is None or np.shape(state) != expected:
            got = 'none' if state is None else f'shape {np.shape(state)}'
            raise UserError(f'The policy takes the state streams {streams} joined to shape {expected}, and got {got}.')
        if not np.isfinite(state).all():
            raise UserError(f'The state from {streams} has a number that is not finite: {np.asarray(state).tolist()}.')
        return self._state.normalize(state).astype(np.float32)


def draw_noise(generator: Noise, config: DenoiserConfig) -> NDArray[np.float32]:
    """Standard normal [A, d]. A seed means the same for every runtime and device."""
    if isinstance(generator, np.random.Generator):
        return generator.standard_normal((config.chunk_length, config.action_dim), np.float32)
    from mode_ros.policy.diffusion import initial_noise

    return initial_noise(1, config.chunk_length, config.action_dim, generator)[0].numpy()


def with_sampling(config: PolicyConfig, steps: int | None, solver: str | None) -> PolicyConfig:
    """The settings with another step count or solver, checked; None leaves the configured one."""
    changes = {name: value for name, value in (('steps', steps), ('solver', solver)) if value is not None}
    try:
        diffusion = DiffusionConfig.model_validate(config.diffusion.model_dump() | changes)
    except ValidationError as error:
        raise UserError(f'The policy cannot sample so: {explain(error)}.') from error
    return config.model_copy(update={'diffusion': diffusion})
