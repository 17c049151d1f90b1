"""What a training's log says, read on from where it was read to: curves of a few hundred points, for any number of
viewers.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

POINTS = 300
_STEP_KEYS = ('denoising', 'balancing', 'gradient_norm', 'learning_rate', 'steps_per_second', 'data_share')


class RunLog:
    """One training's log. Not for two threads at once."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._forget()

    def _forget(self) -> None:
        self._read = 0
        self._steps: dict[int, dict[str, float | None]] = {}
        self._validations: dict[int, Mapping[str, Any]] = {}

    def read_on(self) -> None:
        """Takes what was written since the last time; a file that became shorter is another one."""
        try:
            with self._path.open('rb') as file:
                if file.seek(0, 2) < self._read:
                    self._forget()
                file.seek(self._read)
                text = file.read()
        except OSError:
            self._forget()
            return
        whole = text.rfind(b'\n') + 1
        self._read += whole
        for line in text[:whole].splitlines():
            self._take(line)

    def _take(self, line: bytes) -> None:
        try:
            entry = json.loads(line)
            step, kind = int(entry['step']), entry['kind']
        except (ValueError, KeyError, TypeError):
            return  # cut short by a kill
        # What a resumed training repeats counts once, the last time.
        for known in (self._steps, self._validations):
            for later in [each for each in known if each > step]:
                del known[later]
        if kind == 'step':
            self._steps[step] = {key: _finite(entry.get(key)) for key in _STEP_KEYS}
        elif kind == 'validation':
            self._validations[step] = entry

    def now(self, steps: int | None) -> dict[str, Any]:
        """step, of, error (the last validation's), best (its error and step), rate, left (seconds). steps: in all."""
        last = max(self._steps, default=0)
        rate = self._steps[last]['steps_per_second'] if last else None
        errors = self._errors()
        best = min(errors, key=lambda point: point[1], default=None)
        return {
            'step': last,
            'of': steps,
            'loss': self._steps[last]['denoising'] if last else None,
            'error': errors[-1][1] if errors else None,
            'best': best and {'step': best[0], 'error': best[1]},
            'rate': rate,
            'left': (steps - last) / rate if steps and rate else None,
        }

    def curves(self) -> dict[str, list[tuple[int, float]]]:
        """Name to points (step, value), thinned; what is not finite is left out."""
        found = {
            key: thin([(step, value) for step, of in sorted(self._steps.items()) if (value := of[key]) is not None])
            for key in _STEP_KEYS
        }
        return {**found, 'error': thin(self._errors())}

    def by_task(self) -> list[tuple[str, float | None, float | None]]:
        """(task, error at the last validation, at the one before), the largest error first."""
        last_two = [self._validations[step].get('by_task') for step in sorted(self._validations)[-2:]]
        now, before = (last_two[-1] if last_two else None), (last_two[0] if len(last_two) > 1 else None)
        if not isinstance(now, Mapping):
            return []
        earlier = before if isinstance(before, Mapping) else {}
        rows = [(str(task), _finite(error), _finite(earlier.get(task))) for task, error in now.items()]
        return sorted(rows, key=lambda row: -math.inf if row[1] is None else row[1], reverse=True)

    def _errors(self) -> list[tuple[int, float]]:
        found = [(step, _finite(entry.get('error'))) for step, entry in sorted(self._validations.items())]
        return [(step, error) for step, error in found if error is not None]


def thin(points: Sequence[tuple[int, float]], most: int = POINTS) -> list[tuple[int, float]]:
    """At most about `most` points, the mean of each stretch at its last step; the last point is as it is."""
    stride = math.ceil(len(points) / most)
    if stride <= 1:
        return list(points)
    stretches = [points[start : start + stride] for start in range(0, len(points) - 1, stride)]
    means = [(stretch[-1][0], sum(value for _, value in stretch) / len(stretch)) for stretch in stretches]
    return [*(mean for mean in means if mean[0] < points[-1][0]), points[-1]]


def _finite(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float) and math.isfinite(value) else None
