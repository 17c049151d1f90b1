"""A policy's whole chunk as one function of fixed shapes, to be exported: images, state, goal, noise in, actions out.

It computes what mode_ros.policy.inference computes, without that module's writing in place, which exporters do not
follow: which experts run at each (step, layer) is a constant, all steps are unrolled, and the noise tokens, which see
nothing but themselves, are constants too. Of the weights only the experts that some step uses are in it.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from mode_ros.errors import UserError
from mode_ros.policy.config import PolicyConfig
from mode_ros.policy.denoiser import Block
from mode_ros.policy.diffusion import SOLVERS, scalings, schedule
from mode_ros.policy.images import normalize_images
from mode_ros.policy.layers import RMSNorm
from mode_ros.policy.network import PolicyNetwork
from mode_ros.policy.routing_table import decide_routing
from mode_ros.policy.runtimes.graph_file import input_names


class WholeChunk(nn.Module):
    """The chunk of one observation."""

    def __init__(self, config: PolicyConfig, network: PolicyNetwork) -> None:
        """network: in float32, on the CPU, in eval mode. Raises UserError for an alternative to the published block."""
        super().__init__()
        if not config.denoiser.has_fast_path:
            raise UserError(
                f'This policy has routing {config.denoiser.routing!r} or another alternative to the published block, '
                'of which no static graph can be made: leave the runtime at torch.'
            )
        self.config = config
        self.network = network
        sigmas = schedule(config.diffusion)
        # Numbers, and none of them taken out of a tensor in forward, where an exporter would see a computation.
        self._sigmas: NDArray[np.float32] = sigmas.numpy()
        self._scalings = [column.tolist() for column in scalings(sigmas[:-1], config.diffusion.sigma_data)]
        self._names = input_names(config)
        with torch.no_grad():
            self._noise = network.denoiser.noise_embedding(sigmas[:-1])  # [N, D]
            self._routing = decide_routing(network.denoiser, self._noise)
            self._noise_keys, self._noise_values = self._noise_tokens()

    def forward(self, *inputs: Tensor) -> Tensor:
        """As mode_ros.policy.runtimes.graph_file.input_shapes names them → [1, A, d], normalised actions."""
        given = dict(zip(self._names, inputs, strict=True))
        denoiser, cameras = self.network.denoiser, len(self.config.cameras)
        goal, target, weight = given['goal'], given['target'], given['weight']
        images = [normalize_images(image.permute(0, 3, 1, 2)) for image in inputs[:cameras]]
        features = self.network.encode_images(images, goal)
        tokens = torch.cat([denoiser.goal_token(goal), denoiser.observation_tokens(features, given.get('state'))], 1)
        keys, values = self._read(tokens[0])
        clean = given.get('clean')
        sigma_data = self.config.diffusion.sigma_data
        decided = None if clean is None else denoiser.action_tokens(target / sigma_data, clean)
        skip, out, into = self._scalings

        def denoise(x: Tensor, step: int) -> Tensor:
            hidden = denoiser.action_tokens(into[step] * x)
            if decided is not None and clean is not None:
                hidden = torch.where(clean.unsqueeze(-1), decided, hidden)
            hidden = self._step(hidden[0], step, keys, values).unsqueeze(0)
            estimate = skip[step] * x + out[step] * denoiser.read_out(hidden)
            return estimate + weight * (target - estimate)

        start = given['noise'] * float(self._sigmas[0])
        return SOLVERS[self.config.diffusion.solver](denoise, start, cast(Tensor, self._sigmas), None)

    def _noise_tokens(self) -> tuple[list[Tensor], list[Tensor]]:
        """Keys and values of the noise tokens, per layer [N, H, 1, hd]: each sees itself alone."""
        keys, values = [], []
        x = self._noise.unsqueeze(1)  # [N, 1, D]
        for layer, block in enumerate(self.network.denoiser.stack):
            _, key, value = self._heads(block, _plain_norm(block.attention_norm, x) + self._noise.unsqueeze(1))
            keys.append(key)
            values.append(value)
            x = self._mix(layer, _plain_norm(block.mixture_norm, x + _flat(block.attention.output, _merge(value))))
        return keys, values

    def _read(self, tokens: Tensor) -> tuple[list[Tensor], list[Tensor]]:
        """Keys and values of all tokens before the actions, per layer [N, H, P, hd]; tokens: [P − 1, D]."""
        keys, values = [], []
        steps, new = len(self._noise), len(tokens)
        mask = _mask(1, new)
        x = tokens.expand(steps, new, -1)
        last = self.config.denoiser.layers - 1
        for layer, block in enumerate(self.network.denoiser.stack):
            h = _plain_norm(block.attention_norm, x) + self._noise.unsqueeze(1)
            query, key, value = self._heads(block, h)
            key = torch.cat([self._noise_keys[layer], key], 2)
            value = torch.cat([self._noise_values[layer], value], 2)
            keys.append(key)
            values.append(value)
            if layer < last:
                x = x + _flat(block.attention.output, _attend(query, key, value, mask))
                x = self._mix(layer, _plain_norm(block.mixture_norm, x))
        return keys, values

    def _step(self, x: Tensor, step: int, keys: list[Tensor], values: list[Tensor]) -> Tensor:
        """The action tokens, [A, D] → [A, D], at one noise level."""
        mask = _mask(keys[0].shape[2], len(x))
        for layer, block in enumerate(self.network.denoiser.stack):
            h = _plain_norm(block.attention_norm, x) + self._noise[step]
            query, key, value = (part.squeeze(0) for part in self._heads(block, h.unsqueeze(0)))
            key, value = torch.cat([keys[layer][step], key], 1), torch.cat([values[layer][step], value], 1)
            z = _plain_norm(block.mixture_norm, x + block.attention.output(_attend(query, key, value, mask)))
            x = z
            experts, shares = self._routing.experts[step][layer], self._routing.weights[step][layer]
            for expert, share in zip(experts, shares, strict=True):
                x = x + share * block.mixture.expert(expert, z)
        return x

    def _heads(self, block: Block, h: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """[n, T, D] → queries, keys, values, each [n, H, T, hd]; the scores' scale is in the keys."""
        attention = block.attention
        count, width = attention.heads, self.config.denoiser.head_dim
        projected = _flat(attention.query_key_value, h).unflatten(-1, (3 * count, width)).transpose(1, 2)
        query, key, value = projected.split(count, 1)
        gain = attention.query_norm.gain * attention.key_norm.gain * width**0.5  # of both, over the scores' √hd
        return _direction(attention.query_norm, query), _direction(attention.key_norm, key) * gain, value

    def _mix(self, layer: int, z: Tensor) -> Tensor:
        """The mixture of experts at all noise levels, [N, T, D] → [N, T, D]: each expert once, on its steps."""
        block = self.network.denoiser.stack[layer]
        steps, places = range(self.config.diffusion.steps), range(self.config.denoiser.top_k)
        uses = [(step, place) for step in steps for place in places]
        experts = {(step, place): self._routing.experts[step][layer][place] for step, place in uses}
        rows: dict[tuple[int, int], int] = {}
        outputs = []
        for expert in sorted(set(experts.values())):
            own = [use for use in uses if experts[use] == expert]
            rows.update({use: len(rows) + number for number, use in enumerate(own)})
            outputs.append(_flat(partial(block.mixture.expert, expert), z[[step for step, _ in own]]))
        whole, out = torch.cat(outputs), z
        for place in places:
            share = z.new_tensor([self._routing.weights[step][layer][place] for step in steps])
            out = out + share[:, None, None] * whole[[rows[step, place] for step in steps]]
        return out


def _flat(product: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """A product of [n, T, ·] as one of [n·T, ·], as the steps compute it: so that both read the same matrix."""
    return product(x.flatten(0, 1)).unflatten(0, x.shape[:2])


def _direction(norm: RMSNorm, x: Tensor) -> Tensor:
    """[..., n], of length 1."""
    return x / torch.linalg.vector_norm(x, dim=-1, keepdim=True).clamp_min(norm.eps * x.shape[-1] ** 0.5)


def _plain_norm(norm: RMSNorm, x: Tensor) -> Tensor:
    return _direction(norm, x) * (norm.gain * x.shape[-1] ** 0.5)


def _attend(query: Tensor, key: Tensor, value: Tensor, mask: Tensor) -> Tensor:
    """query: [..., H, T, hd], key, value: [..., H, S, hd] → [..., T, D]."""
    return _merge((query @ key.transpose(-1, -2) + mask).softmax(-1) @ value)


def _merge(heads: Tensor) -> Tensor:
    return heads.transpose(-3, -2).flatten(-2)


def _mask(past: int, new: int) -> Tensor:
    """[new, past + new], added to the scores: 0 where a new token may look."""
    hidden = torch.ones(new, past + new, dtype=torch.bool).triu(past + 1)
    return torch.zeros(hidden.shape).masked_fill(hidden, float('-inf'))
