"""Who has just begun listens before it speaks: another controller of the same robot may be moving it.

Who publishes where is found out by discovery, which takes a moment; on a busy machine, a longer one. Whoever sends a
command before that, and be it one that changes nothing, pulls a robot that another one drives to where it was measured.
"""

from __future__ import annotations

from collections.abc import Hashable

from mode_ros.control.contract import NANOSECONDS

# A new participant asks who is there, and is answered within milliseconds; where that goes astray, as for one that is
# started again on a machine with the old one's memory still mapped, it hears of the others when they announce
# themselves the next time, which Fast DDS does every 3 seconds. This is longer.
LISTEN_SECONDS = 3.5

# And nobody new must have been found for so long (seconds): participants are found one by one.
QUIET_SECONDS = 1.0

# Who is there is looked up so often (seconds). A look that comes later than by so many is a process that was kept from
# its work, and may have been kept from hearing, too: the quiet begins anew.
LOOK_SECONDS = 0.1
MISSED_LOOKS = 3

# Where nodes come and go all the time it ends so much later nevertheless (seconds).
AT_MOST = 5.0


class Listening:
    """Told of every look at who is there; `over` says when that was enough. `wall`: nanoseconds of a clock that nobody
    sets.
    """

    def __init__(self, wall: int, seconds: float = LISTEN_SECONDS) -> None:
        """wall: now; seconds: 0.0 where there is nobody to listen for."""
        self._seconds = seconds
        self._seen: Hashable = None
        self._begun = self._quiet_since = self._last = wall
        self.over = seconds == 0.0

    def look(self, wall: int, seen: Hashable) -> bool:
        """Whether it is over. seen: whoever is there now, in any form that changes when somebody is found."""
        if self.over:
            return True
        late = wall - self._last > MISSED_LOOKS * LOOK_SECONDS * NANOSECONDS
        if late or seen != self._seen:
            self._quiet_since = wall
        self._seen, self._last = seen, wall
        quiet, whole = (wall - self._quiet_since) / NANOSECONDS, (wall - self._begun) / NANOSECONDS
        still = quiet >= min(QUIET_SECONDS, self._seconds) or (whole >= self._seconds + AT_MOST and not late)
        self.over = whole >= self._seconds and still
        return self.over
