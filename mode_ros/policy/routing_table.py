"""Which experts run at which step: a constant of a loaded policy, since routing depends on the noise level alone."""

from __future__ import annotations

from itertools import chain
from typing import NamedTuple

from torch import Tensor

from mode_ros.policy.denoiser import Denoiser


class RoutingTable(NamedTuple):
    """Who runs when: plain numbers, so that the step loop never waits for a device to tell."""

    experts: tuple[tuple[tuple[int, ...], ...], ...]  # [step][layer][k]
    weights: tuple[tuple[tuple[float, ...], ...], ...]  # [step][layer][k], summing to 1 over k

    @property
    def used(self) -> tuple[frozenset[int], ...]:
        """[layer], the experts that any step uses."""
        return tuple(frozenset(chain.from_iterable(steps)) for steps in zip(*self.experts, strict=True))


def decide_routing(denoiser: Denoiser, noise: Tensor) -> RoutingTable:
    """noise: [N, D], the embedded levels. The one place where numbers leave the device."""
    experts, weights = [], []
    for block in denoiser.stack:
        decision = block.router(noise)
        experts.append([tuple(row) for row in decision.experts.tolist()])
        weights.append([tuple(row) for row in decision.weights.tolist()])
    return RoutingTable(tuple(zip(*experts, strict=True)), tuple(zip(*weights, strict=True)))
