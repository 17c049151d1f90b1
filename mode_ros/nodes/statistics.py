"""Running percentiles for diagnostics."""

from __future__ import annotations

from collections import deque

import numpy as np


class Percentiles:
    """The newest values of a measured quantity. Appending and reading may happen in different threads."""

    def __init__(self, window: int = 2000) -> None:
        self._values: deque[float] = deque(maxlen=window)

    def add(self, value: float) -> None:
        self._values.append(value)

    def clear(self) -> None:
        self._values.clear()

    def of(self, percent: float) -> float:
        """The percentile, NaN without values."""
        values = list(self._values)
        return float(np.percentile(values, percent)) if values else float('nan')

    @property
    def mean(self) -> float:
        values = list(self._values)
        return float(np.mean(values)) if values else float('nan')
