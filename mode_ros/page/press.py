"""When something was pressed: a word that the browser has kept back for long is not what the person at it wants now."""

from __future__ import annotations

import math

# Of a request: the server's clock when its button was pressed, as the browser knows it from what it has heard.
PRESSED = 'pressed'
# What comes later does not move the robot (seconds).
LATEST_SECONDS = 3.0


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
    if age <= LATEST_SECONDS:
        return ''
    came = f'It came {age:.0f} s after it was pressed' if math.isfinite(age) else 'It does not say when it was pressed'
    return f'{came}, so it was not done: press again.'
