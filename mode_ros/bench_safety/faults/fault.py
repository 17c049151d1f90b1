"""What a fault is: how it is brought about and ended, and what is stated about it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from mode_ros.bench_safety.contracts import JOINTS
from mode_ros.bench_safety.session import Session

BY_ITSELF, SERVICE, RESTART, NOTHING = 'by itself', 'release', 'restart', 'nothing to release'

# From a breach to the first stopping command: the freshness limit of what is watched and two periods.
REACTION_PERIODS = 2.0
# Publishers are counted twice a second; with their discovery.
COUNTED = 0.6


class Fault:
    """One kind of fault. Subclasses set what differs and give inject, and restore where the rig does not do it.

    name: of the table's row, and of --faults; robot: which of the contracts; simulated: runs on /clock; parameters: of
    controller_node; limit: seconds after which the fault counts as a breach (a stream's max_age and such), None where
    the arm is not to stop; words: what the named cause matches; release: what may make the arm move again; ends: the
    controller's process ends with the fault; blocking: inject returns
    when it has come about, and not before; alone: needs a session of its own; observe: seconds that are looked at
    where nothing stops; told: seconds after a stop was due in which the cause must be told.
    """

    name: str = ''
    robot: str = JOINTS
    simulated: bool = False
    parameters: Mapping[str, Any] = MappingProxyType({})
    limit: float | None = 0.0
    words: str = ''
    release: tuple[str, ...] = (SERVICE,)
    ends: bool = False
    blocking: bool = False
    alone: bool = False
    told: float = 1.2
    observe: float = 1.0

    @property
    def description(self) -> str:
        """What it is, in a sentence or two."""
        return ' '.join((type(self).__doc__ or '').split())

    def before(self, session: Session) -> None:
        """What is needed while the arm moves, before the fault."""

    def inject(self, session: Session) -> None:
        """Brings it about, at once."""
        raise NotImplementedError

    def restore(self, session: Session) -> None:
        """Ends it; afterwards the rig's own faults are reset."""

    def stated_periods(self, period: float) -> float | None:
        """Control periods from the fault to the first stopping command at most. period: seconds."""
        return None if self.limit is None else self.limit / period + REACTION_PERIODS

    def names(self, cause: str) -> bool:
        """Whether what the controller said names this fault."""
        return re.search(self.words, cause, re.IGNORECASE) is not None
