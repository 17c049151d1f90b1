"""The fast path: what does not depend on the noisy actions is computed once.

Two facts about MoDE make it exact. Routing depends on the noise level alone and the schedule is fixed, so which
experts run at each (step, layer) is a constant of a loaded policy. And attention is causal with the actions last, so
the keys and values of the noise, goal and observation tokens are the same whatever the actions are: they are computed
for all N noise levels in one pass, the goal's once per goal, and each step runs the A action tokens alone.

Experts are read where they lie; nothing here copies a weight for a noise level, and experts that no step selects are
not kept. At batch 1 a step of a small network is bound by the number of operations, hence _Norm, _attend and _keep,
which compute what Block does with fewer. sample_plain in mode_ros.policy.diffusion is the oracle.
"""

from __future__ import annotations

from functools import partial
from itertools import chain
from typing import NamedTuple, cast

import torch
from torch import Tensor

from mode_ros.errors import UserError
from mode_ros.policy.config import DiffusionConfig
from mode_ros.policy.continuation import Known, nothing_known
from mode_ros.policy.denoiser import Block, Denoiser
from mode_ros.policy.diffusion import SOLVERS, scalings, schedule
from mode_ros.policy.graph import LoopGraph, Prefix, record_cuda
from mode_ros.policy.layers import RMSNorm, gate, merge_heads
from mode_ros.policy.linear import LinearMakers, LinearOp, MakeLinear, view_linear
from mode_ros.policy.products import LayerProducts, MakeProducts, products_of
from mode_ros.policy.stages import Interrupted, ShouldStop


class RoutingTable(NamedTuple):
    """Who runs when: plain numbers, so that the step loop never waits for a device to tell."""

    experts: tuple[tuple[tuple[int, ...], ...], ...]  # [step][layer][k]
    weights: tuple[tuple[tuple[float, ...], ...], ...]  # [step][layer][k], summing to 1 over k

    @property
    def used(self) -> tuple[frozenset[int], ...]:
        """[layer], the experts that any step uses."""
        return tuple(frozenset(chain.from_iterable(steps)) for steps in zip(*self.experts, strict=True))


class _ExpertGroup(NamedTuple):
    """The steps at which a layer uses one expert, for the pass over all noise levels at once."""

    expert: int
    steps: Tensor  # [n], int64
    weights: Tensor  # [n, 1, 1]


class _Norm(NamedTuple):
    """RMSNorm with what does not depend on x computed ahead: x / max(‖x‖₂, eps·√D) · (gain·√D)."""

    gain: Tensor  # [D], times √D
    floor: float

    @classmethod
    def of(cls, norm: RMSNorm) -> _Norm:
        root = len(norm.gain) ** 0.5
        return cls(norm.gain.detach() * root, norm.eps * root)

    def direction(self, x: Tensor) -> Tensor:
        """[..., D], of length 1."""
        return x / torch.linalg.vector_norm(x, dim=-1, keepdim=True).clamp_min_(self.floor)

    def __call__(self, x: Tensor) -> Tensor:
        return self.direction(x).mul_(self.gain)

    def plus(self, x: Tensor, condition: Tensor) -> Tensor:
        """The norm of x, and the condition added."""
        return torch.addcmul(condition, self.direction(x), self.gain)


class _LayerOps(NamedTuple):
    """One block as inference runs it."""

    heads: int
    attention_norm: _Norm
    head_norm: _Norm  # of queries and of keys
    mixture_norm: _Norm
    products: LayerProducts
    groups: tuple[_ExpertGroup, ...]

    @classmethod
    def of(cls, block: Block, products: LayerProducts, groups: tuple[_ExpertGroup, ...]) -> _LayerOps:
        attention = block.attention
        query_norm, key_norm = _Norm.of(attention.query_norm), _Norm.of(attention.key_norm)
        # A score is q·k/√hd. Both gains and the scale are put into the keys, so that the queries need none.
        head_gain = query_norm.gain * key_norm.gain * len(key_norm.gain) ** -0.5
        head_norm = _Norm(head_gain, key_norm.floor)
        norms = _Norm.of(block.attention_norm), head_norm, _Norm.of(block.mixture_norm)
        return cls(attention.heads, *norms, products, groups)


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
        decided, with the experts that it needs. Of the denoiser's own tensors those in product_names are then never
        touched, nor are the routers after that call: they may be on the meta device.

        Raises UserError for a denoiser with an alternative to the published block, of which the two facts above are not
        true; PlainSampler takes it.
        """
        if not denoiser.config.has_fast_path:
            raise UserError(
                f'This denoiser has routing {denoiser.config.routing!r} or another alternative to the published block, '
                'and the fast path computes the published one alone; it runs with the plain sampler, in float32.'
            )
        self.denoiser = denoiser
        self._solve = SOLVERS[diffusion.solver]
        self._graph: LoopGraph | None = None
        self.config = denoiser.config
        self.sigmas = schedule(diffusion)
        self._sigma_data = diffusion.sigma_data
        self._scalings = _step_scalings(self.sigmas[:-1], diffusion.sigma_data)
        with torch.inference_mode():
            device = denoiser.position.device
            self._noise = denoiser.noise_embedding(self.sigmas[:-1].to(device))  # [N, D]
            self.routing = decide_routing(denoiser, self._noise)
            if make_products is None:
                make_products = partial(products_of, denoiser, LinearMakers(make_linear, make_linear))
            products = make_products(self.routing.used)
            self._layers = tuple(
                _LayerOps.of(block, products[index], _expert_groups(self.routing, index, device))
                for index, block in enumerate(denoiser.stack)
            )
            self._mask = _causal_mask(self.config.prefix_length, self.config.chunk_length, device)

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
        return self._extend(tokens.expand(len(self._noise), *tokens.shape), goal_prefix, self.config.chunk_length)

    def prepare(self, batch: int = 1) -> None:
        """Record the step loop for this batch size as one CUDA graph; on a CPU there is nothing to do.

        One launch then replaces some thousands. A recorded loop runs through: sample asks should_stop once, before it.
        """
        if self._noise.device.type == 'cuda':
            self._graph = LoopGraph(self._loop, *self._example(batch), record_cuda)

    @torch.inference_mode()
    def sample(
        self, prefix: Prefix, noise: Tensor, should_stop: ShouldStop | None = None, known: Known | None = None
    ) -> Tensor:
        """The configured solver over the action tokens alone.

        noise: [B, A, d], standard normal, on the sampler's device → [B, A, d], normalised actions.
        should_stop is asked before every step; once it says yes, Interrupted is raised; known: what the chunk
        continues, on any device.
        """
        tokens, whole = prefix.keys[0].shape[-2], self.config.prefix_length + self.config.chunk_length
        if tokens != whole:
            raise ValueError(f'this prefix has {tokens} tokens instead of {whole}: give what read_observation returned')
        if self._graph is not None and self._graph.batch == len(noise):
            if should_stop is not None and should_stop():
                raise Interrupted('stopped before the denoising steps')
            return self._graph(prefix, noise, self._whole(known, len(noise)))
        return self._loop(prefix, noise, self._whole(known, len(noise)), should_stop)

    def _whole(self, known: Known | None, batch: int) -> Known:
        """With every field that the step loop reads, on the device."""
        nothing = nothing_known(self.config, batch, self._noise.device)
        if known is None:
            return nothing
        if known.clean is not None and nothing.clean is None:
            raise ValueError('this denoiser was not trained to continue actions (max_committed is 0)')
        known = known.to(self._noise.device)
        return known._replace(clean=nothing.clean) if known.clean is None else known

    def _loop(self, prefix: Prefix, noise: Tensor, known: Known, should_stop: ShouldStop | None = None) -> Tensor:
        tokens = None
        if known.clean is not None:  # the same at every step
            tokens = self.denoiser.action_tokens(known.target / self._sigma_data, known.clean)

        def denoise(x: Tensor, step: int) -> Tensor:
            if should_stop is not None and should_stop():
                raise Interrupted(f'stopped before denoising step {step}')
            return torch.lerp(self._denoise(prefix, x, step, known.clean, tokens), known.target, known.weight)

        return self._solve(denoise, noise * float(self.sigmas[0]), self.sigmas, None)

    def _example(self, batch: int) -> tuple[Prefix, Tensor, Known]:
        """A prefix, a noise and what is known, of the right shapes, all zeros."""
        config = self.config
        tokens = config.prefix_length + config.chunk_length
        shape = (len(self._noise), batch * config.heads, tokens, config.head_dim)
        zeros = tuple(self._noise.new_zeros(shape) for _ in self._layers)
        noise = self._noise.new_zeros(batch, config.chunk_length, config.action_dim)
        return Prefix(zeros, tuple(map(torch.zeros_like, zeros))), noise, nothing_known(config, batch, noise.device)

    def _denoise(self, prefix: Prefix, x: Tensor, step: int, clean: Tensor | None, tokens: Tensor | None) -> Tensor:
        """[B, A, d] → [B, A, d] at one noise level; tokens: [B, A, D], instead of x's where clean, [B, A], says so."""
        c = self._scalings[step]
        condition = self._noise[step]
        hidden = self.denoiser.action_tokens(c.into * x)
        if clean is not None and tokens is not None:
            hidden = torch.where(clean.unsqueeze(-1), tokens, hidden)
        hidden = hidden.flatten(0, 1)  # [B·A, D], which products take as it is
        for index, layer in enumerate(self._layers):
            keys, values = prefix.keys[index][step], prefix.values[index][step]
            projected = layer.products.query_key_value(layer.attention_norm.plus(hidden, condition))
            mixed = _attend(layer, projected, keys, values, self._mask)
            z = layer.mixture_norm(hidden + layer.products.output(mixed))
            experts, weights = self.routing.experts[step][index], self.routing.weights[step][index]
            encoded = layer.products.up[experts[0]].encode(z)  # the same for all of them
            hidden = z
            for expert, weight in zip(experts, weights, strict=True):
                expert_out = layer.products.down[expert](gate(layer.products.up[expert].product(encoded)))
                hidden = torch.add(hidden, expert_out, alpha=weight)
        return c.skip * x + c.out * self.denoiser.read_out(hidden).view_as(x)

    def _extend(self, x: Tensor, past: Prefix | None, room: int = 0) -> Prefix:
        """Run new prefix tokens, [N, B, T, D], at all noise levels after those of `past`; room: for tokens to come."""
        all_keys, all_values = [], []
        steps, batch, new = x.shape[:3]
        before = 0 if past is None else past.keys[0].shape[-2]
        mask = _causal_mask(before, new, x.device)
        condition = self._noise.repeat_interleave(batch * new, 0)
        x = x.flatten(0, 2)  # [N·B·T, D]
        for index, layer in enumerate(self._layers):
            shape = steps, batch * self.config.heads, before + new + room, self.config.head_dim
            keys, values = x.new_empty(shape), x.new_empty(shape)
            if past is not None:
                keys[..., :before, :].copy_(past.keys[index])
                values[..., :before, :].copy_(past.values[index])
            all_keys.append(keys)
            all_values.append(values)
            keys, values = (part.flatten(0, 1)[:, : before + new] for part in (keys, values))  # without the room
            h = layer.attention_norm.plus(x, condition)
            if index == len(self._layers) - 1:  # Nothing reads the last layer's prefix but its keys and values.
                _keep(layer, cast(LinearOp, layer.products.key_value)(h), keys, values, new)
            else:
                mixed = _attend(layer, layer.products.query_key_value(h), keys, values, mask)
                x = self._mix(layer, layer.mixture_norm(x + layer.products.output(mixed)), steps)
        return Prefix(tuple(all_keys), tuple(all_values))

    def _mix(self, layer: _LayerOps, z: Tensor, steps: int) -> Tensor:
        """The mixture of experts, at all noise levels: [N·B·T, D] → [N·B·T, D]."""
        z = z.unflatten(0, (steps, -1))
        out = z.clone()
        for expert, chosen, weights in layer.groups:
            y = layer.products.down[expert](gate(layer.products.up[expert](z.index_select(0, chosen))))
            out.index_add_(0, chosen, y.mul_(weights))
        return out.flatten(0, 1)


def _attend(layer: _LayerOps, projected: Tensor, keys: Tensor, values: Tensor, mask: Tensor) -> Tensor:
    """Causal attention of new tokens over those before and themselves, for n sequences (observations, noise levels).

    projected: [n·T, 3D]; keys, values: [n·H, S, hd], whose last T are written here; mask: [T, S], added to the scores
    → [n·T, D]. At these sizes products written out are faster than torch's attention.
    """
    new = len(mask)
    queries = _keep(layer, projected, keys, values, new)
    scores = torch.bmm(queries, keys.transpose(1, 2)).add_(mask)
    mixed = torch.bmm(scores.softmax(-1), values)  # [n·H, T, hd]
    return merge_heads(mixed.unflatten(0, (-1, layer.heads))).flatten(0, 1)


def _keep(layer: _LayerOps, projected: Tensor, keys: Tensor, values: Tensor, new: int) -> Tensor:
    """Write new tokens' keys and values as the last of `keys` and `values`, both [n·H, S, hd]; returns the queries.

    projected: [n·T, 3D] or, without queries, [n·T, 2D] → [n·H, T, hd] or [0, T, hd]. The norms' gains and the scores'
    scale are in the keys.
    """
    heads, width = layer.heads, len(layer.head_norm.gain)
    parts = projected.view(-1, new, projected.shape[-1] // width, width).transpose(1, 2)  # [n, 3H or 2H, T, hd]
    normed = layer.head_norm.direction(parts[:, :-heads])
    latest = len(parts), heads, new, width
    torch.mul(normed[:, -heads:], layer.head_norm.gain, out=keys[:, -new:].view(latest))
    values[:, -new:].view(latest).copy_(parts[:, -heads:])
    return normed[:, :-heads].flatten(0, 1)


def _step_scalings(sigmas: Tensor, sigma_data: float) -> tuple[_StepScalings, ...]:
    columns = (column.tolist() for column in scalings(sigmas, sigma_data))
    return tuple(_StepScalings(*row) for row in zip(*columns, strict=True))


def decide_routing(denoiser: Denoiser, noise: Tensor) -> RoutingTable:
    """noise: [N, D], the embedded levels. The one place where numbers leave the device."""
    experts, weights = [], []
    for block in denoiser.stack:
        decision = block.router(noise)
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
            torch.tensor([weight for _, weight in used], device=device).view(-1, 1, 1),
        )
        for expert, used in sorted(uses.items())
    )


def _causal_mask(past: int, new: int, device: torch.device) -> Tensor:
    """[new, past + new], added to the scores: 0 where a new token may look, at all past ones and up to itself."""
    hidden = torch.ones(new, past + new, dtype=torch.bool, device=device).triu(past + 1)
    return torch.zeros(hidden.shape, device=device).masked_fill(hidden, float('-inf'))
