"""The jobs of one folder by name, one of which runs at a time: where each is, who is busy, what a new one is called."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from mode_ros.errors import UserError
from mode_ros.page import jobs, places


class NamedJobs:
    """Those whose results lie in `folder`, each under its name."""

    def __init__(self, folder: Path, kind: str, busy: str) -> None:
        """kind: begins the names; busy: what a running one does, such as 'still runs'."""
        self._folder, self._kind, self._does = folder, kind, busy

    def of(self, name: str) -> Path:
        """The job's own folder."""
        return self._folder / places.JOBS / name

    def names(self, found: Iterable[str]) -> list[str]:
        """Those whose results were found, after such as have none, newest first."""
        finished = list(found)
        started = {path.parent.name for path in (self._folder / places.JOBS).glob(f'*/{jobs.JOB}')}
        return sorted(started - {*finished}, reverse=True) + finished

    def busy(self) -> str:
        """'' or which one runs, in a sentence."""
        alive = next((name for name in self.names(()) if jobs.lives(self.of(name))), None)
        return '' if alive is None else f'{alive} {self._does}: stop it first, or wait for its end.'

    def new_name(self) -> str:
        """Of the time, and free."""
        name = f'{self._kind}_{time.strftime("%Y%m%d_%H%M%S")}'
        number, free = 1, name
        while (self._folder / free).exists() or self.of(free).exists():
            number += 1
            free = f'{name}_{number}'
        return free

    def begin(self, name: str, command: Sequence[str], about: Mapping[str, Any]) -> str:
        """Starts the command as the job of this name; '' or why it did not start."""
        try:
            jobs.start(self.of(name), command, about)
        except UserError as error:
            return str(error)
        return ''


def gone(name: str) -> str:
    """What is said of a name that is not there."""
    return f'{name} is not there any more.'
