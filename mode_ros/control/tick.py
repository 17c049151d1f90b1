"""What one control period brings: what the robot is told, and why."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum

import numpy as np
from numpy.typing import NDArray

from mode_ros.control.request import ChunkRequest


class Phase(Enum):
    EXECUTING = 'executing'
    TELEOP = 'driven by a person'
    WAITING = 'waiting for a chunk'
    HOLDING = 'holding'
    STOPPED = 'stopped'


@dataclass(frozen=True)
class Tick:
    """What one control period brings.

    commands: group name to float64 [dimensions], without the groups that have nothing safe to send; velocities: the
    same per second; reason: why the robot is not executing, else ''; request: the chunk that is wanted, told anew until
    it comes; limited: the dimensions that a limit changed; problems: the names of the checks that fail now.
    """

    commands: Mapping[str, NDArray[np.float64]]
    phase: Phase
    reason: str = ''
    request: ChunkRequest | None = None
    limited: tuple[str, ...] = ()
    velocities: Mapping[str, NDArray[np.float64]] = field(default_factory=dict)
    problems: tuple[str, ...] = ()
