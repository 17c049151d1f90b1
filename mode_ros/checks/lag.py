"""Whether commands and measured states belong to the same moments: the delay between them, by cross-correlation."""

from __future__ import annotations

from collections.abc import Sequence

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
# Delays that are looked for, seconds either way.
_SEARCH = 2.0
# A speed that varies by less than this share of itself is steady.
_STEADY = 1e-3

Floats = NDArray[np.floating]


def command_delay(commanded: Sequence[Floats], measured: Sequence[Floats], most: int) -> tuple[int, float] | None:
    """(frames by which measured motion follows commanded motion, their correlation then); None where nothing moves.

    commanded, measured: per episode, velocities [n, k], column by column of the same thing; most: frames to look for.
    """
    best: tuple[float, int] | None = None
    for delay in range(-most, most + 1):
        together = [(a[: len(a) - delay], b[delay:]) if delay >= 0 else (a[-delay:], b[:delay])
                    for a, b in zip(commanded, measured, strict=True) if len(a) > abs(delay) + 2]  # fmt: skip
        if not together:
            continue
        a = np.concatenate([pair[0] for pair in together]).astype(np.float64)
        b = np.concatenate([pair[1] for pair in together]).astype(np.float64)
        size = np.sqrt((a**2).sum(0) * (b**2).sum(0))
        a, b = a - a.mean(0), b - b.mean(0)
        # Each column counts alike, whatever its unit.
        scale = np.sqrt((a**2).sum(0) * (b**2).sum(0))
        # Of a steady motion nothing is left but rounding, which agrees at any delay.
        moving = (scale > 1e-12) & (scale > _STEADY * size)
        if not moving.any():
            continue
        value = float(((a * b).sum(0)[moving] / scale[moving]).mean())
        if best is None or value > best[0]:
            best = value, delay
    return None if best is None else (best[1], best[0])


def out_of_step(
    contract: Contract, actions: Sequence[Floats], states: Sequence[dict[str, Floats]], where: str
) -> list[Finding]:
    """actions: [n, d] per episode; states: by stream, [n, m] per episode. One finding per group that is out of step."""
    found = []
    for name, (columns, stream, measured) in _pairs(contract).items():
        delta = bool(contract.delta_mask[columns[0]])
        commanded = [a[1:, columns] if delta else np.diff(a[:, columns], axis=0) for a in actions]
        moved = [np.diff(s[stream][:, measured], axis=0) for s in states]
        delay = command_delay(commanded, moved, min(round(_SEARCH * contract.rate), 60))
        if delay is None or delay[1] < LEAST_CORRELATION:
            continue
        frames, alike = delay
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
