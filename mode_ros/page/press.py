"""When something was pressed: a word that the browser has kept back for long is not what the person at it wants now.

But for STOP, of which a late word is better than none. Only, what comes once more of a press that was heard is no new
one: the robot may have been released since.
"""

from __future__ import annotations

import math
from collections import OrderedDict

# Of a request: the server's clock when its button was pressed, as the browser knows it from what it has heard.
PRESSED = 'pressed'
# What comes later does not move the robot (seconds); nor what was pressed after it came, by clocks that have parted.
LATEST_SECONDS = 3.0
AHEAD_SECONDS = 0.5
# Of a request to stop: which press it is of, as `PAGE NUMBER`; and of so many pages that is remembered.
PRESS = 'press'
PAGES = 256


def too_late(pressed: str | None, now: float) -> str:
    """Why it is not done any more, '' where it is. pressed: of the request, None where it does not say; now: seconds of
    the clock that the browser was told.
    """
    if pressed is None:
        return ''
    try:
        age = now - float(pressed)
    except ValueError:
        age = math.nan
    if -AHEAD_SECONDS <= age <= LATEST_SECONDS:
        return ''
    if age < 0:
        return 'The clocks of the page and its server have parted, so it was not done: press again.'
    came = f'It came {age:.0f} s after it was pressed' if math.isfinite(age) else 'It does not say when it was pressed'
    return f'{came}, so it was not done: press again.'


class Stops:
    """The last press of STOP that was heard of each open page."""

    def __init__(self) -> None:
        self._last: OrderedDict[str, int] = OrderedDict()

    def is_new(self, press: str) -> bool:
        """Whether a press, `PAGE NUMBER`, was not heard yet, and no later one of its page; what says neither is new."""
        page, number = _parts(press)
        return number is None or number > self._last.get(page, 0)

    def heard(self, press: str) -> None:
        """Notes it; only once it was obeyed, so that it is tried again where that failed."""
        page, number = _parts(press)
        if number is None:
            return
        self._last[page] = number
        self._last.move_to_end(page)
        while len(self._last) > PAGES:
            self._last.popitem(last=False)


def _parts(press: str) -> tuple[str, int | None]:
    page, _, text = press.partition(' ')
    return page, int(text) if page and text.isascii() and text.isdecimal() else None
