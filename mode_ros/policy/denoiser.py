"""The MoDE denoiser: a causal transformer whose experts are chosen by the noise level (arXiv 2412.12953)."""

from __future__ import annotations

from typing import NamedTuple, cast

import torch
from torch import Tensor, nn

from mode_ros.policy.config import DenoiserConfig, Initialisation
from mode_ros.policy.initialisation import BEGINNINGS
from mode_ros.policy.layers import Attention, Modulation, RMSNorm
from mode_ros.policy.mixture import Mixture
from mode_ros.policy.routing import Router, Routing, choose_tokens, use_the_only_one

# Positions in the learned table. Everything observed shares one position with the first action, as published.
GOAL_POSITION = 0
OBSERVATION_POSITION = 1
FIRST_ACTION_POSITION = 1


class DenoiserOutput(NamedTuple):
    """What one forward pass gives."""

    raw: Tensor  # [B, A, d], the network F, before the EDM scalings
    routing: tuple[Routing, ...]  # one per layer, for balancing losses and inspection


class NoiseEmbedding(nn.Module):
    """e(σ) = W2·(w1·(ln σ / 4) + b1)."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.input = nn.Linear(1, dim)
        self.output = nn.Linear(dim, dim, bias=False)

    def forward(self, sigma: Tensor) -> Tensor:
        """sigma: [B], above 0 → [B, D]."""
        return self.output(self.input(sigma.log().unsqueeze(-1) / 4))


class Block(nn.Module):
    """Noise-conditioned attention, then a mixture of experts; or, to compare with it, an alternative (DenoiserConfig).

    Tensors have the same names in all of them. A dense block has no router and one expert, a shared expert is `shared`,
    and film's scale and shift are `modulation`.
    """

    router: Router

    def __init__(self, config: DenoiserConfig) -> None:
        super().__init__()
        self.config = config
        dim, dense = config.embed_dim, config.routing == 'dense'
        self.attention_norm = RMSNorm(dim)
        self.attention = Attention(dim, config.heads, config.attention_dropout)
        self.mixture_norm = RMSNorm(dim)
        if dense:
            self.mixture = Mixture(dim, 1, config.expert_dropout, config.dense_dim)
        else:
            self.router = Router(dim, config.experts, config.top_k, config.selection_bias)
            self.mixture = Mixture(dim, config.experts, config.expert_dropout)
        if config.shared_expert:
            self.shared = Mixture(dim, 1, config.expert_dropout)
        if config.noise_conditioning == 'film':
            self.modulation = Modulation(dim)

    def forward(
        self, x: Tensor, condition: Tensor, draws: Tensor | None = None, observed: Tensor | None = None
    ) -> tuple[Tensor, Routing]:
        """x: [B, T, D], condition: [B, D]; draws, observed: as route takes them → ([B, T, D], how it was routed)."""
        x = x + self.attention(self._conditioned(self.attention_norm(x), condition))
        z = self.mixture_norm(x)
        routing = self.route(z, condition, draws, observed)
        # The residual stream goes on from z, not from x: published weights were trained so.
        out = z + self.mixture(z, routing)
        return (out + self.shared.expert(0, z) if self.config.shared_expert else out), routing

    def route(
        self, z: Tensor, condition: Tensor, draws: Tensor | None = None, observed: Tensor | None = None
    ) -> Routing:
        """The experts for the tokens z, [B, T, D]; observed: [B, D], the mean of the observation's tokens.

        draws: [B, T, E], or [B, E] where all tokens of a sample are to draw the same; experts that choose, and a dense
        block, draw nothing.
        """
        match self.config.routing:
            case 'noise':
                return self.router(condition, draws)
            case 'observation':
                assert observed is not None
                return self.router(observed, draws)
            case 'token':
                return self.router(z, draws)
            case 'noise_and_token':
                return self.router(z + condition.unsqueeze(1), draws)
            case 'expert_choice':
                return choose_tokens(self.router.probabilities(z), self.config.top_k)
            case 'dense':
                return use_the_only_one(len(z), z.device)

    def _conditioned(self, normed: Tensor, condition: Tensor) -> Tensor:
        """What attention sees of the tokens: [B, T, D] → [B, T, D]."""
        match self.config.noise_conditioning:
            case 'attention':
                return normed + condition.unsqueeze(1)
            case 'film':
                return self.modulation(normed, condition)
            case 'none':
                return normed


class Denoiser(nn.Module):
    """The network F(c_in·x, σ, goal, observation).

    Tokens in order: noise (unless noise_token is off), goal, state (where state_dim > 0), one per camera, A actions.
    Attention is causal, so nothing before the actions depends on them; mode_ros.policy.inference lives off that.
    """

    def __init__(self, config: DenoiserConfig, initialisation: Initialisation = 'published') -> None:
        super().__init__()
        self.config = config
        dim = config.embed_dim
        self.position = nn.Parameter(torch.empty(1 + config.chunk_length, dim))
        self.noise_embedding = NoiseEmbedding(dim)
        self.goal_projection = nn.Linear(config.goal_dim, dim, bias=False)
        if config.state_dim:
            self.state_projection = nn.Linear(config.state_dim, dim, bias=False)
        if config.cameras:
            self.image_projection = nn.Linear(config.image_dim, dim, bias=False)
        self.action_projection = nn.Linear(config.action_dim, dim, bias=False)
        if config.max_committed:
            self.committed_mark = nn.Parameter(torch.zeros(dim))
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.layers))
        self.final_norm = RMSNorm(dim)
        self.output = nn.Linear(dim, config.action_dim)
        BEGINNINGS[initialisation](self, self.position)

    def forward(
        self,
        scaled_actions: Tensor,
        sigma: Tensor,
        goal: Tensor,
        images: Tensor | None = None,
        state: Tensor | None = None,
        draws: Tensor | None = None,
        committed: Tensor | None = None,
    ) -> DenoiserOutput:
        """The raw network on a batch, without any of the shortcuts of inference.

        scaled_actions: [B, A, d], noised and multiplied by c_in; sigma: [B]; goal: [B, goal_dim];
        images: [B, C, image_dim], features in the configured camera order; state: [B, state_dim], normalised;
        draws: [L, B, T, E], exponential, to draw the experts as while training (select_experts), or [L, B, E] to draw
        for a whole sample what is routed as one; None takes the most probable; committed: as action_tokens takes it.
        """
        condition = self.noise_embedding(sigma)
        observation = self.observation_tokens(images, state)
        x = torch.cat(
            [
                *([condition.unsqueeze(1)] if self.config.noise_token else []),
                self.goal_token(goal),
                observation,
                self.action_tokens(scaled_actions, committed),
            ],
            dim=1,
        )
        routing = []
        for layer, block in enumerate(self.stack):
            x, decision = block(x, condition, None if draws is None else draws[layer], observation.mean(1))
            routing.append(decision)
        return DenoiserOutput(self.read_out(x[:, -self.config.chunk_length :]), tuple(routing))

    @property
    def stack(self) -> list[Block]:
        """The blocks in order."""
        return cast('list[Block]', list(self.blocks))

    def release_routers(self) -> None:
        """Let go of the routers' weights: once the routing is decided nothing reads them, and they are 4 % of all."""
        for block in self.stack:
            if self.config.routing != 'dense':
                block.router.to('meta')

    def goal_token(self, goal: Tensor) -> Tensor:
        """[B, goal_dim] → [B, 1, D]."""
        return (self.goal_projection(goal) + self.position[GOAL_POSITION]).unsqueeze(1)

    def observation_tokens(self, images: Tensor | None, state: Tensor | None) -> Tensor:
        """State token, if the policy has one, then image tokens: [B, state? + C, D]."""
        tokens = []
        if self.config.state_dim:
            if state is None or state.shape[-1] != self.config.state_dim:
                got = 'none' if state is None else list(state.shape)
                raise ValueError(f'this denoiser takes a state of {self.config.state_dim} numbers, got {got}')
            tokens.append(self.state_projection(state).unsqueeze(1))
        elif state is not None:
            raise ValueError('this denoiser takes no state, and was given one')
        if self.config.cameras:
            expected = [self.config.cameras, self.config.image_dim]
            if images is None or list(images.shape[1:]) != expected:
                got = 'none' if images is None else list(images.shape)
                raise ValueError(f'this denoiser takes image features of shape [B, *{expected}], got {got}')
            tokens.append(self.image_projection(images))
        return torch.cat(tokens, dim=1) + self.position[OBSERVATION_POSITION]

    def action_tokens(self, scaled_actions: Tensor, committed: Tensor | None = None) -> Tensor:
        """[B, A, d] → [B, A, D].

        committed: [B, A], bool, the actions that are already decided and to be continued. Each is given clean, divided
        by sigma_data (which is c_in without noise), and marked as such. For a denoiser with max_committed alone.
        """
        tokens = self.action_projection(scaled_actions) + self.position[FIRST_ACTION_POSITION:]
        if committed is None:
            return tokens
        if not self.config.max_committed:
            raise ValueError('this denoiser was not trained to continue actions (max_committed is 0)')
        return tokens + committed.unsqueeze(-1) * self.committed_mark

    def read_out(self, x: Tensor) -> Tensor:
        """Action tokens after the last block → actions: [B, A, D] → [B, A, d]."""
        return self.output(self.final_norm(x))
