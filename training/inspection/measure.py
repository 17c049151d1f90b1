"""A policy's routing and its experts in numbers."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from mode_ros.policy.config import DiffusionConfig
from mode_ros.policy.denoiser import Block, Denoiser
from mode_ros.policy.diffusion import scalings, schedule
from mode_ros.policy.routing import Routing
from mode_ros.training.inspection.findings import (
    Finding,
    find_in_probabilities,
    find_in_shares,
    find_in_similarity,
    movement,
)
from mode_ros.training.loss import expert_shares, log_logistic_sigmas

Floats = NDArray[np.float64]

# Noise levels over the range; fewer where each one is a forward pass.
_LEVELS, _LEVELS_BY_PASS = 48, 16
# Noise levels that stand for the training's, at even steps of their distribution.
_TRAINED, _TRAINED_BY_PASS = 512, 24
# Draws of experts for each of them.
_DRAWS = 8
# Directions of the noise embedding that are told: it is linear in ln σ, and has two with its bias and one without.
_DIRECTIONS = 4
# Random inputs on which experts are compared.
_INPUTS = 512


class Inputs(NamedTuple):
    """What a denoiser is given, as the network takes it: n samples."""

    actions: Tensor  # [n, A, d], without noise
    noise: Tensor  # [n, A, d], standard normal
    goal: Tensor  # [n, goal_dim]
    images: Tensor | None = None  # [n, C, image_dim]
    state: Tensor | None = None  # [n, S]


@dataclass(frozen=True)
class Routed:
    """What the routers do at S noise levels, without draws."""

    sigmas: Floats
    """[S]"""
    probabilities: Floats
    """[S, L, E], the mean over what is routed."""
    use: Floats
    """[S, L, E], the share of samples or tokens that have the expert selected, from 0 to 1."""
    weights: Floats
    """[S, L, E], with which the expert is taken, 0 where it is not."""
    entropy: Floats
    """[S, L], of the probabilities, from 0 (one expert) to 1 (all the same)."""


@dataclass(frozen=True)
class Measurement:
    """Everything about a denoiser's mixture."""

    top_k: int
    by_noise: bool
    """False where tokens are routed or nothing is."""
    over_range: Routed
    """At levels equally spaced in ln σ from σ_min to σ_max."""
    at_steps: Routed
    """At the levels of the schedule, falling: one for each denoising step."""
    shares: Floats
    """[L, E], of the selections in training: drawn, under the noise levels that are trained on; they sum to 1."""
    trained_probabilities: Floats
    """[L, E], the mean under those levels."""
    trained_entropy: Floats
    """[L], the mean under those levels."""
    weight_cosine: Floats
    """[L, E, E], between the experts' weights."""
    output_cosine: Floats
    """[L, E, E], between the experts' outputs for random inputs. This one tells functions that are the same."""
    noise_rms: float
    """Root mean square of e(σ) over the range; the tokens beside it have 1 after their norm."""
    noise_spectrum: Floats
    """The share of e(σ)'s energy in each direction, falling. One that is nearly 1: the levels lie on a line."""

    @property
    def moved(self) -> Floats:
        """[L] see findings.movement."""
        return movement(self.over_range.probabilities)

    @property
    def alike(self) -> list[float]:
        """[L], the cosine of the two experts of a layer whose outputs are most alike; [] with one expert."""
        rows, columns = np.triu_indices(self.output_cosine.shape[-1], 1)
        return self.output_cosine[:, rows, columns].max(1).tolist() if len(rows) else []

    @property
    def findings(self) -> list[Finding]:
        """What is wrong, by the thresholds of findings."""
        ignores = find_in_probabilities(self.over_range.probabilities) if self.by_noise else []
        use = self.at_steps.use.mean(0)
        return [
            *find_in_similarity(self.output_cosine),
            *find_in_shares(self.shares, self.top_k, 'in training', self.trained_probabilities),
            *find_in_shares(use / use.sum(-1, keepdims=True), self.top_k, 'when it runs'),
            *ignores,
        ]


@torch.inference_mode()
def measure(
    denoiser: Denoiser, diffusion: DiffusionConfig, sigma_scale: float, inputs: Inputs | None = None, seed: int = 0
) -> Measurement:
    """denoiser: in eval mode; sigma_scale: of the training's noise levels (LossSettings).

    inputs: what it is routed on. Without, routing by noise is asked for its decision directly, and routing by token
    sees random inputs, drawn by the seed, as the experts do when they are compared.
    """
    config = denoiser.config
    generator = torch.Generator().manual_seed(seed)
    by_pass = inputs is not None or not config.routes_by_noise_alone
    if by_pass and inputs is None:
        inputs = random_inputs(denoiser, 16, diffusion.sigma_data, generator)
    levels, trained = (_LEVELS_BY_PASS, _TRAINED_BY_PASS) if by_pass else (_LEVELS, _TRAINED)
    grid = torch.linspace(math.log(diffusion.sigma_min), math.log(diffusion.sigma_max), levels).exp()
    even = (torch.arange(trained, dtype=torch.float64) + 0.5) / trained
    if not by_pass:
        even = even.repeat(_DRAWS)
    trained_sigmas = log_logistic_sigmas(even, diffusion, sigma_scale)
    while_training = route(denoiser, trained_sigmas, diffusion.sigma_data, inputs, generator)
    use = while_training.use.mean(0)
    apart = torch.Generator().manual_seed(seed)  # its own, so that experts are as alike on one data set as on another
    alike = [similarity(block, apart) for block in denoiser.stack]
    embedded = denoiser.noise_embedding(grid.to(denoiser.position.device)).double()
    energy = torch.linalg.svdvals(embedded)[:_DIRECTIONS].square()
    return Measurement(
        top_k=1 if config.routing == 'dense' else config.top_k,
        by_noise=config.routing in ('noise', 'noise_and_token'),
        over_range=route(denoiser, grid, diffusion.sigma_data, inputs),
        at_steps=route(denoiser, schedule(diffusion)[:-1], diffusion.sigma_data, inputs),
        shares=use / use.sum(-1, keepdims=True),
        trained_probabilities=while_training.probabilities.mean(0),
        trained_entropy=while_training.entropy.mean(0),
        weight_cosine=np.stack([weights for weights, _ in alike]),
        output_cosine=np.stack([outputs for _, outputs in alike]),
        noise_rms=float(embedded.square().mean().sqrt()),
        noise_spectrum=(energy / embedded.square().sum()).cpu().numpy(),
    )


@torch.inference_mode()
def route(
    denoiser: Denoiser,
    sigmas: Tensor,
    sigma_data: float,
    inputs: Inputs | None,
    generator: torch.Generator | None = None,
) -> Routed:
    """What the routers do at each of `sigmas`, [S].

    inputs: as measure takes them; generator: draws the experts as training does, without they are the most probable.
    """
    device, config = denoiser.position.device, denoiser.config
    rows = len(sigmas) if inputs is None else len(inputs.actions)
    tokens = [config.prefix_length + config.chunk_length] if config.routes_tokens else []

    def draw() -> Tensor | None:
        if generator is None:
            return None
        shape = config.layers, rows, *tokens, config.experts
        return torch.empty(shape).exponential_(generator=generator).to(device)

    if inputs is None:
        condition = denoiser.noise_embedding(sigmas.to(device))  # [S, D]
        draws = draw()
        decided = [
            block.route(condition.unsqueeze(1), condition, None if draws is None else draws[layer])
            for layer, block in enumerate(denoiser.stack)
        ]
        found = [tuple(_rows(routing, level) for routing in decided) for level in range(len(sigmas))]
    else:
        found = [_by_pass(denoiser, sigma.to(device), sigma_data, inputs, draw()) for sigma in sigmas]

    def array(values: list[list[Tensor]]) -> Floats:
        return torch.stack([torch.stack(layers) for layers in values]).double().cpu().numpy()

    return Routed(
        sigmas.double().numpy(),
        array([[each.probabilities.flatten(0, -2).mean(0) for each in layers] for layers in found]),
        array([[_use(each) for each in layers] for layers in found]),
        array([[_mean_weights(each) for each in layers] for layers in found]),
        array([[_entropy(each.probabilities) for each in layers] for layers in found]),
    )


def random_inputs(denoiser: Denoiser, count: int, sigma_data: float, generator: torch.Generator) -> Inputs:
    """Standard normal numbers in the place of everything; actions of the spread that the diffusion expects."""
    config, device = denoiser.config, denoiser.position.device

    def draw(*shape: int) -> Tensor:
        return torch.randn(count, *shape, generator=generator).to(device)

    chunk = config.chunk_length, config.action_dim
    return Inputs(
        sigma_data * draw(*chunk),
        draw(*chunk),
        draw(config.goal_dim),
        draw(config.cameras, config.image_dim) if config.cameras else None,
        draw(config.state_dim) if config.state_dim else None,
    )


def _by_pass(
    denoiser: Denoiser, sigma: Tensor, sigma_data: float, inputs: Inputs, draws: Tensor | None
) -> tuple[Routing, ...]:
    noisy = inputs.actions + sigma * inputs.noise
    levels = sigma.expand(len(noisy))
    scaled = scalings(sigma, sigma_data).into * noisy
    return denoiser(scaled, levels, inputs.goal, inputs.images, inputs.state, draws).routing


def _rows(routing: Routing, row: int) -> Routing:
    return Routing(*(part[row : row + 1] for part in routing[:3]))


def _use(routing: Routing) -> Tensor:
    """[E], the share of what is routed that has each expert selected."""
    return expert_shares(routing) * routing.experts.numel() / routing.probabilities[..., 0].numel()


def _mean_weights(routing: Routing) -> Tensor:
    """[E], the mean weight, counting 0 where the expert is not selected."""
    total = torch.zeros(routing.probabilities.shape[-1], device=routing.weights.device)
    total.index_add_(0, routing.experts.flatten(), routing.weights.flatten().float())
    return total / routing.probabilities[..., 0].numel()


def _entropy(probabilities: Tensor) -> Tensor:
    experts = probabilities.shape[-1]
    if experts == 1:
        return probabilities.new_zeros(())
    return (torch.special.entr(probabilities).sum(-1) / math.log(experts)).mean()


def similarity(block: Block, generator: torch.Generator) -> tuple[Floats, Floats]:
    """Cosines [E, E] of the experts' weights, and of their outputs for what the block's norm could give."""
    mixture = block.mixture
    weights = torch.cat([mixture.up_weight.flatten(1), mixture.up_bias, mixture.down_weight.flatten(1)], dim=1)
    gain = block.mixture_norm.gain
    z = block.mixture_norm(torch.randn(_INPUTS, len(gain), generator=generator).to(gain.device))
    outputs = torch.stack([mixture.expert(index, z).flatten() for index in range(mixture.experts)])
    return _cosine(weights), _cosine(outputs)


def _cosine(rows: Tensor) -> Floats:
    unit = F.normalize(rows.double(), dim=1)
    return (unit @ unit.T).clamp(-1, 1).cpu().numpy()
