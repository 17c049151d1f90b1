"""The checks of actions and states, the same for a data set and for recordings that are none yet."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from mode_ros.checks.finding import Finding
from mode_ros.checks.lag import out_of_step
from mode_ros.checks.motion import idle, jerks, lengths, still_frames
from mode_ros.checks.spread import action_floor
from mode_ros.control.contract import Contract

Floats = NDArray[np.floating]


@dataclass
class Episode:
    """One episode in the contract's units. number: what it is called; states: by stream, [n, m]; actions: [n, d]."""

    number: int
    actions: Floats
    states: dict[str, Floats] = field(default_factory=dict)


def motion_findings(contract: Contract, episodes: Sequence[Episode], where: str) -> list[Finding]:
    """Idle stretches, odd lengths, jumps, and commands out of step with what is measured."""
    if not episodes:
        return []
    numbers = [episode.number for episode in episodes]
    actions = [episode.actions for episode in episodes]
    floor, delta = action_floor(contract), contract.delta_mask
    found = idle([still_frames(each, delta, floor) for each in actions], contract.rate, numbers)
    found += lengths([len(each) for each in actions], numbers)
    found += jerks(actions, delta, contract.action_names, numbers)
    complete = [each for each in episodes if set(each.states) >= {s.name for s in contract.observation.states}]
    return found + out_of_step(contract, [each.actions for each in complete], [each.states for each in complete], where)
