"""What the page and others have said on `estop`, so that it lifts its own stop and never somebody else's."""

from __future__ import annotations

from mode_ros.control.estop import StopSaid

# A latched word, also one from before the page was there, comes to the first reader; every word of now to the second.
LATCHED_READER, LIVE_READER = READERS = ('latched', 'live')


class EstopWords:
    """Tells the page's own words on `estop`, which come back to it as well, from those of others, by counting."""

    def __init__(self) -> None:
        self._own_stop: bool | None = None  # None: the page has said nothing yet
        self._own_expected = {(reader, stop): 0 for reader in READERS for stop in (True, False)}
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
        """The page publishes this, latched; each reader will hear it once."""
        self._own_stop = stop
        for reader in READERS:
            self._own_expected[reader, stop] += 1

    def heard(self, stop: bool, reader: str, alone: bool = True) -> None:
        """A word of anybody. reader: one of READERS; alone: besides the page at most one speaks."""
        if self._own_expected[reader, stop]:
            self._own_expected[reader, stop] -= 1
        else:
            self._others.hear(stop, alone, reader == LIVE_READER)

    def step(self, wall: int) -> bool:
        """Whether all are to be asked for their latched words by a new reader, as StopSaid.step; the page's own comes
        with them.
        """
        if not self._others.step(wall):
            return False
        for stop in (True, False):
            self._own_expected[LATCHED_READER, stop] = int(self._own_stop is stop)
        return True

    def may_lift(self) -> bool:
        """Whether releasing may say `false`: only what the page itself has said, while nobody else says otherwise."""
        return self.own and not self.others
