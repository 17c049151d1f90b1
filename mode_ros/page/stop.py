"""What the page has said on `estop`, so that it lifts its own stop and never somebody else's."""

from __future__ import annotations

# A latched word, also one from before the page was there, comes to the first reader; every word of now to the second.
READERS = ('latched', 'live')


class EstopWords:
    """Counts the words on `estop`: the page's own come back to it as well."""

    def __init__(self) -> None:
        self._own_stop = False
        self._own_expected = dict.fromkeys(READERS, 0)
        self._others = False

    @property
    def own(self) -> bool:
        """Whether the page has stopped the robot and not released it since."""
        return self._own_stop

    @property
    def others(self) -> bool:
        """Whether somebody else keeps it stopped."""
        return self._others

    def said(self, stop: bool) -> None:
        """The page publishes this, latched; each reader will hear it once."""
        self._own_stop = stop
        for reader in READERS:
            self._own_expected[reader] += stop

    def heard(self, stop: bool, reader: str) -> None:
        """A word of anybody. reader: one of READERS."""
        if not stop:
            self._others = False
        elif self._own_expected[reader]:
            self._own_expected[reader] -= 1
        else:
            self._others = True

    def may_lift(self) -> bool:
        """Whether releasing may say `false`: only what the page itself has said, while nobody else says otherwise."""
        return self._own_stop and not self._others
