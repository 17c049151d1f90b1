"""What a training step of the mixture costs beside one of a dense transformer with as many active numbers."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from mode_ros.policy.config import DenoiserConfig
from mode_ros.policy.denoiser import Denoiser
from mode_ros.policy.mixture import Mixture
from mode_ros.policy.routing import Routing

# (the mixture, after the second norm [B, T, D], its routing) → what the experts add, [B, T, D].
Mix = Callable[[Mixture, Tensor, Routing], Tensor]
# Rounds that are not counted: lazy set-up in torch, and the optimiser's state.
_WARM_UP = 2
PARTS = ('forward and backward', 'optimiser')
# Of the products; weights, gradients and the optimiser are in float32 in both.
KINDS: Mapping[str, torch.dtype] = {'float32': torch.float32, 'bfloat16': torch.bfloat16}


@dataclass(frozen=True)
class TrainingCost:
    """Seconds of each part of a step, round by round, and numbers in the network."""

    parts: Mapping[str, tuple[float, ...]]  # by PARTS
    parameters: int

    @property
    def totals(self) -> list[float]:
        """Seconds of each round's step."""
        return [sum(each) for each in zip(*self.parts.values(), strict=True)]


def dense_counterpart(config: DenoiserConfig) -> DenoiserConfig:
    """The transformer whose feedforward layers are as wide as the experts that one token uses, together."""
    return config.model_copy(update={'routing': 'dense', 'dense_width': 'active'})


def compare_training(
    config: DenoiserConfig, batch: int, rounds: int, device: str, kind: str = 'float32'
) -> dict[str, TrainingCost]:
    """Steps of the mixture and of its dense counterpart in turns: {'mixture': ..., 'dense': ...}; kind: of KINDS.

    The image encoders, which are the same for both, are left out.
    """
    networks = {'mixture': config, 'dense': dense_counterpart(config)}
    steps = {name: training_step(each, batch, device, KINDS[kind]) for name, each in networks.items()}
    seconds: dict[str, list[tuple[float, float]]] = {name: [] for name in steps}
    for _ in range(rounds + _WARM_UP):
        for name, (step, _) in steps.items():
            seconds[name].append(step())
    return {
        name: TrainingCost(
            {part: tuple(each[number] for each in seconds[name][_WARM_UP:]) for number, part in enumerate(PARTS)},
            parameters,
        )
        for name, (_, parameters) in steps.items()
    }


def ratios(costs: Mapping[str, TrainingCost]) -> dict[str, float]:
    """The mixture's time over the dense network's: the median over the rounds, by part and for the 'step'."""

    def ratio(mixture: list[float], dense: list[float]) -> float:
        return statistics.median(a / b for a, b in zip(mixture, dense, strict=True))

    mixture, dense = costs['mixture'], costs['dense']
    by_part = {part: ratio(list(mixture.parts[part]), list(dense.parts[part])) for part in PARTS}
    return {**by_part, 'step': ratio(mixture.totals, dense.totals)}


def training_step(
    config: DenoiserConfig, batch: int, device: str, kind: torch.dtype, mix: Mix | None = None
) -> tuple[Callable[[], tuple[float, float]], int]:
    """What takes a step and tells the seconds of its PARTS, and how many numbers the network has.

    mix: instead of the mixture's own way to run its experts.
    """
    torch.manual_seed(0)
    with torch.device(device):
        network = Denoiser(config).train()
    if mix is not None:
        for block in network.stack:
            block.mixture.forward = partial(mix, block.mixture)  # type: ignore[method-assign]
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-4, weight_decay=0.05, fused=True)  # as training does

    def normal(*shape: int) -> Tensor:
        return torch.randn(batch, *shape, device=device)

    x, goal = normal(config.chunk_length, config.action_dim), normal(config.goal_dim)
    images = normal(config.cameras, config.image_dim) if config.cameras else None
    state = normal(config.state_dim) if config.state_dim else None
    sigma = normal().exp()
    draws = None
    if config.routing != 'dense':
        draws = torch.empty(config.layers, batch, config.experts).exponential_().to(device)

    def now() -> float:
        if device == 'cuda':
            torch.cuda.synchronize()
        return time.perf_counter()

    def step() -> tuple[float, float]:
        start = now()
        with torch.autocast(device, kind, enabled=kind != torch.float32):
            loss = network(x, sigma, goal, images, state, draws).raw.float().square().mean()
        loss.backward()
        between = now()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        return between - start, now() - between

    return step, sum(parameter.numel() for parameter in network.parameters())
