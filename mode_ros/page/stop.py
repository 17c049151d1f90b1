"""What the page has said on `estop`, so that it lifts its own stop and never somebody else's."""

from __future__ import annotations


class EstopWords:
    """Counts the words on `estop`: the page's own come back to it as well."""

    def __init__(self) -> None:
        self._own_stop = False
        self._own_expected = 0
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
        """The page publishes this; it will be heard once."""
        self._own_stop = stop
        self._own_expected += stop

    def heard(self, stop: bool) -> None:
        """A word of anybody."""
        if not stop:
            self._others = False
        elif self._own_expected:
            self._own_expected -= 1
        else:
            self._others = True

    def may_lift(self) -> bool:
        """Whether releasing may say `false`: only what the page itself has said, while nobody else says otherwise."""
        return self._own_stop and not self._others
