"""How healthy each recorded stream is: rate, jitter, gaps, and how stamps relate to reception."""

from __future__ import annotations

from array import array
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mode_ros.control.contract import NANOSECONDS

# Gaps named one by one in a report; beyond that, their number.
LISTED_GAPS = 20


# Messages whose median says how late a stream is.
_ENOUGH = 5


def _by_second(received: NDArray[np.int64], values: NDArray[np.float64]) -> list[NDArray[np.float64]]:
    seconds = (received - received[0]) // NANOSECONDS
    return np.split(values, np.flatnonzero(np.diff(seconds)) + 1)


class StreamWatch:
    """Counts one stream while it is read. 16 bytes per message are kept, whatever the messages hold."""

    def __init__(self, limit: int | None) -> None:
        """limit: nanoseconds of silence that count as a gap; None where silence is no fault."""
        self._limit = limit
        self._stamps = array('q')
        self._received = array('q')
        self.zero_stamps = 0
        self.reordered = 0
        self.unusable = 0
        # Commands stamped by another clock, which count by their reception.
        self.other_clock = 0
        # By how much the first of them was ahead (nanoseconds).
        self.other_by = 0

    def add(self, stamp: int, received: int) -> None:
        """One message. stamp: its header's, or its reception where it has none; both nanoseconds."""
        if self._stamps and stamp < self._stamps[-1]:
            self.reordered += 1
        self._stamps.append(stamp)
        self._received.append(received)

    def summary(self, start: int) -> dict[str, Any]:
        """What a report says of the stream. start: nanoseconds that its times count from.

        rate: Hz; jitter_ms: deviation of the intervals; gaps: [seconds from start, seconds long] each; offset_ms: from
        stamp to reception, median and 99th percentile; offset_span_ms: the least and largest of its
        medians over a second.
        """
        stamps = np.frombuffer(self._stamps, np.int64) if self._stamps else np.zeros(0, np.int64)
        received = np.frombuffer(self._received, np.int64) if self._received else np.zeros(0, np.int64)
        found: dict[str, Any] = {
            'messages': len(stamps) + self.zero_stamps,
            'zero_stamps': self.zero_stamps,
            'reordered': self.reordered,
            'unusable': self.unusable,
        }
        if self.other_clock:
            found['other_clock'] = [self.other_clock, self.other_by / NANOSECONDS]
        ordered = np.sort(stamps)
        steps = np.diff(ordered) / NANOSECONDS
        if len(steps) and ordered[-1] > ordered[0]:
            found['rate'] = round(len(steps) / ((ordered[-1] - ordered[0]) / NANOSECONDS), 3)
            found['jitter_ms'] = round(float(steps.std()) * 1e3, 3)
            found['longest_ms'] = round(float(steps.max()) * 1e3, 3)
        if self._limit is not None and len(steps):
            where = np.flatnonzero(steps > self._limit / NANOSECONDS)
            found['gap_count'] = len(where)
            found['gaps'] = [
                [round((int(ordered[i]) - start) / NANOSECONDS, 3), round(float(steps[i]), 3)]
                for i in where[:LISTED_GAPS]
            ]
        if len(stamps):
            offsets = (received - stamps) / 1e6
            found['offset_ms'] = [round(float(q), 3) for q in np.quantile(offsets, (0.5, 0.99))]
            medians = [np.median(part) for part in _by_second(received, offsets) if len(part) >= _ENOUGH]
            if medians:
                found['offset_span_ms'] = [round(float(min(medians)), 3), round(float(max(medians)), 3)]
        return found
