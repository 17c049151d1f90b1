"""How an episode moves: where it stands still, how long it is, and whether it jerks."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from mode_ros.checks.finding import Finding, listed

# An episode that is this much longer or shorter than the median one is worth a look.
LENGTH_RATIO = 3.0
# A jerk this much above the median episode's is a jump, not a motion.
JERK_RATIO = 10.0
# More standing still than this, and a policy learns to wait.
IDLE_SHARE = 0.2
# Below this many episodes there is no usual one.
_FEW = 4

Floats = NDArray[np.floating]


def still_frames(actions: Floats, delta: NDArray[np.bool_], floor: Sequence[float]) -> NDArray[np.bool_]:
    """[n], True where nothing is commanded to move: no displacement, and no target that changes.

    actions: [n, d] of one episode; delta: [d], which are displacements; floor: [d], less than a tenth is none.
    """
    x = np.asarray(actions, np.float64)
    steps = np.diff(x, axis=0, prepend=x[:1])
    moves = np.abs(np.where(delta, x, steps)) > 0.1 * np.asarray(floor)
    return np.asarray(~moves.any(axis=1))


def moving_span(still: NDArray[np.bool_], margin: int) -> tuple[int, int]:
    """The frames from the first motion to the last, with `margin` frames around; all where nothing moves."""
    moving = np.flatnonzero(~still)
    if not len(moving):
        return 0, len(still)
    return max(0, int(moving[0]) - margin), min(len(still), int(moving[-1]) + 1 + margin)


def idle(stills: Sequence[NDArray[np.bool_]], rate: float, numbers: Sequence[int]) -> list[Finding]:
    """stills: of each episode, where it stands still; rate: frames per second; numbers: of the episodes."""
    total = sum(map(len, stills))
    share = sum(int(still.sum()) for still in stills) / max(1, total)
    if share <= IDLE_SHARE:
        return []
    longest = sorted(zip(map(_longest_run, stills), numbers, strict=True), reverse=True)
    named = [f'{number} ({frames / rate:.1f} s)' for frames, number in longest[:4] if frames]
    return [
        Finding(
            'idle',
            f'{share:.0%} of the frames command no motion; longest in the episodes {", ".join(named)}. A policy learns '
            'to wait from them: cut the ends with `mode_ros edit DATASET --trim-idle`.',
        )
    ]


def lengths(frames: Sequence[int], numbers: Sequence[int]) -> list[Finding]:
    """Episodes much longer or shorter than the usual one."""
    odd = [
        f'{number} ({count})'
        for count, number, ratio in zip(frames, numbers, odd_lengths(frames), strict=True)
        if ratio is not None
    ]
    if not odd:
        return []
    usual = float(np.median(frames))
    return [Finding('length', f'The median episode has {usual:.0f} frames; others are these: {listed(odd)}.')]


def odd_lengths(frames: Sequence[int]) -> list[str | None]:
    """Of each episode 'short' or 'long', None where it is as long as is usual or too few tell what is usual."""
    if len(frames) < _FEW:
        return [None] * len(frames)
    usual = float(np.median(frames))
    return [
        'long' if count > LENGTH_RATIO * usual else 'short' if count * LENGTH_RATIO < usual else None
        for count in frames
    ]


def jerks(
    episodes: Sequence[Floats], delta: NDArray[np.bool_], names: Sequence[str], numbers: Sequence[int]
) -> list[Finding]:
    """episodes: actions [n, d] of each. Names those in which a command jumps as in no other."""
    jumps = jumping(episodes, delta)
    found = []
    for column, name in enumerate(names):
        odd = [numbers[k] for k in np.flatnonzero(jumps[:, column])] if len(jumps) else []
        if odd:
            found.append(f'{name} in {listed(odd, 4)}')
    if not found:
        return []
    return [
        Finding('jerk', f'Commands jump {JERK_RATIO:g} times as hard as in the median episode: {"; ".join(found)}.')
    ]


def jumping(episodes: Sequence[Floats], delta: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """[episodes, d], True where a command jumps as in no other episode; False where too few tell what is usual."""
    largest = np.array([_largest_jerk(actions, delta) for actions in episodes])
    if len(largest) < _FEW:
        return np.zeros(largest.shape, bool)
    usual = np.median(largest, axis=0)
    return np.asarray((largest > JERK_RATIO * np.maximum(usual, 1e-9)) & (usual > 0))


def _largest_jerk(actions: Floats, delta: NDArray[np.bool_]) -> NDArray[np.float64]:
    x = np.asarray(actions, np.float64)
    if len(x) < 4:
        return np.zeros(x.shape[1])
    targets = np.abs(np.diff(x, 3, axis=0)).max(axis=0)
    displacements = np.abs(np.diff(x, 2, axis=0)).max(axis=0)
    return np.where(delta, displacements, targets)


def _longest_run(still: NDArray[np.bool_]) -> int:
    edges = np.flatnonzero(np.diff(np.concatenate([[False], still, [False]]).astype(int)))
    return int((edges[1::2] - edges[::2]).max()) if len(edges) else 0
