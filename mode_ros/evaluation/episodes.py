"""Finished episodes on disk: one JSON line each, added whole or not at all, so that an evaluation can go on later."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mode_ros.errors import UserError
from mode_ros.evaluation.settings import differing
from mode_ros.policy.folder import FILES

EPISODES, SETTINGS, FAILURES = 'episodes.jsonl', 'settings.json', 'failures'


@dataclass(frozen=True)
class Episode:
    """One finished episode.

    seconds: simulated, to the success or the end; the counts are those of Outcome. solved, of: tasks solved in a row
    and how many there were to solve, 1 except in chains.
    """

    task: str
    seed: int
    goal: str
    success: bool
    seconds: float
    periods: int
    chunks: int
    held: int
    refused: int
    limited: int
    solved: int
    of: int = 1
    late: int = 0
    seams: int = 0
    seam_position: float = 0.0
    seam_velocity: float = 0.0
    jerk: float = 0.0


class Journal:
    """The episodes in an evaluation's folder."""

    def __init__(self, folder: Path, identity: Mapping[str, Any], measure: Callable[[], Mapping[str, Any]]) -> None:
        """Opens or begins the folder's evaluation.

        identity: plain values under 'checkpoint' and 'settings'; measure: called for a new evaluation, for what is
        found out once and kept. Raises UserError where the folder holds another evaluation, naming what differs, or
        something else.
        """
        self.folder = folder
        self._path = folder / EPISODES
        if self._path.exists() and not (folder / SETTINGS).exists():
            raise UserError(f'{folder} has {EPISODES} but no {SETTINGS}: give another --output, or remove it.')
        if (folder / SETTINGS).exists():
            self.about: dict[str, Any] = read_json(folder / SETTINGS)
            self._check_same(identity)
        else:
            self.about = {**identity, **measure()}
            folder.mkdir(parents=True, exist_ok=True)
            write_whole(folder / SETTINGS, json.dumps(self.about, indent=1) + '\n')
        self.episodes = self._read()

    def add(self, episode: Episode) -> None:
        """Appends one finished episode, and waits until it is on disk."""
        line = json.dumps(dataclasses.asdict(episode), ensure_ascii=False) + '\n'
        # One write to a file opened for appending: a reader, or a crash, sees all of the line or at most a torn end.
        file = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        try:
            os.write(file, line.encode())
            os.fsync(file)
        finally:
            os.close(file)
        self.episodes[episode.task, episode.seed] = episode

    def _check_same(self, identity: Mapping[str, Any]) -> None:
        found = differing(identity['settings'], self.about.get('settings', {}))
        if identity['checkpoint']['digest'] != self.about.get('checkpoint', {}).get('digest'):
            found.insert(0, f'the checkpoint is {identity["checkpoint"]["folder"]} now and another one there')
        if found:
            raise UserError(
                f'{self.folder} holds the episodes of another evaluation: {"; ".join(found)}. '
                'Give another --output, or the same settings.'
            )

    def _read(self) -> dict[tuple[str, int], Episode]:
        if not self._path.exists():
            return {}
        content = self._path.read_bytes()
        whole = content.rfind(b'\n') + 1
        if whole < len(content):
            # The last line was being written when the machine stopped: its episode is run again.
            os.truncate(self._path, whole)
        episodes = {}
        for number, line in enumerate(content[:whole].decode(errors='replace').splitlines(), start=1):
            try:
                episode = Episode(**json.loads(line))
            except (ValueError, TypeError) as error:
                raise UserError(
                    f'{self._path}, line {number} is not an episode ({error}); remove that line.'
                ) from error
            episodes[episode.task, episode.seed] = episode
        return episodes


def digest(folder: Path) -> str:
    """A checkpoint's digest: the same for the same weights, settings, statistics and contract, wherever they lie."""
    found = hashlib.sha256()
    for name in FILES:
        with (folder / name).open('rb') as file:
            while block := file.read(1 << 20):
                found.update(block)
    return found.hexdigest()


def file_name(task: str, seed: int) -> str:
    """How the files of an episode begin."""
    return f'{task.replace("/", "-")}-{seed:03d}'


def save_commands(folder: Path, episode: Episode, commands: NDArray[np.float64], end: NDArray[np.float64]) -> None:
    """Keeps what a failed episode commanded, from which it can be shown again. commands [periods, d], end [3]."""
    path = commands_path(folder, episode)
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_suffix('.part')
    with aside.open('wb') as file:
        np.savez_compressed(file, commands=commands, end=end)
    aside.replace(path)


def commands_path(folder: Path, episode: Episode) -> Path:
    """Where `save_commands` puts it."""
    return folder / FAILURES / f'{file_name(episode.task, episode.seed)}.npz'


def read_json(path: Path) -> Any:
    """What a JSON file holds; UserError that names it."""
    try:
        return json.loads(path.read_text(encoding='utf-8'))
    except (OSError, ValueError) as error:
        raise UserError(f'{path} cannot be read: {error}.') from error


def write_whole(path: Path, text: str) -> None:
    """Writes a file aside and renames it, so that it is never half there."""
    aside = path.with_name(f'.{path.name}.part')
    aside.write_text(text, encoding='utf-8')
    aside.replace(path)
