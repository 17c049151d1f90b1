"""The fast path: what does not depend on the noisy actions is computed once.

Two facts about MoDE make it exact. Routing depends on the noise level alone and the schedule is fixed, so which
experts run at each (step, layer) is a constant of a loaded policy. And attention is causal with the actions last, so
the keys and values of the noise, goal and observation tokens are the same whatever the actions are: they are computed
for all N noise levels in one pass, the goal's once per goal, and each step runs the A action tokens alone. The first
step may go along with that pass, so that its weights are not read once more.

Experts are read where they lie; nothing here copies a weight for a noise level, and experts that no step selects are
not kept. mode_ros.policy.layer_ops has a block's operations. sample_plain in mode_ros.policy.diffusion is the oracle.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import NamedTuple, cast

import torch
from torch import Tensor

from mode_ros.errors import UserError
from mode_ros.policy.config import DiffusionConfig
from mode_ros.policy.continuation import Known, nothing_known
from mode_ros.policy.denoiser import Denoiser
from mode_ros.policy.diffusion import SOLVERS, scalings, schedule
from mode_ros.policy.graph import LoopGraph, Prefix, record_cuda
from mode_ros.policy.layer_ops import ROW, LayerOps, Places, attend, causal_mask, keep, mix_at, mix_everywhere
from mode_ros.policy.linear import LinearMakers, LinearOp, MakeLinear, view_linear
from mode_ros.policy.products import MakeProducts, products_of
from mode_ros.policy.routing_table import decide_routing
from mode_ros.policy.stages import Interrupted, ShouldStop


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

    or, which is sooner done on a CPU, instead of the last two

        prefix, first = sampler.begin(goal_prefix, images, state, noise)
        chunk = sampler.sample(prefix, noise, first=first)
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
                make_products = partial(products_of, denoiser, LinearMakers.same(make_linear))
            products = make_products(self.routing.used)
            self._layers = tuple(
                LayerOps.of(block, products[index], self.routing, index) for index, block in enumerate(denoiser.stack)
            )
            # Keys and values begin with so many that are none.
            self._empty = -(self.config.prefix_length + self.config.chunk_length) % ROW
            self._mask = self._mask_after(self.config.prefix_length, self.config.chunk_length)

    @torch.inference_mode()
    def read_goal(self, goal: Tensor) -> Prefix:
        """Keys and values of the noise and goal tokens. goal: [B, goal_dim]."""
        steps, batch = len(self._noise), len(goal)
        noise = self._noise[:, None, None].expand(steps, batch, 1, -1)
        token = self.denoiser.goal_token(goal).expand(steps, batch, 1, -1)
        return self._extend(torch.cat([noise, token], dim=2), None)[0]

    @torch.inference_mode()
    def read_observation(
        self, goal_prefix: Prefix, images: Tensor | None = None, state: Tensor | None = None
    ) -> Prefix:
        """The whole prefix: what read_goal gave, then state and images.

        images: [B, C, image_dim] features; state: [B, state_dim], normalised; B as in read_goal.
        """
        return self._read(goal_prefix, images, state)[0]

    @torch.inference_mode()
    def begin(
        self,
        goal_prefix: Prefix,
        images: Tensor | None,
        state: Tensor | None,
        noise: Tensor,
        known: Known | None = None,
    ) -> tuple[Prefix, Tensor | None]:
        """The whole prefix, and what the network says at the first step, [B·A, D]; both for `sample`.

        noise, known: as `sample` is to be given them. A step loop that was recorded has all steps, so there is no
        first one then.
        """
        if self._graph is not None and self._graph.batch == len(noise):
            return self._read(goal_prefix, images, state)
        known = self._whole(known, len(noise))
        hidden = self._enter(noise * float(self.sigmas[0]), 0, known.clean, self._decided(known))
        return self._read(goal_prefix, images, state, hidden)

    def prepare(self, batch: int = 1) -> None:
        """Record the step loop for this batch size as one CUDA graph; on a CPU there is nothing to do.

        One launch then replaces some thousands. A recorded loop runs through: sample asks should_stop once, before it.
        """
        if self._noise.device.type == 'cuda':
            self._graph = LoopGraph(self._loop, *self._example(batch), record_cuda)

    @torch.inference_mode()
    def sample(
        self,
        prefix: Prefix,
        noise: Tensor,
        should_stop: ShouldStop | None = None,
        known: Known | None = None,
        first: Tensor | None = None,
    ) -> Tensor:
        """The configured solver over the action tokens alone.

        noise: [B, A, d], standard normal, on the sampler's device → [B, A, d], normalised actions.
        should_stop is asked before every step; once it says yes, Interrupted is raised; known: what the chunk
        continues, on any device; first: what `begin` gave.
        """
        tokens, whole = prefix.keys.shape[-2] - self._empty, self.config.prefix_length + self.config.chunk_length
        if tokens != whole:
            raise ValueError(f'this prefix has {tokens} tokens instead of {whole}: give what read_observation returned')
        if self._graph is not None and self._graph.batch == len(noise):
            if should_stop is not None and should_stop():
                raise Interrupted('stopped before the denoising steps')
            return self._graph(prefix, noise, self._whole(known, len(noise)))
        return self._loop(prefix, noise, self._whole(known, len(noise)), should_stop, first)

    def _whole(self, known: Known | None, batch: int) -> Known:
        """With every field that the step loop reads, on the device."""
        nothing = nothing_known(self.config, batch, self._noise.device)
        if known is None:
            return nothing
        if known.clean is not None and nothing.clean is None:
            raise ValueError('this denoiser was not trained to continue actions (max_committed is 0)')
        known = known.to(self._noise.device)
        return known._replace(clean=nothing.clean) if known.clean is None else known

    def _decided(self, known: Known) -> Tensor | None:
        """The tokens of what is decided, the same at every step."""
        if known.clean is None:
            return None
        return self.denoiser.action_tokens(known.target / self._sigma_data, known.clean)

    def _loop(
        self,
        prefix: Prefix,
        noise: Tensor,
        known: Known,
        should_stop: ShouldStop | None = None,
        first: Tensor | None = None,
    ) -> Tensor:
        tokens = self._decided(known)
        places = Places.of(*prefix, self.config.heads, self.config.chunk_length).by_step()

        def denoise(x: Tensor, step: int) -> Tensor:
            if should_stop is not None and should_stop():
                raise Interrupted(f'stopped before denoising step {step}')
            hidden = first if step == 0 else None
            if hidden is None:
                hidden = self._run(places[step], self._enter(x, step, known.clean, tokens), step)
            c = self._scalings[step]
            estimate = c.skip * x + c.out * self.denoiser.read_out(hidden).view_as(x)
            return torch.lerp(estimate, known.target, known.weight)

        return self._solve(denoise, noise * float(self.sigmas[0]), self.sigmas, None)

    def _example(self, batch: int) -> tuple[Prefix, Tensor, Known]:
        """A prefix, a noise and what is known, of the right shapes, all zeros."""
        config = self.config
        tokens = self._empty + config.prefix_length + config.chunk_length
        shape = config.layers, len(self._noise), batch * config.heads, tokens, config.head_dim
        zeros = self._noise.new_zeros(shape)
        noise = self._noise.new_zeros(batch, config.chunk_length, config.action_dim)
        return Prefix(zeros, zeros.clone()), noise, nothing_known(config, batch, noise.device)

    def _enter(self, x: Tensor, step: int, clean: Tensor | None, tokens: Tensor | None) -> Tensor:
        """The action tokens at one noise level, [B, A, d] → [B·A, D], which products take as it is.

        tokens: [B, A, D], instead of x's where clean, [B, A], says so.
        """
        hidden = self.denoiser.action_tokens(self._scalings[step].into * x)
        if clean is not None and tokens is not None:
            hidden = torch.where(clean.unsqueeze(-1), tokens, hidden)
        return hidden.flatten(0, 1)

    def _run(self, places: Sequence[Places], hidden: Tensor, step: int) -> Tensor:
        """Action tokens through all layers at one noise level, [B·A, D] → [B·A, D]; places: by layer."""
        condition = self._noise[step]
        for layer, place in zip(self._layers, places, strict=True):
            projected = layer.products.query_key_value(layer.attention_norm.plus(hidden, condition))
            mixed = attend(layer, projected, place, self._mask)
            z = layer.mixture_norm(layer.products.output(mixed).add_(hidden))
            hidden = mix_at(layer.uses[step], z)
        return hidden

    def _read(
        self, goal_prefix: Prefix, images: Tensor | None, state: Tensor | None, actions: Tensor | None = None
    ) -> tuple[Prefix, Tensor | None]:
        tokens = self.denoiser.observation_tokens(images, state)
        tokens = tokens.expand(len(self._noise), *tokens.shape)
        return self._extend(tokens, goal_prefix, self.config.chunk_length, actions)

    def _extend(
        self, x: Tensor, past: Prefix | None, room: int = 0, actions: Tensor | None = None
    ) -> tuple[Prefix, Tensor | None]:
        """Run new prefix tokens, [N, B, T, D], at all noise levels after those of `past`; room: for tokens to come.

        actions: the action tokens of the first step, [B·A, D], where these are to go along; returns them after the last
        layer.
        """
        steps, batch, new = x.shape[:3]
        before = self._empty if past is None else past.keys.shape[-2]
        config = self.config
        shape = config.layers, steps, batch * config.heads, before + new + room, config.head_dim
        prefix = Prefix(x.new_empty(shape), x.new_empty(shape))
        for whole, earlier in zip(prefix, past or (None, None), strict=True):
            whole[..., :before, :] = 0 if earlier is None else earlier
        keys, values = (part.flatten(1, 2)[..., : before + new, :] for part in prefix)  # without the room
        places = Places.of(keys, values, config.heads, new).by_layer()
        mask = self._mask_after(before - self._empty, new)
        condition = self._noise.repeat_interleave(batch * new, 0)
        x = x.flatten(0, 2)  # [N·B·T, D]
        tokens, last = len(x), self._layers[-1]
        first: tuple[Places, ...] = ()
        if actions is not None:
            first = Places.of(prefix.keys[:, 0], prefix.values[:, 0], config.heads, config.chunk_length).by_layer()
            x = torch.cat([x, actions])
            condition = torch.cat([condition, self._noise[:1].expand_as(actions)])
        for index, (layer, place) in enumerate(zip(self._layers[:-1], places[:-1], strict=True)):
            projected = layer.products.query_key_value(layer.attention_norm.plus(x, condition))
            mixed = attend(layer, projected[:tokens], place, mask)
            if first:
                mixed = torch.cat([mixed, attend(layer, projected[tokens:], first[index], self._mask)])
            z = layer.mixture_norm(layer.products.output(mixed).add_(x))
            x = mix_everywhere(layer.groups, z, steps, tokens)
        # Nothing reads the last layer's prefix but its keys and values.
        normed = last.attention_norm.plus(x, condition)
        if actions is None:
            keep(last, cast(LinearOp, last.products.key_value)(normed), places[-1])
            return prefix, None
        projected = last.products.query_key_value(normed)
        keep(last, projected[:tokens], places[-1])
        mixed = attend(last, projected[tokens:], first[-1], self._mask)
        z = last.mixture_norm(last.products.output(mixed).add_(x[tokens:]))
        return prefix, mix_at(last.uses[0], z)

    def _mask_after(self, past: int, new: int) -> Tensor:
        """For new tokens after past ones."""
        return causal_mask(self._empty + past, new, self._empty, self._noise.device)


def _step_scalings(sigmas: Tensor, sigma_data: float) -> tuple[_StepScalings, ...]:
    columns = (column.tolist() for column in scalings(sigmas, sigma_data))
    return tuple(_StepScalings(*row) for row in zip(*columns, strict=True))
