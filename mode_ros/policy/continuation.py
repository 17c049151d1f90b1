"""A chunk of which a part is known, as the step loop takes it: tensors of fixed shapes, so that a recorded graph can be
fed with any plan, or with none. What is known is decided in mode_ros.policy.plans.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mode_ros.policy.config import DenoiserConfig
from mode_ros.policy.plans import Continuation, KnownActions, known_actions

# The largest weight of the guidance (real-time chunking, section 4.1: larger ones make chunks jerky).
GUIDANCE = 5.0


class Known(NamedTuple):
    """What is known of chunks of A actions, in normalised actions."""

    target: Tensor  # [B, A, d], finite; where nothing is known, of no effect
    weight: Tensor  # [B, A, 1], 0 to 1: how much of the denoised estimate is the target
    clean: Tensor | None = None  # [B, A], bool: shown to the network without noise and marked; trained for it alone

    @classmethod
    def of(cls, one: KnownActions) -> Known:
        """A batch of one, on the CPU."""
        target, weight = torch.from_numpy(one.target), torch.from_numpy(one.weight)
        clean = None if one.clean is None else torch.from_numpy(one.clean).unsqueeze(0)
        return cls(target.unsqueeze(0), weight.unsqueeze(0), clean)

    def to(self, device: torch.device) -> Known:
        """The same on a device."""
        clean = None if self.clean is None else self.clean.to(device)
        return Known(self.target.to(device), self.weight.to(device), clean)


def nothing_known(config: DenoiserConfig, batch: int, device: torch.device | str = 'cpu') -> Known:
    """No action of any chunk: what is sampled is what it is without."""
    shape = batch, config.chunk_length, config.action_dim
    clean = torch.zeros(shape[:2], dtype=torch.bool, device=device) if config.max_committed else None
    return Known(torch.zeros(shape, device=device), torch.zeros(*shape[:2], 1, device=device), clean)


def known_of(
    actions: NDArray[np.floating], committed: int, continuation: Continuation, config: DenoiserConfig
) -> Known:
    """As mode_ros.policy.plans.known_actions, a batch of one on the CPU."""
    return Known.of(known_actions(actions, committed, continuation, config))
