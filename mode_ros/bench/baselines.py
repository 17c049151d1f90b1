"""What this project's path is measured against: the same chunk computed the published way, and a dense transformer.

Written for measuring, from the paper and the published implementation's behaviour. All take the whole token sequence
through every step, in float32, with torch's plain linear layers.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from mode_ros.policy.config import DiffusionConfig
from mode_ros.policy.denoiser import Block, Denoiser
from mode_ros.policy.diffusion import SOLVERS, scalings, schedule
from mode_ros.policy.layers import gate, merge_heads, split_heads
from mode_ros.policy.routing import select_experts

# (after the second norm [B, T, D], denoising step) → what the experts add, [B, T, D].
Feedforward = Callable[[Tensor, int], Tensor]


class FusedExperts(NamedTuple):
    """The selected experts of one (layer, noise level), copied into one wide expert."""

    up_weight: Tensor  # [k·8D, D]
    up_bias: Tensor  # [k·8D]
    down_weight: Tensor  # [D, k·4D]
    shares: tuple[float, ...]  # [k], their weights

    @classmethod
    def of(cls, block: Block, noise: Tensor) -> FusedExperts:
        """noise: [1, D], the embedded noise level."""
        routing = select_experts(block.router.probabilities(noise), block.router.top_k)
        chosen, shares = routing.experts[0].tolist(), routing.weights[0].tolist()
        mixture = block.mixture
        return cls(
            torch.cat([mixture.up_weight[e] for e in chosen]),
            torch.cat([mixture.up_bias[e] for e in chosen]),
            torch.cat([mixture.down_weight[e] for e in chosen], dim=1),
            tuple(shares),
        )

    def __call__(self, z: Tensor) -> Tensor:
        """[B, T, D] → [B, T, D]."""
        up = F.linear(z, self.up_weight, self.up_bias).chunk(len(self.shares), dim=-1)
        hidden = torch.cat([gate(part) * share for part, share in zip(up, self.shares, strict=True)], dim=-1)
        return F.linear(hidden, self.down_weight)


class FullSequenceSampler:
    """Every token through every layer at every step; what the feedforward part is, is given for each layer."""

    def __init__(
        self, denoiser: Denoiser, diffusion: DiffusionConfig, make_feedforward: Callable[[Block, Tensor], Feedforward]
    ) -> None:
        """make_feedforward(block, the embedded noise levels [N, D]) → the layer's Feedforward."""
        self.denoiser = denoiser
        self.config = denoiser.config
        self.diffusion = diffusion
        self.sigmas = schedule(diffusion)
        with torch.inference_mode():
            noise = denoiser.noise_embedding(self.sigmas[:-1].to(denoiser.position))
            self._feedforward = [make_feedforward(block, noise) for block in denoiser.stack]
            # Published networks have three matrices where this project's has one.
            self._projections = [_separate(block) for block in denoiser.stack]

    @torch.inference_mode()
    def sample(self, goal: Tensor, images: Tensor | None, state: Tensor | None, noise: Tensor) -> Tensor:
        """goal: [B, goal_dim]; images: [B, C, image_dim]; state: [B, state_dim]; noise: [B, A, d] → [B, A, d]."""

        def denoise(x: Tensor, step: int) -> Tensor:
            sigma = self.sigmas[step].to(x).expand(len(x))
            c = scalings(sigma.view(-1, 1, 1), self.diffusion.sigma_data)
            return c.skip * x + c.out * self._forward(c.into * x, sigma, goal, images, state, step)

        solve = SOLVERS[self.diffusion.solver]
        return solve(denoise, noise * self.sigmas[0].to(noise), self.sigmas, None)

    def _forward(
        self, x: Tensor, sigma: Tensor, goal: Tensor, images: Tensor | None, state: Tensor | None, step: int
    ) -> Tensor:
        network = self.denoiser
        condition = network.noise_embedding(sigma).unsqueeze(1)
        observed = network.observation_tokens(images, state)
        tokens = torch.cat([condition, network.goal_token(goal), observed, network.action_tokens(x)], dim=1)
        for block, projections, feedforward in zip(network.stack, self._projections, self._feedforward, strict=True):
            h = block.attention_norm(tokens) + condition
            query, key, value = (split_heads(F.linear(h, w, b), self.config.heads) for w, b in projections)
            query, key = block.attention.query_norm(query), block.attention.key_norm(key)
            mixed = F.scaled_dot_product_attention(query, key, value, is_causal=True)
            z = block.mixture_norm(tokens + block.attention.output(merge_heads(mixed)))
            tokens = z + feedforward(z, step)
        return network.read_out(tokens[:, -self.config.chunk_length :])


def fused_copies(block: Block, noise: Tensor) -> Feedforward:
    """As published: one wide copy of the selected experts for each noise level."""
    copies = [FusedExperts.of(block, level.unsqueeze(0)) for level in noise]
    return lambda z, step: copies[step](z)


def dense(block: Block, noise: Tensor) -> Feedforward:
    """All experts as one wide feedforward layer, as many numbers as the mixture and all of them used every time."""
    mixture = block.mixture
    up_weight, up_bias = mixture.up_weight.flatten(0, 1), mixture.up_bias.flatten()
    # One wide matrix has its rows contiguous; expert by expert it would be a product each.
    down_weight = mixture.down_weight.transpose(0, 1).flatten(1)
    mixture.down_weight = torch.nn.Parameter(torch.empty_like(mixture.down_weight, device='meta'))
    return lambda z, step: F.linear(gate(F.linear(z, up_weight, up_bias)), down_weight)


def _separate(block: Block) -> list[tuple[Tensor, Tensor]]:
    fused = block.attention.query_key_value
    return list(zip(fused.weight.detach().chunk(3), fused.bias.detach().chunk(3), strict=True))
