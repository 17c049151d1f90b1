"""Whether commands are stamped by the clock of the streams, or by one of their own."""

from __future__ import annotations

from collections import deque

from mode_ros.control.contract import NANOSECONDS
from mode_ros.control.setpoints import Setpoint
from mode_ros.training.data.clocks import SAME_CLOCK, WINDOW, around
from mode_ros.training.data.commands import Command

# Commands stamped this much before or after they came (or a period, if that is less) are of another clock, and count by
# their reception: the robot did not wait. A plan of more than two periods may be for later, or have begun a little ago.
COMMAND_OFF, PLANNED_AHEAD, PLANNED_BEFORE = NANOSECONDS // 20, 10 * NANOSECONDS, NANOSECONDS // 4


class CommandClock:
    """The stamps of one group's commands."""

    def __init__(self, period: int) -> None:
        """period: nanoseconds, the contract's."""
        self._period = period
        self._limit = min(COMMAND_OFF, max(period, SAME_CLOCK))
        # (reception, reception minus stamp) of the recent ones.
        self._stamped: deque[tuple[int, int]] = deque()
        self._never_began = 0

    def hear(self, stamp: int, received: int) -> None:
        """A stamped command, in the order of reception; nanoseconds."""
        self._stamped.append((received, received - stamp))
        while self._stamped[0][0] < received - 4 * WINDOW:
            self._stamped.popleft()

    def is_another(self, command: Command, off: int, received: int) -> bool:
        """Whether a command that was heard is stamped by another clock; ask when the WINDOW after it was heard, too.

        off: nanoseconds by which its stamp is ahead of when it came, by the streams' clock.
        """
        if isinstance(command.asked, Setpoint) and command.asked.times[-1] > 2 * self._period:
            if not -PLANNED_BEFORE <= off <= PLANNED_AHEAD:
                return True
            # A plan that is replaced before its start, and so is the next, never moved a robot of that clock.
            soon = any(received < at < received + off for at, _ in self._stamped)
            if off > self._limit and (soon or received < self._never_began):
                self._never_began = received + off
                return True
            return False
        # One message may be late; a clock is what they have in common.
        common = off + (received - command.time) - around(self._stamped, received)
        return abs(common) > self._limit or abs(off) > PLANNED_BEFORE
