"""Whether commands and measured states belong to the same moments: the delay between them, by cross-correlation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from mode_ros.checks.finding import Finding
from mode_ros.control.contract import TWIST_NAMES, Contract

# A command moves the robot in the frames after it. One frame is rounding, more is another pairing.
EARLIEST = -1
# Arms under position control follow within this time (seconds).
LATEST = 0.5
# Motions must be this alike at the best delay to say anything.
LEAST_CORRELATION = 0.5
# And by so much more alike than at any delay that is usual: else the motion, as one that repeats itself, tells none.
_CLEARLY = 0.05
# Delays that are looked for, seconds either way.
_SEARCH = 2.0
# A speed that varies by less than this share of itself is steady.
_STEADY = 1e-3

Floats = NDArray[np.floating]


def correlations(commanded: Sequence[Floats], measured: Sequence[Floats], most: int) -> dict[int, float]:
    """How alike the motions are (-1 to 1), by the frames by which measured motion follows commanded motion; without the
    delays at which nothing but steady motion is left.

    commanded, measured: per episode, velocities [n, k], column by column of the same thing; most: frames to look for.
    """
    found = {}
    for delay in range(-most, most + 1):
        together = [(a[: len(a) - delay], b[delay:]) if delay >= 0 else (a[-delay:], b[:delay])
                    for a, b in zip(commanded, measured, strict=True) if len(a) > abs(delay) + 2]  # fmt: skip
        if not together:
            continue
        pairs = [(a.astype(np.float64), b.astype(np.float64)) for a, b in together]
        size = _scale(pairs)
        # Each episode by itself: steady speeds that differ from one to the next agree at any delay.
        pairs = [(a - a.mean(0), b - b.mean(0)) for a, b in pairs]
        # Each column counts alike, whatever its unit.
        scale = _scale(pairs)
        # Of a steady motion nothing is left but rounding, which agrees at any delay.
        moving = (scale > 1e-12) & (scale > _STEADY * size)
        if moving.any():
            shared = np.sum([(a * b).sum(0) for a, b in pairs], axis=0)
            found[delay] = float((shared[moving] / scale[moving]).mean())
    return found


def _scale(pairs: Sequence[tuple[NDArray[np.float64], NDArray[np.float64]]]) -> NDArray[np.float64]:
    """[k], by what their products are divided."""
    one, other = (np.sum([(pair[side] ** 2).sum(0) for pair in pairs], axis=0) for side in (0, 1))
    return np.asarray(np.sqrt(one * other))


def command_delay(alike: Mapping[int, float]) -> tuple[int, float] | None:
    """(frames by which measured motion follows commanded motion, how alike they are then), of what `correlations` gave;
    None where nothing moves.
    """
    return max(alike.items(), key=lambda item: item[1], default=None)


def out_of_step(
    contract: Contract, actions: Sequence[Floats], states: Sequence[dict[str, Floats]], where: str
) -> list[Finding]:
    """actions: [n, d] per episode; states: by stream, [n, m] per episode. One finding per group that is out of step."""
    found = []
    for name, (columns, stream, measured) in _pairs(contract).items():
        delta = bool(contract.delta_mask[columns[0]])
        commanded = [a[1:, columns] if delta else np.diff(a[:, columns], axis=0) for a in actions]
        moved = [np.diff(s[stream][:, measured], axis=0) for s in states]
        by_delay = correlations(commanded, moved, min(round(_SEARCH * contract.rate), 60))
        frames, alike = command_delay(by_delay) or (0, 0.0)
        usual = [value for k, value in by_delay.items() if EARLIEST <= k <= LATEST * contract.rate]
        if alike < LEAST_CORRELATION or alike < max(usual, default=1.0) + _CLEARLY:
            continue
        seconds = frames * contract.period_seconds
        if frames < EARLIEST:
            found.append(
                Finding(
                    'lag',
                    f'{where}: {stream} moves {-seconds:.2f} s before {name} is commanded (correlation {alike:.2f}): '
                    'commands and observations are paired wrongly. Look at the clocks of both (stamps, delay).',
                )
            )
        elif seconds > LATEST:
            found.append(
                Finding(
                    'lag',
                    f'{where}: {stream} follows {name} by {seconds:.2f} s (correlation {alike:.2f}): a slow arm, or '
                    'stamps that are late.',
                )
            )
    return found


def _pairs(contract: Contract) -> dict[str, tuple[list[int], str, list[int]]]:
    """Groups and where they are measured: columns of the action, state stream, columns of the state."""
    found: dict[str, tuple[list[int], str, list[int]]] = {}
    for group in contract.action:
        start = contract.group_slices[group.name].start
        names = list(group.names)
        if group.kind == 'absolute' and group.feedback is not None:
            state = contract.state(group.feedback)
            both = [name for name in names if name in state.names]
        else:
            poses = [state for state in contract.observation.states if state.type == 'pose']
            if group.kind != 'delta' or len(poses) != 1:
                continue
            state, both = poses[0], [name for name in names if name in TWIST_NAMES[:3]]
        if both:
            found[group.name] = (
                [start + names.index(name) for name in both],
                state.name,
                [state.names.index(name) for name in both],
            )
    return found
