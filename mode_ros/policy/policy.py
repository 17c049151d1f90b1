"""The policy a node runs: camera images, state and a goal sentence in, a chunk of actions in the robot's units out."""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import ValidationError
from torch import Tensor

from mode_ros.errors import UserError
from mode_ros.policy.checkpoint import CheckpointInfo, load_checkpoint, load_packed, read_info, save_checkpoint
from mode_ros.policy.config import DiffusionConfig, PolicyConfig, explain
from mode_ros.policy.continuation import GUIDANCE, Continuation, PlanLike, PlanReader, choose_continuation
from mode_ros.policy.diffusion import initial_noise
from mode_ros.policy.images import image_to_tensor
from mode_ros.policy.inference import ChunkSampler, Interrupted, ShouldStop
from mode_ros.policy.language import GoalCache, TextEncoder, build_text_encoder, normalize_sentence
from mode_ros.policy.linear import check_number_format, linear_makers
from mode_ros.policy.network import PolicyNetwork
from mode_ros.policy.normalization import Statistics, build_normalizer, build_state_normalizer
from mode_ros.policy.plain_sampler import PlainSampler, Sampler
from mode_ros.policy.products import MakeProducts, products_of

log = logging.getLogger(__name__)

STAGES = ('goal', 'images', 'prefix', 'steps')
DONE = 'done'

# Called with each of STAGES as it begins, and DONE at the end.
OnStage = Callable[[str], None]

# Goals whose keys and values are kept. Each costs about 2 MB with the large network.
_GOALS_KEPT = 32


class StageTimer:
    """How long each stage of a prediction took, by the caller's clock: pass an instance as `on_stage`."""

    def __init__(self, clock: Callable[[], float]) -> None:
        """clock: seconds, for example time.perf_counter."""
        self._clock = clock
        self._since: tuple[str, float] | None = None
        self.seconds: dict[str, float] = {}

    def __call__(self, stage: str) -> None:
        """Note that `stage` begins."""
        now = self._clock()
        if stage == STAGES[0]:
            self.seconds = {}
        elif self._since is not None:
            self.seconds[self._since[0]] = now - self._since[1]
        self._since = None if stage == DONE else (stage, now)

    @property
    def total(self) -> float:
        """Seconds of the stages measured since the last prediction began."""
        return sum(self.seconds.values())


class Policy:
    """A loaded policy, ready to predict. Not for several threads at once."""

    def __init__(
        self,
        info: CheckpointInfo,
        network: PolicyNetwork,
        text_encoder: TextEncoder,
        device_note: str = '',
        make_products: MakeProducts | None = None,
        continuation: Continuation | None = None,
    ) -> None:
        """network: on its final device. Decides the routing, so that nothing is built while predicting.

        make_products: gives the denoiser's matrix products, as load_packed does; else they are packed copies, in
        float32, of the network's. What is changed in the network later does not reach them. continuation: how a plan
        is continued; None: 'trained' where the policy was trained for it, else 'soft'.
        """
        if text_encoder.dim != info.config.text_encoder.dim:
            raise UserError(
                f'The text encoder gives {text_encoder.dim} numbers, but the policy takes '
                f'{info.config.text_encoder.dim}.'
            )
        self.info = info
        self.network = network.eval().requires_grad_(False)
        self.device = network.denoiser.position.device
        self.device_note = device_note
        chosen = choose_continuation(continuation, info.config.denoiser)
        self.sampler = _build_sampler(info, network, make_products, chosen)
        self.sampler.prepare()
        self.text_encoder = text_encoder
        self._goals = GoalCache(text_encoder)
        self._goal_prefixes: OrderedDict[str, tuple[Tensor, Any]] = OrderedDict()
        self._actions = build_normalizer(info.statistics.action, info.config.action_normalization)
        self._plans = PlanReader(chosen, info.config.denoiser, self._actions)
        self._state = build_state_normalizer(
            info.statistics.state, info.config.state_streams, info.config.state_normalization
        )

    @classmethod
    def load(
        cls,
        folder: Path | str,
        device: str = 'auto',
        text_encoder: TextEncoder | None = None,
        number_format: str = 'float32',
        steps: int | None = None,
        solver: str | None = None,
        continuation: Continuation | None = None,
    ) -> Policy:
        """From a checkpoint folder, to run. device: 'auto' (CUDA where there is one), 'cpu', 'cuda' or 'cuda:N'.

        text_encoder: instead of the configured one, to share or to test; number_format: 'float32', 'bfloat16' or
        'int8', of the denoiser's large products, of which an alternative to the published network (routing by token and
        the like) has 'float32' alone; steps, solver: instead of the checkpoint's; continuation: how a plan is
        continued, see mode_ros.policy.continuation; 'guided' is slow, in float32 alone, to compare with.

        Raises UserError that names what is wrong.
        """
        chosen, note = choose_device(device)
        make_products: MakeProducts | None = None
        if read_info(folder).config.denoiser.has_fast_path and continuation != 'guided':
            info, network, make_products = load_packed(folder, chosen, number_format)
        else:
            _check_plain(folder, number_format, chosen, continuation)
            info, network = load_checkpoint(folder, chosen)
        info = replace(info, config=_with_sampling(info.config, steps, solver))
        encoder = text_encoder or build_text_encoder(info.config.text_encoder)
        if not info.trained_steps:
            log.warning('the policy in %s is untrained: its actions are random', folder)
        return cls(info, network, encoder, f'{note}; weights in {number_format}', make_products, continuation)

    @classmethod
    def untrained(
        cls,
        config: PolicyConfig,
        statistics: Statistics,
        contract_text: str,
        seed: int,
        device: str = 'cpu',
        text_encoder: TextEncoder | None = None,
        continuation: Continuation | None = None,
    ) -> Policy:
        """Random weights, the same for the same seed. Its checkpoint says trained_steps 0."""
        chosen, note = choose_device(device)
        info = CheckpointInfo(config, statistics, contract_text, trained_steps=0)
        encoder = text_encoder or build_text_encoder(config.text_encoder)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            network = PolicyNetwork(config)
        return cls(info, network.to(chosen), encoder, note, continuation=continuation)

    def save(self, folder: Path | str) -> None:
        """Write the checkpoint folder, aside and then renamed.

        Raises UserError for a policy that was loaded: its weights are packed for this machine.
        """
        if any(parameter.is_meta for parameter in self.network.parameters()):
            raise UserError(
                f'A policy that was loaded to run cannot be saved as {folder}, because its weights are packed: copy '
                'the folder that it was loaded from.'
            )
        save_checkpoint(folder, self.info, self.network)

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

    def embed_goal(self, text: str) -> Tensor:
        """A sentence's embedding, [goal_dim], on the CPU; each distinct sentence is computed once.

        Raises UserError for an empty sentence.
        """
        return self._goals.embed(text)

    def warm_up(self, should_stop: ShouldStop | None = None) -> None:
        """Predict twice on a black image, so that the first real chunk does not pay for lazy set-up in torch."""
        images = {c.name: np.zeros((c.height, c.width, 3), np.uint8) for c in self.config.cameras}
        state = np.zeros(self.config.denoiser.state_dim) if self.config.state_streams else None
        for _ in range(2):
            self.predict(images, state, 'warm up', torch.Generator().manual_seed(0), should_stop)

    def predict(
        self,
        images: Mapping[str, NDArray[np.uint8]],
        state: NDArray[np.floating] | None,
        goal: str,
        generator: torch.Generator,
        should_stop: ShouldStop | None = None,
        on_stage: OnStage | None = None,
        plan: PlanLike | None = None,
    ) -> NDArray[np.float64]:
        """One chunk, [A, d], float64, in the robot's units; not limited to what is safe, which the controller does.

        images: camera name → uint8 [H, W, 3], red-green-blue, at the configured size, exactly the configured cameras;
        state: the state streams joined in the configured order, in the robot's units, or None for a policy without;
        generator: on the CPU, draws the initial noise; should_stop: asked before each stage and denoising step, after
        its yes Interrupted is raised; on_stage: told as each of STAGES begins and at the end; plan: in the robot's
        units, what the chunk begins with. What of it is decided comes back as it is, but for `guided`.

        Raises UserError for a missing, unknown or ill-sized image or state, for an empty goal, and for a plan of
        another size or with a number that is not finite.
        """
        sentence = normalize_sentence(goal)
        known = self._plans.read(plan)
        tensors = self._image_tensors(images)
        state_tensor = self._state_tensor(state)
        noise = initial_noise(1, self.config.denoiser.chunk_length, self.config.denoiser.action_dim, generator)

        def begin(stage: str) -> None:
            if should_stop is not None and stage != DONE and should_stop():
                raise Interrupted(f'stopped before the stage {stage}')
            if on_stage is not None:
                if self.device.type == 'cuda':
                    torch.cuda.synchronize(self.device)  # else the clock would see launches, not work
                on_stage(stage)

        begin('goal')
        embedding, goal_prefix = self._goal_prefix(sentence)
        with torch.inference_mode():
            begin('images')
            features = self.network.encode_images(tensors, embedding)
            begin('prefix')
            prefix = self.sampler.read_observation(goal_prefix, features, state_tensor)
            begin('steps')
            known = None if known is None else known.to(self.device)
            sampled = self.sampler.sample(prefix, noise.to(self.device), should_stop, known)[0].cpu().numpy()
            begin(DONE)
        chunk = self._actions.unnormalize(sampled)
        self._plans.keep_decided(chunk, plan)
        return chunk

    def _goal_prefix(self, sentence: str) -> tuple[Tensor, Any]:
        """The goal's embedding [1, goal_dim] and what the sampler computed of it, on the device."""
        if sentence not in self._goal_prefixes:
            embedding = self._goals.embed(sentence).unsqueeze(0).to(self.device)
            self._goal_prefixes[sentence] = embedding, self.sampler.read_goal(embedding)
            if len(self._goal_prefixes) > _GOALS_KEPT:
                self._goal_prefixes.popitem(last=False)
        self._goal_prefixes.move_to_end(sentence)
        return self._goal_prefixes[sentence]

    def _image_tensors(self, images: Mapping[str, NDArray[np.uint8]]) -> list[Tensor]:
        wanted = {camera.name for camera in self.config.cameras}
        if images.keys() != wanted:
            raise UserError(f'The policy takes images of the cameras {sorted(wanted)}, and got {sorted(images)}.')
        return [image_to_tensor(images[c.name], c, self.device).unsqueeze(0) for c in self.config.cameras]

    def _state_tensor(self, state: NDArray[np.floating] | None) -> Tensor | None:
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
        return torch.from_numpy(self._state.normalize(state)).float().unsqueeze(0).to(self.device)


def _build_sampler(
    info: CheckpointInfo, network: PolicyNetwork, make_products: MakeProducts | None, continuation: Continuation
) -> Sampler:
    """The fast path for the published network; the plain one for an alternative to it, and for guidance."""
    denoiser, diffusion = network.denoiser, info.config.diffusion
    if continuation == 'guided':
        return PlainSampler(denoiser, diffusion, GUIDANCE)
    if not denoiser.config.has_fast_path:
        return PlainSampler(denoiser, diffusion)
    if make_products is None:
        makers = linear_makers('float32', denoiser.position.device)
        make_products = partial(products_of, denoiser, makers)
    return ChunkSampler(denoiser, diffusion, make_products=make_products)


def _check_plain(
    folder: Path | str, number_format: str, device: torch.device, continuation: Continuation | None
) -> None:
    if check_number_format(number_format, device) != 'float32':
        if continuation == 'guided':
            raise UserError(
                f'The continuation guided takes gradients, which float32 alone has, and the number format '
                f'{number_format!r} was asked for: leave it at float32, or use soft.'
            )
        raise UserError(
            f'The policy in {folder} is an alternative to the published network, which runs in float32 alone, and the '
            f'number format {number_format!r} was asked for: leave it at float32.'
        )


def _with_sampling(config: PolicyConfig, steps: int | None, solver: str | None) -> PolicyConfig:
    """The settings with another step count or solver, checked; None leaves the configured one."""
    changes = {name: value for name, value in (('steps', steps), ('solver', solver)) if value is not None}
    try:
        diffusion = DiffusionConfig.model_validate(config.diffusion.model_dump() | changes)
    except ValidationError as error:
        raise UserError(f'The policy cannot sample so: {explain(error)}.') from error
    return config.model_copy(update={'diffusion': diffusion})


def choose_device(device: str) -> tuple[torch.device, str]:
    """The device and a sentence on why. 'auto' takes CUDA where there is one.

    Raises UserError for a device that is not there.
    """
    available = torch.cuda.is_available()
    if device == 'auto':
        chosen = 'cuda' if available else 'cpu'
        note = f'device auto chose {chosen}' + ('' if available else ', because CUDA is not available')
        log.info(note)
        return torch.device(chosen), note
    try:
        asked = torch.device(device)
    except RuntimeError as error:
        raise UserError(f'There is no device {device!r}: use auto, cpu, cuda or cuda:N.') from error
    if asked.type not in ('cpu', 'cuda'):
        raise UserError(f'The device {device!r} is not supported: use auto, cpu, cuda or cuda:N.')
    if asked.type == 'cuda' and not available:
        raise UserError(f'The device {device!r} was asked for, but CUDA is not available here: use auto or cpu.')
    if asked.type == 'cuda' and asked.index is not None and asked.index >= torch.cuda.device_count():
        raise UserError(f'The device {device!r} was asked for, but there are {torch.cuda.device_count()} CUDA devices.')
    return asked, f'device {device} was asked for'
