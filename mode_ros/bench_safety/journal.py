"""Finished tries on disk: one JSON line each, added whole or not at all, so that a benchmark can go on later."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mode_ros.errors import UserError
from mode_ros.json_lines import JsonLines

TRIES, SETTINGS = 'tries.jsonl', 'settings.json'


@dataclass(frozen=True)
class Try:
    """One fault, once.

    number: from 0; phase: seconds after which it came while the arm moved; first and rest: control periods from the
    fault to the first stopping command and to rest, None where there was none; excess: by how much each limit was
    exceeded, as a share of it; cause: what the controller said, named: whether that names the fault; released: what
    made the arm move again; note: what else was seen.
    """

    fault: str
    number: int
    phase: float
    first: float | None
    rest: float | None
    excess: Mapping[str, float]
    cause: str
    named: bool
    released: str
    note: str = ''

    @property
    def worst(self) -> float:
        """The largest excess over any limit."""
        return max(self.excess.values(), default=0.0)


class Journal:
    """The tries in a benchmark's folder."""

    def __init__(self, folder: Path, settings: Mapping[str, Any]) -> None:
        """Opens or begins the folder. Raises UserError where it holds tries that were made with other settings."""
        path = folder / TRIES
        folder.mkdir(parents=True, exist_ok=True)
        kept = folder / SETTINGS
        if kept.exists():
            there = self.settings_in(folder)
            differing = sorted(key for key in {*there, *settings} if there.get(key) != settings.get(key))
            if differing:
                raise UserError(
                    f'{folder} holds tries that were made with another {", another ".join(differing)}; give another '
                    '--output.'
                )
        elif path.exists():
            raise UserError(f'{folder} has {TRIES} but no {SETTINGS}: give another --output, or remove it.')
        else:
            kept.write_text(json.dumps(settings, indent=1) + '\n', encoding='utf-8')
        self._lines = JsonLines(path, Try, 'a try')
        self.tries = {(made.fault, made.number): made for made in self._lines.read()}

    @staticmethod
    def settings_in(folder: Path) -> Mapping[str, Any]:
        """What the folder's tries were made with."""
        found: Mapping[str, Any] = json.loads((folder / SETTINGS).read_text(encoding='utf-8'))
        return found

    def add(self, made: Try) -> None:
        """Appends a finished try, and waits until it is on disk."""
        self._lines.append(made)
        self.tries[made.fault, made.number] = made
