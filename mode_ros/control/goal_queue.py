"""Goals one after the other, as a benchmark's five in a row: which one is pursued, and how those before it ended.

Times are integer nanoseconds of the robot's clock.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from mode_ros.control.contract import NANOSECONDS

SUCCESS, SKIPPED, TIMED_OUT = 'success', 'skipped', 'time is up'


@dataclass(frozen=True)
class Ended:
    """A goal that is over. how: SUCCESS, SKIPPED or TIMED_OUT; seconds: that it was pursued."""

    goal: str
    how: str
    seconds: float


def parse_goals(text: str) -> tuple[str, ...]:
    """Goals from a text, one per line or between semicolons."""
    return tuple(goal for part in text.replace('\n', ';').split(';') if (goal := part.strip()))


class GoalQueue:
    """The next goal follows when one succeeds, is skipped, or has been pursued for too long."""

    def __init__(self, seconds: float = 0.0) -> None:
        """seconds: longest time for one goal, 0 for any."""
        self._limit = round(seconds * NANOSECONDS)
        self._goals: tuple[str, ...] = ()
        self._since = 0
        # A success that is told from before does not count: it must be seen to come.
        self._succeeded = True
        self.ended: list[Ended] = []

    @property
    def goal(self) -> str:
        """The one that is pursued, '' where there is none."""
        return self._goals[len(self.ended)] if len(self.ended) < len(self._goals) else ''

    def fill(self, goals: Sequence[str], now: int) -> None:
        """Other goals from now on, from the first."""
        self._goals, self._since, self.ended = tuple(goals), now, []
        self._succeeded = True

    def success(self, succeeded: bool, now: int) -> bool:
        """What is told about the goal; whether another one follows because of it."""
        came = succeeded and not self._succeeded
        self._succeeded = succeeded
        return came and self._end(SUCCESS, now)

    def skip(self, now: int) -> bool:
        """The next one; False where there was none to skip."""
        return self._end(SKIPPED, now)

    def tick(self, now: int) -> bool:
        """Whether the goal's time is up."""
        return bool(self._limit) and now - self._since >= self._limit and self._end(TIMED_OUT, now)

    def _end(self, how: str, now: int) -> bool:
        goal = self.goal
        if goal:
            self.ended.append(Ended(goal, how, round((now - self._since) / NANOSECONDS, 3)))
            self._since = now
        return bool(goal)

    def as_data(self) -> Mapping[str, object]:
        """What the topic `goal_queue` tells."""
        in_a_row = 0
        while in_a_row < len(self.ended) and self.ended[in_a_row].how == SUCCESS:
            in_a_row += 1
        return {
            'goal': self.goal,
            'of': len(self._goals),
            'ended': [vars(one) for one in self.ended],
            'in a row': in_a_row,
        }
