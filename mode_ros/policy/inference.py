"""The fast path: what does not depend on the noisy actions is computed once.

Two facts about MoDE make it exact. Routing depends on the noise level alone and the schedule is fixed, so which
experts run at each (step, layer) is a constant of a loaded policy. And attention is causal with the actions last, so
the keys and values of the noise, goal and observation tokens are the same whatever the actions are: they are computed
for all N noise levels in one pass, the goal's once per goal, and each step runs the A action tokens alone.

Experts are read where they lie; nothing here copies a weight for a noise level. sample_plain in
mode_ros.policy.diffusion is the oracle.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple, cast

import torch
import torch.nn.functional as F
from torch import Tensor

from mode_ros.errors import UserError
from mode_ros.policy.config import DiffusionConfig
from mode_ros.policy.denoiser import Block, Denoiser
from mode_ros.policy.diffusion import SOLVERS, scalings, schedule
from mode_ros.policy.graph import LoopGraph, Prefix, record_cuda
from mode_ros.policy.layers import gate, merge_heads, split_heads
from mode_ros.policy.linear import LinearMakers, LinearOp, MakeLinear, view_linear
from mode_ros.policy.products import LayerProducts, MakeProducts, products_of
from mode_ros.policy.routing import select_experts

ShouldStop = Callable[[], bool]


class Interrupted(Exception):
    """Sampling was asked to stop between two steps; there is no chunk."""


class RoutingTable(NamedTuple):
    """Who runs when: plain numbers, so that the step loop never waits for a device to tell."""

    experts: tuple[tuple[tuple[int, ...], ...], ...]  # [step][layer][k]
    weights: tuple[tuple[tuple[float, ...], ...], ...]  # [step][layer][k], summing to 1 over k


class _ExpertGroup(NamedTuple):
    """The steps at which a layer uses one expert, for the pass over all noise levels at once."""

    expert: int
    steps: Tensor  # [n], int64
    weights: Tensor  # [n, 1, 1, 1]


class _LayerOps(NamedTuple):
    """One block as inference runs it."""

    block: Block
    products: LayerProducts
    groups: tuple[_ExpertGroup, ...]


class _StepScalings(NamedTuple):
    skip: float
    out: float
    into: float


class ChunkSampler:
    """Samples action chunks from a denoiser at a fixed schedule.

    Built by this one call, which decides everything that can be decided ahead. It reads the denoiser's weights in
    place; after they were changed, moved or replaced, build a new one. Use it as

        goal_prefix = sampler.read_goal(goal)                            # once per goal
        prefix = sampler.read_observation(goal_prefix, images, state)    # once per chunk
        chunk = sampler.sample(prefix, noise)
    """

    def __init__(
        self,
        denoiser: Denoiser,
        diffusion: DiffusionConfig,
        make_linear: MakeLinear = view_linear,
        make_products: MakeProducts | None = None,
    ) -> None:
        """denoiser: on its final device; diffusion: noise levels, step count, solver; make_linear: see MakeLinear.

        make_products: gives the products, one for each layer, instead of make_linear; called when the routing has been
        decided. Of the denoiser's own tensors those in product_names are then never touched, nor are the routers after
        that call: they may be on the meta device.

        Raises UserError for a denoiser with an alternative to the published block, of which the two facts above are not
        true; PlainSampler takes it.
        """
        if not denoiser.config.is_published:
            raise UserError(
                f'This denoiser has routing {denoiser.config.routing!r} or another alternative to the published block, '
                'and the fast path computes the published one alone; it runs with the plain sampler, in float32.'
            )
        self.denoiser = denoiser
        self._solve = SOLVERS[diffusion.solver]
        self._graph: LoopGraph | None = None
        self.config = denoiser.config
        self.sigmas = schedule(diffusion)
        self._scalings = _step_scalings(self.sigmas[:-1], diffusion.sigma_data)
        with torch.inference_mode():
            device = denoiser.position.device
            self._noise = denoiser.noise_embedding(self.sigmas[:-1].to(device))  # [N, D]
            self.routing = _decide_routing(denoiser, self._noise)
            if make_products is None:
                products: Sequence[LayerProducts] = products_of(denoiser, LinearMakers(make_linear, make_linear))
            else:
                products = make_products()
            self._layers = tuple(
                _LayerOps(block, products[index], _expert_groups(self.routing, index, device))
                for index, block in enumerate(denoiser.stack)
            )
            self._mask = _action_mask(self.config.prefix_length, self.config.chunk_length, device)

    @torch.inference_mode()
    def read_goal(self, goal: Tensor) -> Prefix:
        """Keys and values of the noise and goal tokens. goal: [B, goal_dim]."""
        steps, batch = len(self._noise), len(goal)
        noise = self._noise[:, None, None].expand(steps, batch, 1, -1)
        token = self.denoiser.goal_token(goal).expand(steps, batch, 1, -1)
        return self._extend(torch.cat([noise, token], dim=2), None)

    @torch.inference_mode()
    def read_observation(
        self, goal_prefix: Prefix, images: Tensor | None = None, state: Tensor | None = None
    ) -> Prefix:
        """The whole prefix: what read_goal gave, then state and images.

        images: [B, C, image_dim] features; state: [B, state_dim], normalised; B as in read_goal.
        """
        tokens = self.denoiser.observation_tokens(images, state)
        return self._extend(tokens.expand(len(self._noise), *tokens.shape), goal_prefix)

    def prepare(self, batch: int = 1) -> None:
        """Record the step loop for this batch size as one CUDA graph; on a CPU there is nothing to do.

        One launch then replaces some thousands. A recorded loop runs through: sample asks should_stop once, before it.
        """
        if self._noise.device.type == 'cuda':
            self._graph = LoopGraph(self._loop, *self._example(batch), record_cuda)

    @torch.inference_mode()
    def sample(self, prefix: Prefix, noise: Tensor, should_stop: ShouldStop | None = None) -> Tensor:
        """The configured solver over the action tokens alone.

        noise: [B, A, d], standard normal, on the sampler's device → [B, A, d], normalised actions.
        should_stop is asked before every step; once it says yes, Interrupted is raised.
        """
        tokens = prefix.keys[0].shape[-2]
        if tokens != self.config.prefix_length:
            raise ValueError(
                f'this prefix has {tokens} of {self.config.prefix_length} tokens: give what read_observation returned'
            )
        if self._graph is not None and self._graph.batch == len(noise):
            if should_stop is not None and should_stop():
                raise Interrupted('stopped before the denoising steps')
            return self._graph(prefix, noise)
        return self._loop(prefix, noise, should_stop)

    def _loop(self, prefix: Prefix, noise: Tensor, should_stop: ShouldStop | None = None) -> Tensor:
        def denoise(x: Tensor, step: int) -> Tensor:
            if should_stop is not None and should_stop():
                raise Interrupted(f'stopped before denoising step {step}')
            return self._denoise(prefix, x, step)

        return self._solve(denoise, noise * float(self.sigmas[0]), self.sigmas, None)

    def _example(self, batch: int) -> tuple[Prefix, Tensor]:
        """A prefix and a noise of the right shapes, all zeros."""
        config = self.config
        shape = (len(self._noise), batch, config.heads, config.prefix_length, config.head_dim)
        zeros = tuple(self._noise.new_zeros(shape) for _ in self._layers)
        noise = self._noise.new_zeros(batch, config.chunk_length, config.action_dim)
        return Prefix(zeros, tuple(map(torch.zeros_like, zeros))), noise

    def _denoise(self, prefix: Prefix, x: Tensor, step: int) -> Tensor:
        """[B, A, d] → [B, A, d] at one noise level."""
        c = self._scalings[step]
        condition = self._noise[step]
        hidden = self.denoiser.action_tokens(c.into * x)
        for index, layer in enumerate(self._layers):
            h = layer.block.attention_norm(hidden) + condition
            query, key, value = self._heads(layer, layer.products.query_key_value(h))
            key = torch.cat([prefix.keys[index][step], key], dim=-2)
            value = torch.cat([prefix.values[index][step], value], dim=-2)
            mixed = F.scaled_dot_product_attention(query, key, value, attn_mask=self._mask)
            z = layer.block.mixture_norm(hidden + layer.products.output(merge_heads(mixed)))
            hidden = z
            selected = zip(self.routing.experts[step][index], self.routing.weights[step][index], strict=True)
            for expert, weight in selected:
                expert_out = layer.products.down[expert](gate(layer.products.up[expert](z)))
                hidden = torch.add(hidden, expert_out, alpha=weight)
        return c.skip * x + c.out * self.denoiser.read_out(hidden)

    def _extend(self, x: Tensor, past: Prefix | None) -> Prefix:
        """Run new prefix tokens, [N, B, T, D], at all noise levels after those of `past`."""
        keys, values = [], []
        condition = self._noise[:, None, None]
        for index, layer in enumerate(self._layers):
            h = layer.block.attention_norm(x) + condition
            last = index == len(self._layers) - 1
            if last:  # Nothing reads the last layer's prefix but its keys and values.
                projected = cast(LinearOp, layer.products.key_value)(h)
                key, value = (split_heads(part, self.config.heads) for part in projected.chunk(2, dim=-1))
                key = layer.block.attention.key_norm(key)
            else:
                query, key, value = self._heads(layer, layer.products.query_key_value(h))
            if past is not None:
                key = torch.cat([past.keys[index], key], dim=-2)
                value = torch.cat([past.values[index], value], dim=-2)
            keys.append(key)
            values.append(value)
            if not last:
                x = self._rest_of_block(layer, x, query, key, value)
        return Prefix(tuple(keys), tuple(values))

    def _heads(self, layer: _LayerOps, projected: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """[..., T, 3D] → normed query, normed key, value; each [..., H, T, hd]."""
        query, key, value = (split_heads(part, self.config.heads) for part in projected.chunk(3, dim=-1))
        return layer.block.attention.query_norm(query), layer.block.attention.key_norm(key), value

    def _rest_of_block(self, layer: _LayerOps, x: Tensor, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        """Attention's output and the mixture, at all noise levels: [N, B, T, D] → [N, B, T, D]."""
        new = query.shape[-2]
        mask = _action_mask(key.shape[-2] - new, new, x.device)
        query, key, value = (part.flatten(0, 1) for part in (query, key, value))  # to the [batch, H, T, hd] torch takes
        mixed = F.scaled_dot_product_attention(query, key, value, attn_mask=mask).view(*x.shape[:2], *query.shape[1:])
        z = layer.block.mixture_norm(x + layer.products.output(merge_heads(mixed)))
        out = z.clone()
        for expert, steps, weights in layer.groups:
            y = layer.products.down[expert](gate(layer.products.up[expert](z.index_select(0, steps))))
            out.index_add_(0, steps, y * weights)
        return out


def _step_scalings(sigmas: Tensor, sigma_data: float) -> tuple[_StepScalings, ...]:
    columns = (column.tolist() for column in scalings(sigmas, sigma_data))
    return tuple(_StepScalings(*row) for row in zip(*columns, strict=True))


def _decide_routing(denoiser: Denoiser, noise: Tensor) -> RoutingTable:
    """noise: [N, D], the embedded levels. The one place where numbers leave the device."""
    experts, weights = [], []
    for block in denoiser.stack:
        decision = select_experts(block.router.probabilities(noise), block.router.top_k)
        experts.append([tuple(row) for row in decision.experts.tolist()])
        weights.append([tuple(row) for row in decision.weights.tolist()])
    return RoutingTable(tuple(zip(*experts, strict=True)), tuple(zip(*weights, strict=True)))


def _expert_groups(routing: RoutingTable, layer: int, device: torch.device) -> tuple[_ExpertGroup, ...]:
    uses: dict[int, list[tuple[int, float]]] = {}
    for step, (experts, weights) in enumerate(zip(routing.experts, routing.weights, strict=True)):
        for expert, weight in zip(experts[layer], weights[layer], strict=True):
            uses.setdefault(expert, []).append((step, weight))
    return tuple(
        _ExpertGroup(
            expert,
            torch.tensor([step for step, _ in used], device=device),
            torch.tensor([weight for _, weight in used], device=device).view(-1, 1, 1, 1),
        )
        for expert, used in sorted(uses.items())
    )


def _action_mask(past: int, new: int, device: torch.device) -> Tensor:
    """True where a new token may look: at everything past, and at the new ones up to itself. [new, past + new]."""
    return torch.ones(new, past + new, dtype=torch.bool, device=device).tril(past)
