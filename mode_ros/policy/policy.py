"""The policy that torch computes: on any device, in every number format, and what a static graph is made from."""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mode_ros.errors import UserError
from mode_ros.policy.checkpoint import CheckpointInfo, load_checkpoint, load_packed, read_info, save_checkpoint
from mode_ros.policy.config import PolicyConfig
from mode_ros.policy.continuation import GUIDANCE, Known
from mode_ros.policy.images import image_to_tensor
from mode_ros.policy.inference import ChunkSampler
from mode_ros.policy.language import TextEncoder, build_text_encoder
from mode_ros.policy.linear import check_number_format, linear_makers
from mode_ros.policy.network import PolicyNetwork
from mode_ros.policy.normalization import Statistics
from mode_ros.policy.packed_encoder import Modulations, PackedEncoders
from mode_ros.policy.plain_sampler import PlainSampler, Sampler
from mode_ros.policy.plans import Continuation
from mode_ros.policy.products import MakeProducts, products_of
from mode_ros.policy.runtimes.interface import Given, RunningPolicy, with_sampling
from mode_ros.policy.stages import DONE, OnStage, ShouldStop

log = logging.getLogger(__name__)

# Goals of which is kept what does not depend on the observation. Each costs about 2 MB with the large network.
_GOALS_KEPT = 32


class _Goal(NamedTuple):
    """What is computed once per goal, on the device."""

    embedding: Tensor  # [1, goal_dim]
    prefix: Any  # the sampler's
    modulations: Modulations  # of the image encoders, on a CPU


class Policy(RunningPolicy):
    """A loaded policy that torch computes. Not for several threads at once."""

    runtime = 'torch'

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
        float32, of the network's. On a CPU its image encoders are packed, too. What is changed in the network later
        reaches neither. continuation: how a plan is continued; None: 'trained' where the policy was trained for it,
        else 'soft'.
        """
        super().__init__(info, text_encoder, device_note, continuation)
        self.network = network.eval().requires_grad_(False)
        self.device = network.denoiser.position.device
        self._read_images: PackedEncoders | None = None
        if self.device.type == 'cpu':
            self._read_images = PackedEncoders(info.config, network)
            if make_products is not None:  # loaded to run
                self._read_images.release(network)
        self.sampler = _build_sampler(info, network, make_products, self.continuation)
        self.sampler.prepare()
        self._goals_read: OrderedDict[str, _Goal] = OrderedDict()

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
        info = replace(info, config=with_sampling(info.config, steps, solver))
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

    def _chunk(self, given: Given, on_stage: OnStage, should_stop: ShouldStop | None) -> NDArray[np.float32]:
        state = None if given.state is None else torch.from_numpy(given.state).unsqueeze(0).to(self.device)

        def begin(stage: str) -> None:
            if self.device.type == 'cuda':
                torch.cuda.synchronize(self.device)  # else the clock would see launches, not work
            on_stage(stage)

        begin('goal')
        goal = self._read_goal(given.sentence)
        with torch.inference_mode():
            begin('images')
            features = self._features(given.images, goal)
            begin('prefix')
            known = None if given.known is None else Known.of(given.known).to(self.device)
            noise = torch.from_numpy(given.noise).unsqueeze(0).to(self.device)
            prefix, first = self.sampler.begin(goal.prefix, features, state, noise, known)
            begin('steps')
            sampled = self.sampler.sample(prefix, noise, should_stop, known, first)[0].cpu().numpy()
            begin(DONE)
        return sampled

    def _features(self, images: Sequence[NDArray[Any]], goal: _Goal) -> Tensor | None:
        """[1, C, image_dim], on the device."""
        if self._read_images is not None:
            return self._read_images(images, goal.modulations)
        cameras = zip(images, self.config.cameras, strict=True)
        tensors = [image_to_tensor(image, camera, self.device).unsqueeze(0) for image, camera in cameras]
        return self.network.encode_images(tensors, goal.embedding)

    def _read_goal(self, sentence: str) -> _Goal:
        if sentence not in self._goals_read:
            embedding = self._goals.embed(sentence).unsqueeze(0).to(self.device)
            with torch.inference_mode():
                modulations = () if self._read_images is None else self._read_images.modulations(embedding)
            self._goals_read[sentence] = _Goal(embedding, self.sampler.read_goal(embedding), modulations)
            if len(self._goals_read) > _GOALS_KEPT:
                self._goals_read.popitem(last=False)
        self._goals_read.move_to_end(sentence)
        return self._goals_read[sentence]


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
