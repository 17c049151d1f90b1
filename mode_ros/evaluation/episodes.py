"""Finished episodes on disk: one JSON line each, added whole or not at all, so that an evaluation can go on later."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mode_ros.errors import UserError, in_words
from mode_ros.evaluation.settings import differing
from mode_ros.json_lines import JsonLines
from mode_ros.policy.folder import FILES
from mode_ros.policy.words import NAME as WORDS
from mode_ros.whole_files import write_whole

EPISODES, SETTINGS, RESULTS, FAILURES = 'episodes.jsonl', 'settings.json', 'results.json', 'failures'


@dataclass(frozen=True)
class Episode:
    """One finished episode.

    seconds: simulated, to the success or the end; the counts are those of Outcome. solved, of: tasks solved in a row
    and how many there were to solve, 1 except in chains. acting: None where an older version has not counted them, and
    where the nodes do not tell them; held is then of all periods.
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
    acting: int | None = None


class Journal:
    """The episodes in an evaluation's folder."""

    def __init__(self, folder: Path, identity: Mapping[str, Any], measure: Callable[[], Mapping[str, Any]]) -> None:
        """Opens or begins the folder's evaluation.

        identity: plain values under 'checkpoint' and 'settings'; measure: called for a new evaluation, for what is
        found out once and kept. Raises UserError where the folder holds episodes of another evaluation, naming what
        differs, or something else.
        """
        self.folder = folder
        path = folder / EPISODES
        if path.exists() and not (folder / SETTINGS).exists():
            raise UserError(f'{folder} has {EPISODES} but no {SETTINGS}: give another --output, or remove it.')
        self.about: dict[str, Any] = read_json(folder / SETTINGS) if (folder / SETTINGS).exists() else {}
        found = self._differing(identity) if self.about else []
        if found and path.exists():
            raise UserError(
                f'{folder} holds the episodes of another evaluation: {"; ".join(found)}. '
                'Give another --output, or the same settings.'
            )
        if found or not self.about:  # another one that was refused before its first episode has left nothing to keep
            self.about = {**identity, **measure()}
            folder.mkdir(parents=True, exist_ok=True)
            write_whole(folder / SETTINGS, json.dumps(self.about, indent=1) + '\n')
        self._lines = JsonLines(path, Episode, 'an episode')
        self.episodes = {(episode.task, episode.seed): episode for episode in self._lines.read()}
        if self.episodes and 'versions' not in self.about:  # of an evaluation from before they were kept here
            told = folder / RESULTS
            self.about['versions'] = read_json(told).get('versions', {}) if told.exists() else {}

    def begun_with(self, versions: Mapping[str, str]) -> list[str]:
        """Notes the versions that further episodes are run with; returns what has changed since the first ones, as
        `name 1.0, 1.1 now`, [] where nothing has.
        """
        first = self.about.setdefault('versions', dict(versions))
        changed = sorted(name for name in {*first, *versions} if first.get(name) != versions.get(name))
        if changed and versions not in self.about.setdefault('versions_later', []):
            self.about['versions_later'].append(dict(versions))
        write_whole(self.folder / SETTINGS, json.dumps(self.about, indent=1) + '\n')
        return [f'{name} {first.get(name, "unknown")}, {versions.get(name, "not there")} now' for name in changed]

    def add(self, episode: Episode) -> None:
        """Appends one finished episode, and waits until it is on disk."""
        self._lines.append(episode)
        self.episodes[episode.task, episode.seed] = episode

    def _differing(self, identity: Mapping[str, Any]) -> list[str]:
        found = differing(identity['settings'], self.about.get('settings', {}))
        there, folder = self.about.get('checkpoint', {}), identity['checkpoint']['folder']
        if identity['checkpoint']['digest'] != there.get('digest'):
            changed = f'the checkpoint {folder} has changed since, in its weights, settings or words'
            another = f'the checkpoint is {folder} now and another one there'
            found.insert(0, changed if there.get('folder') == folder else another)
        return found


def digest(folder: Path) -> str:
    """A checkpoint's digest: of its weights, settings, statistics, contract and words, wherever they lie."""
    found = hashlib.sha256()
    for name in (*FILES, *([WORDS] if (folder / WORDS).is_file() else [])):
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
    content = io.BytesIO()
    np.savez_compressed(content, commands=commands, end=end)
    write_whole(path, content.getvalue())


def commands_path(folder: Path, episode: Episode) -> Path:
    """Where `save_commands` puts it."""
    return folder / FAILURES / f'{file_name(episode.task, episode.seed)}.npz'


def read_json(path: Path) -> Any:
    """What a JSON file holds; UserError that names it."""
    try:
        return json.loads(path.read_text(encoding='utf-8'))
    except (OSError, ValueError) as error:
        raise UserError(
            f'{path} cannot be read ({in_words(error)}): name what mode_ros evaluate has written.'
        ) from error
