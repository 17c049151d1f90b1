"""A chunk at batch 1 with its images on one card: the encoders, the whole as a policy runs it, and a trained policy."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mode_ros.bench.card import Keep, rounding, spread
from mode_ros.bench.measure import relative_rms
from mode_ros.policy.config import PolicyConfig
from mode_ros.policy.graph import record_cuda
from mode_ros.policy.inference import ChunkSampler
from mode_ros.policy.linear import linear_makers
from mode_ros.policy.network import PolicyNetwork
from mode_ros.policy.policy import Policy
from mode_ros.policy.products import products_of
from mode_ros.policy.stages import STAGES, StageTimer

_WARM_UP = 5
_INPUTS = 4
# Ways that a policy does not take, such as launching a chunk's operations one by one, end after so long.
_SECONDS, _FEWEST = 3.0, 10


def measure_encoders(config: PolicyConfig, name: str, rounds: int, device: str, keep: Keep) -> None:
    """The encoders alone and whole chunks, each with TF32 and without; `name` of the configuration, for the rows."""
    torch.manual_seed(0)
    with torch.device(device), torch.no_grad():
        network = PolicyNetwork(config).eval().requires_grad_(False)
        _shake(network)
        goal = torch.randn(1, config.denoiser.goal_dim)
        given = [[torch.rand(1, 3, c.height, c.width) for c in config.cameras] for _ in range(_INPUTS)]
        noise = torch.randn(1, config.denoiser.chunk_length, config.denoiser.action_dim)
    expected = _on_the_cpu(network, given[0], goal)
    for tf32 in (False, True) if device == 'cuda' else (False,):
        with rounding(tf32), torch.inference_mode():
            row = {'network': name, 'tf32': tf32}
            encode = _encode(network, goal)
            found = encode(given[0]).cpu()
            times = times_of(partial(_encode_one, encode, given), rounds, device)
            keep({**row, 'what': 'image encoders', 'error': relative_rms(found, expected), **times})
            for number_format in ('float32', 'bfloat16'):
                _chunks(network, config, number_format, encode, given, goal, noise, rounds, device, row, keep)


def _chunks(
    network: PolicyNetwork,
    config: PolicyConfig,
    number_format: str,
    encode: Callable[[Sequence[Tensor]], Tensor],
    given: Sequence[Sequence[Tensor]],
    goal: Tensor,
    noise: Tensor,
    rounds: int,
    device: str,
    row: dict[str, Any],
    keep: Keep,
) -> None:
    """Encoders, prefix and steps: launched one by one, the steps recorded as a policy does it, and all recorded."""
    makers = linear_makers(number_format, torch.device(device))
    sampler = ChunkSampler(
        network.denoiser, config.diffusion, make_products=partial(products_of, network.denoiser, makers)
    )
    prefix = sampler.read_goal(goal)

    def chunk(images: Sequence[Tensor]) -> Tensor:
        whole, first = sampler.begin(prefix, encode(images), None, noise)
        return sampler.sample(whole, noise, first=first)

    def report(what: str, run: Callable[[int], Tensor], seconds: float = math.inf) -> None:
        error = relative_rms(run(0).cpu(), launched)
        keep(
            {
                **row,
                'what': f'chunk in {number_format}, {what}',
                'from_launched': error,
                **times_of(run, rounds, device, seconds),
            }
        )

    launched = chunk(given[0]).cpu()
    report('launched one by one', lambda k: chunk(given[k]), _SECONDS)
    if device != 'cuda':
        return
    places = [image.clone() for image in given[0]]
    replay, recorded = record_cuda(lambda: chunk(places))

    def all_recorded(k: int) -> Tensor:
        torch._foreach_copy_(places, list(given[k]))
        replay()
        return recorded.clone()

    report('all of it recorded', all_recorded)
    sampler.prepare()
    report('steps recorded', lambda k: chunk(given[k]))


def measure_policy(folder: Path, rounds: int, device: str, keep: Keep) -> None:
    """A trained policy as policy_node runs it, from pixels to actions, and how far it is from what the CPU says."""
    expected: np.ndarray[Any, Any] | None = None
    kinds = [
        ('cpu', 'float32', True),
        (device, 'float32', False),
        (device, 'float32', True),
        (device, 'bfloat16', True),
    ]
    for where, number_format, tf32 in kinds:
        with rounding(False):
            torch.backends.cudnn.allow_tf32 = tf32  # torch's default, and what a policy runs with
            policy = Policy.load(folder, where, _AnyText(), number_format)
            random = np.random.default_rng(0)
            images = {
                camera.name: random.integers(0, 256, (camera.height, camera.width, 3), dtype=np.uint8)
                for camera in policy.config.cameras
            }
            state = np.concatenate([policy.info.statistics.state[name].mean for name in policy.config.state_streams])
            call = partial(policy.predict, images, state if len(state) else None, 'push the button')
            found = call(torch.Generator().manual_seed(0))
            expected = found if expected is None else expected
            spans = [StageTimer(time.perf_counter) for _ in range(rounds + _WARM_UP)]
            for timer in spans:
                call(torch.Generator().manual_seed(1), on_stage=timer)
            spans = spans[_WARM_UP:]
            keep(
                {
                    'what': f'{folder.name} in {number_format} on {where}',
                    'tf32': 'convolutions' if tf32 else False,
                    'error': float(np.sqrt(np.mean((found - expected) ** 2)) / expected.std()),
                    'largest_error': float(np.abs(found - expected).max()),
                    'stages': {name: float(np.median([each.seconds[name] for each in spans])) for name in STAGES},
                    **spread([each.total for each in spans]),
                }
            )


class _AnyText:
    """Embeds any sentence as the same numbers: which ones says nothing about the time."""

    dim = 384

    def encode(self, texts: Sequence[str]) -> Tensor:
        return torch.randn(1, self.dim, generator=torch.Generator().manual_seed(0)).expand(len(texts), -1)


def _encode(network: PolicyNetwork, goal: Tensor) -> Callable[[Sequence[Tensor]], Tensor]:
    def encode(images: Sequence[Tensor]) -> Tensor:
        features = network.encode_images(list(images), goal)
        assert features is not None
        return features

    return encode


def _encode_one(encode: Callable[[Sequence[Tensor]], Tensor], given: Sequence[Sequence[Tensor]], k: int) -> Tensor:
    return encode(given[k])


def _on_the_cpu(network: PolicyNetwork, images: Sequence[Tensor], goal: Tensor) -> Tensor:
    network.image_encoders.cpu()
    with torch.inference_mode():
        features = _encode(network, goal.cpu())([image.cpu() for image in images])
    network.image_encoders.to(goal.device)
    return features


def _shake(network: PolicyNetwork) -> None:
    """Weights that every part has a say with: some begin as zeros."""
    for name, parameter in network.denoiser.named_parameters():
        if not name.endswith('gain'):
            parameter.normal_(std=parameter.shape[-1] ** -0.5 if parameter.dim() > 1 else 0.1)


def times_of(run: Callable[[int], object], rounds: int, device: str, allowed: float = math.inf) -> dict[str, Any]:
    """Of a call with the number of its input, each round's seconds as `spread` has them.

    allowed: seconds after which no further round begins, once there are _FEWEST.
    """
    seconds: list[float] = []
    for number in range(-_WARM_UP, rounds):
        if number >= _FEWEST and sum(seconds) > allowed:
            break
        _wait(device)
        begin = time.perf_counter()
        run(number % _INPUTS)
        _wait(device)
        seconds.append(time.perf_counter() - begin)
    return spread(seconds[_WARM_UP:])


def _wait(device: str) -> None:
    if device == 'cuda':
        torch.cuda.synchronize()
