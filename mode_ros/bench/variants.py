"""The ways to compute a chunk that are measured, each behind the same two calls."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from mode_ros.bench.baselines import FullSequenceSampler, dense, fused_copies
from mode_ros.policy.config import DenoiserConfig, DiffusionConfig
from mode_ros.policy.continuation import Known, known_of
from mode_ros.policy.denoiser import Denoiser
from mode_ros.policy.diffusion import sample_plain
from mode_ros.policy.inference import ChunkSampler
from mode_ros.policy.linear import NUMBER_FORMATS, linear_makers
from mode_ros.policy.plans import Continuation
from mode_ros.policy.products import LayerProducts, UsedExperts, product_names
from mode_ros.policy.weights import load_products, load_weights, meta_device

FUSED = 'fused copies'
TITLES: dict[str, str] = {
    'dense': 'dense transformer, same size',
    'mixture': 'mixture, no cache',
    FUSED: 'fused copies, as published',
    **{str(name): f'this project, {name}' for name in NUMBER_FORMATS},
    'soft': 'this project, float32, continuing a plan',
    'trained': 'this project, float32, continuing a plan as trained',
}
# Their chunks are others than the reference's, so that no distance is told.
OTHER_CHUNKS = ('dense', 'soft', 'trained')


@dataclass(frozen=True)
class Setting:
    """What is computed: the same for every variant of a comparison."""

    denoiser: DenoiserConfig
    diffusion: DiffusionConfig
    weights: Path  # safetensors with a denoiser's names, made by make_weights
    device: str = 'cpu'
    threads: int = 2


class Inputs(NamedTuple):
    """One observation and the noise to start from, on the device."""

    goal: Tensor  # [B, goal_dim]
    images: Tensor | None  # [B, C, image_dim]
    state: Tensor | None  # [B, state_dim]
    noise: Tensor  # [B, A, d]


class Measured(NamedTuple):
    """One chunk: seconds by the wall clock, in its two stages, and of the processor."""

    prefix: float
    steps: float
    processor: float
    chunk: Tensor  # [B, A, d], on the CPU

    @property
    def total(self) -> float:
        """Seconds of the whole chunk."""
        return self.prefix + self.steps


# (inputs, called between prefix and steps) → chunk.
Compute = Callable[[Inputs, Callable[[], None]], Tensor]


def make_inputs(config: DenoiserConfig, batch: int, device: str, seed: int = 0) -> Inputs:
    """Standard normal inputs, the same for the same seed on every device."""
    random = torch.Generator().manual_seed(seed)

    def draw(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=random).to(device)

    return Inputs(
        goal=draw(batch, config.goal_dim),
        images=draw(batch, config.cameras, config.image_dim) if config.cameras else None,
        state=draw(batch, config.state_dim) if config.state_dim else None,
        noise=draw(batch, config.chunk_length, config.action_dim),
    )


def build_variant(name: str, setting: Setting, batch: int) -> Compute:
    """Load a variant's weights and make whatever it makes ahead; `name` is one of TITLES."""
    device = torch.device(setting.device)
    if name in NUMBER_FORMATS:
        return fast_path(ours(name, setting), batch)
    if name in ('soft', 'trained'):
        continuing = ours('float32', setting, marked=name == 'trained')
        return fast_path(continuing, batch, plan_for(continuing, 'trained' if name == 'trained' else 'soft', batch))
    network = load_network(setting, ())
    if name == 'mixture':
        return lambda x, _: sample_plain(network, setting.diffusion, x.noise, x.goal, x.images, x.state)
    sampler = FullSequenceSampler(network.to(device), setting.diffusion, dense if name == 'dense' else fused_copies)
    return lambda x, _: sampler.sample(x.goal, x.images, x.state, x.noise)


def ours(number_format: str, setting: Setting, marked: bool = False) -> ChunkSampler:
    """The path of mode_ros.policy.inference, loaded as a checkpoint is; marked: as one that was trained to continue."""
    device = torch.device(setting.device)
    makers = linear_makers(number_format, device)
    network = load_network(setting, product_names(setting.denoiser))
    if marked:  # with a mark that is zero, as before training
        committed = setting.denoiser.chunk_length - 1
        network.config = setting.denoiser.model_copy(update={'max_committed': committed})
        network.committed_mark = nn.Parameter(torch.zeros(setting.denoiser.embed_dim, device=device))
        network.requires_grad_(False)

    def make_products(used: UsedExperts) -> tuple[LayerProducts, ...]:
        network.release_routers()
        return load_products(setting.denoiser, setting.weights, device, makers, used)

    return ChunkSampler(network, setting.diffusion, make_products=make_products)


def load_network(setting: Setting, leave: tuple[str, ...]) -> Denoiser:
    """The denoiser in float32, except for the tensors in `leave`."""
    with meta_device():
        network = Denoiser(setting.denoiser).eval().requires_grad_(False)
    load_weights(network, setting.weights, torch.device(setting.device), torch.float32, leave)
    return network.requires_grad_(False)


def measure_once(compute: Compute, inputs: Inputs) -> Measured:
    """One chunk, timed. The device is idle at every reading of the clock."""
    marks: list[float] = []

    def mark() -> None:
        if inputs.noise.device.type == 'cuda':
            torch.cuda.synchronize()
        marks.append(time.perf_counter())

    processor = time.process_time()
    mark()
    chunk = compute(inputs, mark)
    mark()
    first, *middle, last = marks
    between = middle[0] if middle else first
    return Measured(between - first, last - between, time.process_time() - processor, chunk.cpu())


def plan_for(network: ChunkSampler | Denoiser, how: Continuation, batch: int) -> Known:
    """Half a chunk is decided, and all of it planned."""
    config = network.config
    actions = np.random.default_rng(0).normal(size=(config.chunk_length, config.action_dim))
    one = known_of(actions, config.chunk_length // 2, how, config)
    whole = (None if each is None else torch.cat([each] * batch) for each in one)
    target, weight, clean = whole
    assert target is not None
    assert weight is not None
    return Known(target, weight, clean)


def fast_path(sampler: ChunkSampler, batch: int, known: Known | None = None, recorded: bool = True) -> Compute:
    """A chunk by this sampler; recorded: its step loop as a CUDA graph, on a GPU; known: what it continues."""
    if recorded:
        sampler.prepare(batch)
    goals: dict[int, object] = {}

    def compute(x: Inputs, between: Callable[[], None]) -> Tensor:
        # Computed once per goal, hence not within a chunk's time after the warm-up.
        if id(x.goal) not in goals:
            goals[id(x.goal)] = sampler.read_goal(x.goal)
        goal = goals[id(x.goal)]
        prefix, first = sampler.begin(goal, x.images, x.state, x.noise, known)  # type: ignore[arg-type]
        between()
        return sampler.sample(prefix, x.noise, known=known, first=first)

    return compute
