"""The one job of the tab Episodes: an edit, a conversion or a replay, in a process that outlives the page."""

from __future__ import annotations

import json
import os
import re
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mode_ros.errors import UserError
from mode_ros.page import jobs
from mode_ros.page.episode_commands import RUN

# Done, and something was left out or should be looked at.
LEFT_OUT = 3
LINES = 12
_MOST_BYTES = 20_000
_PERCENT = re.compile(r'(\d{1,3})%\|')


class EpisodeJob:
    """One at a time. folder: where it is kept between two pages."""

    def __init__(self, folder: Path, run: Sequence[str] = RUN) -> None:
        self._folder, self._run = folder, tuple(run)

    def start(self, command: Sequence[str], who: str, about: Mapping[str, Any]) -> str:
        """Returns what was started, in words. UserError where something runs already."""
        told = self.told()
        if told is not None and told['state'] in ('running', 'stopping'):
            raise UserError(f'{told["command"]} still runs, asked for by {told["who"]}: wait for it, or cancel it.')
        try:
            begins = (self._folder / jobs.OUTPUT).stat().st_size
        except OSError:
            begins = 0
        words = shlex.join(['mode_ros', *command])
        jobs.start(self._folder, [*self._run, *command], {**about, 'words': words, 'who': who, 'begins': begins})
        return words

    def cancel(self) -> tuple[bool, str]:
        """(whether it was asked to end, in words)."""
        told = self.told()
        if told is None or told['state'] not in ('running', 'stopping'):
            return False, 'Nothing runs.'
        done, words = jobs.stop(self._folder)
        return done, f'{told["command"]} is asked to end.' if done else words

    def told(self) -> dict[str, Any] | None:
        """Keys: command and who asked, state (running, stopping, done, left out, stopped, failed, dead), words, percent
        (None where none is told), lines, about. None before the first.
        """
        if not (self._folder / jobs.JOB).is_file():
            return None
        found = jobs.tell(self._folder)
        lines = self._lines(int(found.about.get('begins', 0)))
        state, words = found.state, found.words
        said = [line.removeprefix('mode_ros: ') for line in lines if line.startswith('mode_ros: ')]
        if state == 'failed':
            status = _status(self._folder)
            if status == LEFT_OUT:
                state = 'left out'
            elif status is not None and (status < 0 or status > 128):
                number = -status if status < 0 else status - 128
                words = f'It was killed (signal {number}). {words}'
            elif said:
                words = said[-1]
        bars = [int(match.group(1)) for line in lines if (match := _PERCENT.search(line))]
        return {
            'command': str(found.about.get('words', '')),
            'who': str(found.about.get('who', '')),
            'state': state,
            'words': words,
            'percent': min(100, bars[-1]) if bars and found.alive else None,
            'lines': [line for line in lines if not _PERCENT.search(line)][-LINES:],
            'about': {key: found.about[key] for key in ('kind', 'item') if key in found.about},
        }

    def _lines(self, begins: int) -> list[str]:
        try:
            with (self._folder / jobs.OUTPUT).open('rb') as file:
                file.seek(max(begins, file.seek(0, os.SEEK_END) - _MOST_BYTES))
                text = file.read().decode(errors='replace')
        except OSError:
            return []
        return [line.strip()[:500] for line in text.replace('\r', '\n').splitlines() if line.strip()]


def _status(folder: Path) -> int | None:
    try:
        status = json.loads((folder / jobs.ENDED).read_text(encoding='utf-8')).get('status')
    except (OSError, ValueError, AttributeError):
        return None
    return status if isinstance(status, int) else None
