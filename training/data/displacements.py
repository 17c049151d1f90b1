"""Displacements that are commanded more often than one a period: what they come to in a control period.

Each is a displacement per period, as a twist is a velocity. It is in force until the next one, and for one period at
most, since a displacement ends by itself; it counts for the share of a period in which it was in force. So the actions
of a recording sum up to what was commanded, wherever the periods begin.

A sender at the contract's rate is none of these: each of its commands is the action of one period (see commands), and
its jitter must not mix two. Which of them a sender is, is told by the mean time between its last commands.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

# Times between commands that are looked at, the newest ones.
_SPACINGS = 8
# Commands that must be kept for that, and for the pause after which some of those came at once.
KEPT = 2 * _SPACINGS + 1

# Periods between commands, on average: below the first they come more often than the rate, above the second they do
# not, and between the two nothing changes, so that no sender is taken for either in turns.
_OFTEN, _SELDOM = 0.75, 0.85

# So many periods early or late is jitter, which makes few spacings look shorter than they are.
_JITTER = 0.25

# A longer pause, in periods, says no more about the rate than one of these.
_PAUSE = 2.0

# Commands that come within less than this of one another, in periods, after a pause had been held up by it.
_AT_ONCE = 0.05


def come_often(times: Sequence[int], period: int, before: bool) -> bool:
    """Whether commands come clearly more often than one a period; before: the answer until now.

    times: nanoseconds, rising, of all commands or of the last KEPT.
    """
    spacings = [(later - earlier) / period for earlier, later in pairwise(times[-KEPT:])]
    if not spacings:
        return before
    recent = (spacings if before else _as_sent(spacings))[-_SPACINGS:]
    count = len(recent)
    mean = sum(min(spacing, _PAUSE) for spacing in recent) / count
    return mean <= _SELDOM if before else mean < min(_OFTEN, 1.0 - 2.0 * _JITTER / count)


def _as_sent(spacings: Sequence[float]) -> list[float]:
    """The spacings, in periods, with those of commands that came at once spread over the pause before them.

    A sender at the rate whose messages were held up has sent no faster. Where the pause is not known any more, they
    tell nothing.
    """
    first = next((number for number, spacing in enumerate(spacings) if spacing >= _AT_ONCE), 0)
    sent, start = list(spacings), first
    while start < len(sent):
        stop = start + 1
        while spacings[start] >= _AT_ONCE and stop < len(sent) and spacings[stop] < _AT_ONCE:
            stop += 1
        sent[start:stop] = [sum(spacings[start:stop]) / (stop - start)] * (stop - start)
        start = stop
    return sent[first:]


def shares(times: Sequence[int], start: int, period: int) -> list[float]:
    """Of each command, the share of [start, start + period) in which it is in force. times: nanoseconds, rising."""
    following = [*times[1:], start + period]
    return [
        max(0, min(later, time + period, start + period) - max(time, start)) / period
        for time, later in zip(times, following, strict=False)
    ]
