"""Who has just begun listens before it speaks: another controller of the same robot may be moving it.

Who publishes where is found out by discovery, which takes a moment; on a busy machine, a longer one. Whoever sends a
command before that, and be it one that changes nothing, pulls a robot that another one drives to where it was measured.
"""

from __future__ import annotations

from collections.abc import Hashable

from mode_ros.control.contract import NANOSECONDS

# Nobody new must have been found for so long (seconds). The participants of a domain answer a new one as soon as they
# hear of it, in some milliseconds where they are given the time; and the other controller, which finds this one in the
# same moment, counts twice a second and brings its robot to rest within this time, too.
LISTEN_SECONDS = 1.0

# Who is there is looked up so often (seconds). A look that comes later than by so many is a process that was kept from
# its work, and may have been kept from hearing, too: the time begins anew.
LOOK_SECONDS = 0.1
MISSED_LOOKS = 3

# Where nodes come and go all the time it ends nevertheless, as many times later.
AT_MOST = 5


class Listening:
    """Told of every look at who is there; `over` says when that was enough. `wall`: nanoseconds of a clock that nobody
    sets.
    """

    def __init__(self, seconds: float = LISTEN_SECONDS) -> None:
        """seconds: 0.0 where there is nobody to listen for."""
        self._seconds = seconds
        self._seen: Hashable = None
        self._begun: int | None = None
        self._quiet_since = self._last = 0
        self.over = seconds == 0.0

    def look(self, wall: int, seen: Hashable) -> None:
        """seen: whoever is there now, in any form that changes when somebody is found."""
        if self.over:
            return
        late = wall - self._last > MISSED_LOOKS * LOOK_SECONDS * NANOSECONDS
        if self._begun is None:
            self._begun = self._quiet_since = wall
        elif late or seen != self._seen:
            self._quiet_since = wall
        self._seen, self._last = seen, wall
        quiet, whole = (wall - self._quiet_since) / NANOSECONDS, (wall - self._begun) / NANOSECONDS
        self.over = quiet >= self._seconds or (whole >= AT_MOST * self._seconds and not late)
