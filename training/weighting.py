"""How often each frame is learnt from, by who drove: the policy, or a person who corrected it.

In a data set in which nobody ever took over, everything is a demonstration. Elsewhere a span that the policy drove has
failed when a person took over at its end, or when the episode ended there as a failure: what the policy did in it is
no example. Any other span ended well.

The data do not say whether a policy drove where no person did. But a robot that was told to stand still there was
driven by nobody, as where the recording was started before the deadman was held. Who drove is told by the beginning of
a period and the action by what comes within it: of the frame before a person drove it may be the person's first.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Mask = NDArray[np.bool_]

PolicyFrames = Literal['all', 'successful', 'none']
"""Which frames that the policy drove are learnt from; `successful`: those of spans that did not fail."""


@dataclass(frozen=True)
class FrameWeights:
    """weight: float64 [n], how often a frame is drawn relative to others, 0: never; failed: bool [n], True where the
    action is that of a failed span and must not be learnt, also where it ends the chunk of an earlier frame.
    """

    weight: NDArray[np.float64]
    failed: Mask


def weigh_frames(
    driven: Mask,
    lengths: Sequence[int],
    success: Sequence[bool | None],
    intervention_weight: float = 1.0,
    policy_frames: PolicyFrames = 'successful',
    standing: Mask | None = None,
) -> FrameWeights:
    """The weights of a data set's frames.

    driven: [n], whether a person drove; lengths: of its episodes, n in all; success: of each, None where nobody said,
    which counts as a success. intervention_weight: of the frames that a person drove in episodes in which the policy
    drove, too; where nothing but a person moved the robot, the episode is a demonstration, and these frames count 1.
    standing: [n], whether the robot was told to stand still; None: nobody knows.
    """
    weight, failed = np.ones(len(driven)), np.zeros(len(driven), bool)
    moved = np.ones(len(driven), bool) if standing is None else ~standing
    if (policy_frames == 'all' and intervention_weight == 1) or not driven.any():
        return FrameWeights(weight, failed)
    start = 0
    for length, good in zip(lengths, success, strict=True):
        part = slice(start, start + length)
        start += length
        person = driven[part]
        taken_over = np.append(person[1:], False)  # within the period of this frame
        if (moved[part] & ~person & ~taken_over).any():
            weight[part][person] = intervention_weight
        failed[part] = failed_spans(person, good)
    if policy_frames == 'all':
        failed[:] = False
    weight[failed] = 0
    if policy_frames == 'none':
        weight[~driven] = 0
    return FrameWeights(weight, failed)


def failed_spans(driven: Mask, success: bool | None) -> Mask:
    """[n], True in the spans of one episode that the policy drove and that failed. driven: [n], by a person."""
    # From each frame on: does a person drive later?
    later = np.logical_or.accumulate(driven[::-1])[::-1] if len(driven) else driven
    return ~driven & (later | (success is False))


class ByWeight:
    """Draws indices by weight, which are not all 0."""

    def __init__(self, weight: NDArray[np.float64]) -> None:
        self._ends = np.cumsum(weight)
        # Rounding must not reach beyond the end, nor a frame of weight 0 there.
        self._last = int(np.flatnonzero(weight)[-1])

    def draw(self, generator: np.random.Generator, count: int) -> NDArray[np.int64]:
        """`count` indices."""
        found = np.searchsorted(self._ends, generator.random(count) * self._ends[-1], side='right')
        return np.minimum(found, self._last).astype(np.int64)
