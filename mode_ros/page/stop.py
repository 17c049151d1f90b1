"""What the page and others have said on `estop`, so that it lifts its own stop and never somebody else's."""

from __future__ import annotations

from mode_ros.control.estop import StopSaid


class EstopWords:
    """Tells the page's own words on `estop`, which come back to it as well, from those of others, by counting.

    They come in two ways: live ones as they are said, each once however many readers hear it (EstopReaders sees to
    that), the others from a reader that also brings what was latched before it was there.
    """

    def __init__(self) -> None:
        self._own_stop: bool | None = None  # None: the page has said nothing yet
        self._own_expected = {(live, stop): 0 for live in (False, True) for stop in (True, False)}
        self._others = StopSaid()

    @property
    def own(self) -> bool:
        """Whether the page has stopped the robot and not released it since."""
        return bool(self._own_stop)

    @property
    def others(self) -> bool:
        """Whether somebody else keeps it stopped."""
        return self._others.engaged

    def said(self, stop: bool) -> None:
        """The page publishes this, latched; it will come back once in each way."""
        self._own_stop = stop
        for live in (False, True):
            self._own_expected[live, stop] += 1

    def heard(self, stop: bool, live: bool, alone: bool = True) -> None:
        """A word of anybody. live: it is said now; alone: besides the page at most one speaks."""
        if self._own_expected[live, stop]:
            self._own_expected[live, stop] -= 1
        else:
            self._others.hear(stop, alone, live)

    def step(self, wall: int) -> bool:
        """Whether all are to be asked for their latched words by a new reader, as StopSaid.step; the page's own comes
        with them.
        """
        if not self._others.step(wall):
            return False
        for stop in (True, False):
            self._own_expected[False, stop] = int(self._own_stop is stop)
        return True

    def may_lift(self) -> bool:
        """Whether releasing may say `false`: only what the page itself has said, while nobody else says otherwise."""
        return self.own and not self.others
