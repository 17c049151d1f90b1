"""Whether anybody says stop, of several who speak on one topic and whose words bear no name.

A stop counts from the first word of it. A word that takes a stop back may be anybody's, so it counts at once only from
who speaks alone; else all are asked for what they said last, and one stop among the answers is enough.
"""

from __future__ import annotations

from collections import Counter

from mode_ros.control.contract import NANOSECONDS

# How long answers are awaited, and how long after one question the next may be put (seconds). On one machine they come
# within milliseconds. Who cannot answer, since it latches nothing, must repeat its stop more often than this.
ASK_SECONDS = 1.0

# While nobody says anything new, asking again is for what crossed on its way, and gets rarer, down to this (seconds).
RARE_SECONDS = 8.0

# `step` is to be called so often (seconds). One that comes later than by so many is a process that was kept from its
# work, and the answers may still lie unread: it waits anew.
STEP_SECONDS = 0.1
MISSED_STEPS = 3

# Words whose copies may still come from another reader: as many as two readers have room for.
COPIES_KEPT = 200


class StopSaid:
    """`engaged`: somebody says stop, or has not been asked yet. `wall`: nanoseconds of a clock that nobody sets."""

    def __init__(self) -> None:
        self.engaged = False
        self._taken_back = False  # by somebody
        self._asked: int | None = None  # since when answers are awaited
        self._last_asked: int | None = None
        self._pause = ASK_SECONDS
        self._stepped = 0

    def hear(self, stop: bool, alone: bool, live: bool = True) -> bool:
        """A word; whether it is a stop among the answers. alone: nobody else speaks; live: it is said now, else it may
        be an answer, or older.
        """
        if not stop:
            if alone:
                self._lift()
            else:
                self._taken_back = self.engaged
                self._pause = ASK_SECONDS if live else self._pause
            return False
        still = self._asked is not None
        if still:
            self._pause = min(2.0 * self._pause, RARE_SECONDS)
        self.engaged, self._taken_back, self._asked = True, False, None
        return still

    def step(self, wall: int) -> bool:
        """Whether everybody is to be asked now."""
        late = wall - self._stepped > MISSED_STEPS * STEP_SECONDS * NANOSECONDS
        self._stepped = wall
        if not self._taken_back:
            return False
        if self._asked is None:
            if self._last_asked is not None and wall - self._last_asked < self._pause * NANOSECONDS:
                return False
            self._asked = self._last_asked = wall
            return True
        if late:
            self._asked = wall
        elif wall - self._asked >= ASK_SECONDS * NANOSECONDS:
            self._lift()
        return False

    def _lift(self) -> None:
        self.engaged = self._taken_back = False
        self._asked, self._pause = None, ASK_SECONDS


class Copies:
    """Which words are new, where several readers hear the same publishers: a word counts once, whoever brings it first.

    A word is known by when it was sent, of which every reader is told the same. Of one moment as many words count as
    the reader that brought most of them has brought, so that two who speak at once are two.
    """

    def __init__(self) -> None:
        self._brought: dict[tuple[int, bool], Counter[str]] = {}

    def is_new(self, reader: str, sent: int | None, stop: bool) -> bool:
        """sent: nanoseconds of its publisher's clock, None where nobody tells: such a word always counts."""
        if not sent:
            return True
        brought = self._brought.setdefault((sent, stop), Counter())
        before = max(brought.values(), default=0)
        brought[reader] += 1
        while len(self._brought) > COPIES_KEPT:
            del self._brought[next(iter(self._brought))]
        return brought[reader] > before
