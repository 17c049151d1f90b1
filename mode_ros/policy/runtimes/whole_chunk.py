"""A policy's whole chunk as one function of fixed shapes, to be exported: images, state, goal, noise in, actions out.

It computes what mode_ros.policy.inference computes, without that module's writing in place, which exporters do not
follow: which experts run at each (step, layer) is a constant, all steps are unrolled, and the noise tokens, which see
nothing but themselves, are constants too. Of the weights only the experts that some step uses are in it.
"""

from __future__ import annotations

from typing import cast

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from mode_ros.errors import UserError
from mode_ros.policy.config import PolicyConfig
from mode_ros.policy.denoiser import Block
from mode_ros.policy.diffusion import SOLVERS, scalings, schedule
from mode_ros.policy.images import normalize_images
from mode_ros.policy.layers import RMSNorm, gate
from mode_ros.policy.mixture import Mixture
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
        x = self._noise  # [N, D]
        for layer, block in enumerate(self.network.denoiser.stack):
            _, key, value = self._heads(block, _norm(block.attention_norm, x) + self._noise, 1)
            keys.append(key)
            values.append(value)
            z = _norm(block.mixture_norm, _onto(x, _merge(value), block.attention.output.weight))
            x = self._mix(layer, z)
        return keys, values

    def _read(self, tokens: Tensor) -> tuple[list[Tensor], list[Tensor]]:
        """Keys and values of all tokens before the actions, per layer [N, H, P, hd]; tokens: [P − 1, D]."""
        keys, values = [], []
        steps, new = len(self._noise), len(tokens)
        mask, condition = _mask(1, new), self._noise.repeat_interleave(new, 0)
        x = tokens.repeat(steps, 1)  # [N·T, D]
        last = self.config.denoiser.layers - 1
        for layer, block in enumerate(self.network.denoiser.stack):
            query, key, value = self._heads(block, _norm(block.attention_norm, x) + condition, new)
            key = torch.cat([self._noise_keys[layer], key], 2)
            value = torch.cat([self._noise_values[layer], value], 2)
            keys.append(key)
            values.append(value)
            if layer < last:
                x = _onto(x, _attend(query, key, value, mask), block.attention.output.weight)
                x = self._mix(layer, _norm(block.mixture_norm, x))
        return keys, values

    def _step(self, x: Tensor, step: int, keys: list[Tensor], values: list[Tensor]) -> Tensor:
        """The action tokens, [A, D] → [A, D], at one noise level."""
        mask = _mask(keys[0].shape[2], len(x))
        for layer, block in enumerate(self.network.denoiser.stack):
            query, key, value = self._heads(block, _norm(block.attention_norm, x) + self._noise[step], len(x))
            key = torch.cat([keys[layer][step : step + 1], key], 2)
            value = torch.cat([values[layer][step : step + 1], value], 2)
            x = _onto(x, _attend(query, key, value, mask), block.attention.output.weight)
            x = z = _norm(block.mixture_norm, x)
            experts, shares = self._routing.experts[step][layer], self._routing.weights[step][layer]
            for expert, share in zip(experts, shares, strict=True):
                x = _onto(x, _gated(block.mixture, expert, z), block.mixture.down_weight[expert], share)
        return x

    def _heads(self, block: Block, h: Tensor, tokens: int) -> tuple[Tensor, Tensor, Tensor]:
        """[n·T, D] → queries, keys, values, each [n, H, T, hd]; the scores' scale is in the keys."""
        attention = block.attention
        count, width = attention.heads, self.config.denoiser.head_dim
        projected = attention.query_key_value(h).view(-1, tokens, 3 * count, width).transpose(1, 2)
        query, key, value = projected.split(count, 1)
        return _norm(attention.query_norm, query), _norm(attention.key_norm, key, width**-0.5), value

    def _mix(self, layer: int, z: Tensor) -> Tensor:
        """The mixture of experts at all noise levels, [N·T, D] → [N·T, D]: each expert once, on its steps."""
        mixture = self.network.denoiser.stack[layer].mixture
        count, top_k = self.config.diffusion.steps, self.config.denoiser.top_k
        experts = np.asarray([self._routing.experts[step][layer] for step in range(count)])  # [N, k]
        shares = np.asarray([self._routing.weights[step][layer] for step in range(count)], np.float32)
        tokens = len(z) // count
        rows = np.arange(len(z)).reshape(count, tokens)
        place = np.empty((count, top_k, tokens), np.int64)  # of each token's own in what all experts give
        outputs, given = [], 0
        for expert in np.unique(experts):
            steps, places = np.nonzero(experts == expert)
            own = rows[steps]
            place[steps, places] = given + np.arange(own.size).reshape(own.shape)
            given += own.size
            hidden = _gated(mixture, int(expert), z[torch.from_numpy(own.ravel())])
            # Onto nothing, so that the matrix lies as in the steps, and is there once.
            outputs.append(_onto(z.new_zeros(1), hidden, mixture.down_weight[int(expert)]))
        whole, out = torch.cat(outputs), z
        for number in range(top_k):
            share = torch.from_numpy(shares[:, number].repeat(tokens)).unsqueeze(1)
            out = out + share * whole[torch.from_numpy(place[:, number].ravel())]
        return out


def _norm(norm: RMSNorm, x: Tensor, scale: float = 1.0) -> Tensor:
    """RMSNorm written as runtimes know it, which make one operation of it.

    Its floor is under the root, which matters where a token is all but zero.
    """
    return x / (x.pow(2).mean(-1, keepdim=True) + norm.eps**2).sqrt() * (norm.gain * scale)


def _onto(x: Tensor, y: Tensor, weight: Tensor, share: float = 1.0) -> Tensor:
    """The sum x + share · y·weightᵀ, in one operation."""
    return torch.addmm(x, y, weight.t(), alpha=share)


def _gated(mixture: Mixture, expert: int, z: Tensor) -> Tensor:
    """What an expert has inside: [n, D] → [n, 4D]."""
    return gate(F.linear(z, mixture.up_weight[expert], mixture.up_bias[expert]))


def _attend(query: Tensor, key: Tensor, value: Tensor, mask: Tensor) -> Tensor:
    """query: [n, H, T, hd], key, value: [n, H, S, hd] → [n·T, D]."""
    return _merge((query @ key.transpose(-1, -2) + mask).softmax(-1) @ value)


def _merge(heads: Tensor) -> Tensor:
    """[n, H, T, hd] → [n·T, D]."""
    return heads.transpose(1, 2).reshape(-1, heads.shape[1] * heads.shape[3])


def _mask(past: int, new: int) -> Tensor:
    """[new, past + new], added to the scores: 0 where a new token may look."""
    hidden = torch.ones(new, past + new, dtype=torch.bool).triu(past + 1)
    return torch.zeros(hidden.shape).masked_fill(hidden, float('-inf'))
