"""The watchdog: a pure function of ages that says what is wrong, in words."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from mode_ros.control.contract import NANOSECONDS


@dataclass(frozen=True)
class StreamAge:
    """How old a stream's newest message is. age: nanoseconds, None before the first message; limit: nanoseconds; ahead:
    nanoseconds by which it may be stamped ahead of the clock, None for limit.
    """

    stream: str
    age: int | None
    limit: int
    ahead: int | None = None

    @property
    def problem(self) -> str:
        """'' while fresh, else what is wrong."""
        if self.age is None:
            return f'{self.stream}: no message yet'
        age, limit = self.age / NANOSECONDS, self.limit / NANOSECONDS
        if age > limit:
            return f'{self.stream}: last message {age:.2f} s ago (limit {limit:.2f} s)'
        if age < -(limit if self.ahead is None else self.ahead / NANOSECONDS):
            return f'{self.stream}: last message stamped {-age:.2f} s ahead of the clock; do both use the same clock?'
        return ''


def describe_stale(ages: Iterable[StreamAge]) -> str:
    """'' when every stream is fresh; otherwise each stale one with its own age, since one live sensor must not hide
    a dead one.
    """
    return '; '.join(item.problem for item in ages if item.problem)
