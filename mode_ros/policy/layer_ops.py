"""One block as inference runs it: at batch 1 a small network waits for the number of operations, so these are few.

They compute what Block does. Where something looks roundabout, it saves an operation per layer and step.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from mode_ros.policy.denoiser import Block
from mode_ros.policy.layers import RMSNorm, gate
from mode_ros.policy.linear import LinearOp
from mode_ros.policy.products import LayerProducts
from mode_ros.policy.routing_table import RoutingTable

# Keys and values are filled up to a multiple of this many tokens: softmax of rows that fit the processor's registers
# takes a sixth of the time.
ROW = 16


class Norm(NamedTuple):
    """RMSNorm with what does not depend on x computed ahead: x / max(‖x‖₂, eps·√D) · (gain·√D)."""

    gain: Tensor  # [D], times √D
    floor: float

    @classmethod
    def of(cls, norm: RMSNorm) -> Norm:
        """The norm, its gain as it is now."""
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


class Use(NamedTuple):
    """An expert at one step."""

    up: LinearOp
    down: LinearOp
    weight: float


class Group(NamedTuple):
    """The steps at which a layer uses one expert, for the pass over all noise levels at once."""

    up: LinearOp
    down: LinearOp
    steps: Tensor  # [n], int64
    weights: Tensor  # [n, 1, 1]
    first: float  # its weight at the first step, 0 where that does not use it


class LayerOps(NamedTuple):
    """One block."""

    heads: int
    attention_norm: Norm
    head_norm: Norm  # of queries and of keys
    mixture_norm: Norm
    products: LayerProducts
    uses: tuple[tuple[Use, ...], ...]  # by step
    groups: tuple[Group, ...]

    @classmethod
    def of(cls, block: Block, products: LayerProducts, routing: RoutingTable, layer: int) -> LayerOps:
        """block: of which the norms are copied."""
        attention = block.attention
        query_norm, key_norm = Norm.of(attention.query_norm), Norm.of(attention.key_norm)
        # A score is q·k/√hd. Both gains and the scale are put into the keys, so that the queries need none.
        head_gain = query_norm.gain * key_norm.gain * len(key_norm.gain) ** -0.5
        head_norm = Norm(head_gain, key_norm.floor)
        norms = Norm.of(block.attention_norm), head_norm, Norm.of(block.mixture_norm)
        return cls(
            attention.heads,
            *norms,
            products,
            _uses(products, routing, layer),
            _groups(products, routing, layer, head_gain.device),
        )


class Places(NamedTuple):
    """Keys and values of n sequences (observations, noise levels), and where T new tokens of each go.

    All of them have the same dimensions in front.
    """

    keys: Tensor  # [..., n·H, hd, S]
    values: Tensor  # [..., n·H, S, hd]
    new_keys: Tensor  # [..., n, T, H, hd], the last of the above
    new_values: Tensor  # [..., n, T, H, hd]

    @classmethod
    def of(cls, keys: Tensor, values: Tensor, heads: int, new: int) -> Places:
        """keys, values: [..., n·H, S, hd]."""
        latest = (part[..., -new:, :].unflatten(-3, (-1, heads)).transpose(-3, -2) for part in (keys, values))
        return cls(keys.transpose(-1, -2), values, *latest)

    def by_layer(self) -> tuple[Places, ...]:
        """[layers, ...] → as many."""
        return tuple(map(Places, *(part.unbind(0) for part in self)))

    def by_step(self) -> tuple[tuple[Places, ...], ...]:
        """[layers, N, ...] → [step][layer]."""
        apart = ([part.unbind(0) for part in whole.unbind(1)] for whole in self)
        return tuple(tuple(map(Places, *step)) for step in zip(*apart, strict=True))


def attend(layer: LayerOps, projected: Tensor, places: Places, mask: Tensor) -> Tensor:
    """Causal attention of new tokens over those before and themselves, for n sequences (observations, noise levels).

    projected: [n·T, 3D]; mask: [T, S], added to the scores → [n·T, D]. At these sizes products written out are faster
    than torch's attention.
    """
    queries = keep(layer, projected, places).transpose(1, 2).flatten(0, 1)  # [n·H, T, hd]
    scores = torch.baddbmm(mask, queries, places.keys)
    mixed = torch.bmm(scores.softmax(-1), places.values)
    return mixed.unflatten(0, (-1, layer.heads)).transpose(1, 2).reshape(len(projected), -1)


def keep(layer: LayerOps, projected: Tensor, places: Places) -> Tensor:
    """Write new tokens' keys and values to their places; returns the queries, [n, T, H or 0, hd].

    projected: [n·T, 3D] or, without queries, [n·T, 2D]. The norms' gains and the scores' scale are in the keys.
    """
    heads = layer.heads
    count, new, _, width = places.new_keys.shape
    parts = projected.view(count, new, -1, width)
    normed = layer.head_norm.direction(parts[:, :, :-heads])
    torch.mul(normed[:, :, -heads:], layer.head_norm.gain, out=places.new_keys)
    places.new_values.copy_(parts[:, :, -heads:])
    return normed[:, :, :-heads]


def mix_at(uses: Sequence[Use], z: Tensor) -> Tensor:
    """What goes on from z, the mixture of experts added, at one step: [n, D] → [n, D]."""
    encoded = uses[0].up.encode(z)  # the same for all of them
    out = z
    for up, down, weight in uses:
        out = torch.add(out, down(gate(up.product(encoded))), alpha=weight)
    return out


def mix_everywhere(groups: Sequence[Group], z: Tensor, steps: int, tokens: int) -> Tensor:
    """As mix_at, at all noise levels: [N·n, D] → [N·n, D], N·n being `tokens`. Further rows are the first step's."""
    out = z.clone()
    more = len(z) - tokens
    levels, all_levels = (rows[:tokens].unflatten(0, (steps, -1)) for rows in (z, out))
    for up, down, chosen, weights, first in groups:
        rows = levels.index_select(0, chosen).flatten(0, 1)
        along = more if first else 0
        y = down(gate(up(torch.cat([rows, z[tokens:]]) if along else rows)))
        if along:
            out[tokens:].add_(y[len(rows) :], alpha=first)
            y = y[: len(rows)]
        all_levels.index_add_(0, chosen, y.view(len(chosen), -1, y.shape[-1]).mul_(weights))
    return out


def causal_mask(past: int, new: int, empty: int, device: torch.device) -> Tensor:
    """[new, past + new], added to the scores: 0 where a new token may look, at all past ones and up to itself.

    empty: how many of the first are no tokens.
    """
    hidden = torch.ones(new, past + new, dtype=torch.bool, device=device).triu(past + 1)
    hidden[:, :empty] = True
    return torch.zeros(hidden.shape, device=device).masked_fill(hidden, float('-inf'))


def _uses(products: LayerProducts, routing: RoutingTable, layer: int) -> tuple[tuple[Use, ...], ...]:
    return tuple(
        tuple(
            Use(products.up[expert], products.down[expert], weight)
            for expert, weight in zip(experts[layer], weights[layer], strict=True)
        )
        for experts, weights in zip(routing.experts, routing.weights, strict=True)
    )


def _groups(products: LayerProducts, routing: RoutingTable, layer: int, device: torch.device) -> tuple[Group, ...]:
    found: dict[int, list[tuple[int, float]]] = {}
    for step, (experts, weights) in enumerate(zip(routing.experts, routing.weights, strict=True)):
        for expert, weight in zip(experts[layer], weights[layer], strict=True):
            found.setdefault(expert, []).append((step, weight))
    return tuple(
        Group(
            products.up[expert],
            products.down[expert],
            torch.tensor([step for step, _ in used], device=device),
            torch.tensor([weight for _, weight in used], device=device).view(-1, 1, 1),
            dict(used).get(0, 0.0),
        )
        for expert, used in sorted(found.items())
    )
