"""A chunk of which a part is known: what the robot executes while the policy thinks, and what it had planned after.

The step loop takes it as tensors of fixed shapes, so that a recorded graph can be fed with any plan, or with none.
"""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor


class Known(NamedTuple):
    """What is known of chunks of A actions, in normalised actions."""

    target: Tensor  # [B, A, d], finite; where nothing is known, of no effect
    weight: Tensor  # [B, A, 1], 0 to 1: how much of the denoised estimate is the target
    clean: Tensor | None = None  # [B, A], bool: shown to the network without noise and marked; trained for it alone
