"""LeRobot data sets as they lie on disk: v3.0, and v2.1, which is brought to the same form while it is read."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from mode_ros.errors import UserError
from mode_ros.training.data import layout as files
from mode_ros.training.data.assembly import column_values, read_tasks
from mode_ros.training.data.layout import IMAGE_PREFIX, STATE

_OLD_EPISODES, _OLD_TASKS = Path('meta/episodes.jsonl'), Path('meta/tasks.jsonl')


@dataclass(frozen=True)
class Clip:
    """Where an episode's pictures of one camera are. start: seconds into the video; 0 for images in data files."""

    path: Path
    start: float


@dataclass(frozen=True)
class EpisodeFiles:
    """An episode on disk. data: its parquet file; clips: by camera, empty where images lie in the data file."""

    index: int
    length: int
    tasks: tuple[str, ...]
    data: Path
    clips: Mapping[str, Clip]


class DataFiles:
    """What lies in a data set's folder."""

    def __init__(self, root: Path | str) -> None:
        """Raises UserError for a folder that is no LeRobot data set of version 2.1 or 3."""
        self.root = Path(root)
        info = self.root / files.INFO
        try:
            self._info: dict[str, Any] = json.loads(info.read_text())
            self.version = str(self._info['codebase_version'])
            self.features: dict[str, Any] = self._info['features']
            self.rate = float(self._info['fps'])
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise UserError(f'{self.root} is no LeRobot data set: {info.name} cannot be read ({error}).') from error
        if self.version not in ('v2.0', 'v2.1') and not self.version.startswith('v3.'):
            raise UserError(
                f'The data set {self.root} has the LeRobot version {self.version}; versions 2.1 and 3.0 are read.'
            )
        self.extras = self._read_extras()
        try:
            self.episodes: list[EpisodeFiles] = self._read_old() if self.is_old else self._read_new()
        except (OSError, KeyError, ValueError, TypeError, pa.ArrowException) as error:
            raise UserError(f'The data set {self.root} lacks a part or has a damaged one: {error}.') from error

    @property
    def is_old(self) -> bool:
        return self.version.startswith('v2')

    @cached_property
    def cameras(self) -> dict[str, str]:
        """Camera name to feature: 'static' to 'observation.images.static'."""
        keys = [key for key, feature in self.features.items() if feature['dtype'] in ('video', 'image')]
        names = {key.removeprefix(IMAGE_PREFIX).removeprefix('observation.').replace('.', '_'): key for key in keys}
        return names

    def is_video(self, camera: str) -> bool:
        return bool(self.features[self.cameras[camera]]['dtype'] == 'video')

    @property
    def contract_text(self) -> str | None:
        """The contract of the recordings; None for a data set that mode_ros did not make."""
        path = self.root / files.CONTRACT
        return path.read_text(encoding='utf-8') if path.is_file() else None

    @property
    def streams(self) -> dict[str, int]:
        """State streams and their sizes, in the order of the joined vector; LeRobot's own have a single one."""
        if STATE not in self.features:
            return {}
        size = int(self.features[STATE]['shape'][0])
        return dict(self.extras.get('state_streams', {'state': size}))

    def size(self, camera: str) -> tuple[int, int]:
        """Width and height on disk."""
        feature = self.features[self.cameras[camera]]
        shape, names = feature['shape'], feature.get('names') or ['height', 'width', 'channels']
        return int(shape[names.index('width')]), int(shape[names.index('height')])

    def rows(self, episode: EpisodeFiles, columns: Sequence[str]) -> dict[str, NDArray[Any]]:
        """Columns of an episode as arrays [length] or [length, dim]; UserError where rows are missing."""
        table = self._table(episode, columns)
        return {name: column_values(table, name) for name in columns}

    def image_bytes(self, episode: EpisodeFiles, camera: str) -> list[bytes]:
        """The encoded images of an episode whose images lie in its data file."""
        key = self.cameras[camera]
        table = self._table(episode, [key])
        return [item['bytes'] or (self.root / item['path']).read_bytes() for item in table[key].to_pylist()]

    def _table(self, episode: EpisodeFiles, columns: Sequence[str]) -> pa.Table:
        try:
            table = pq.read_table(episode.data, columns=list(columns), filters=[('episode_index', '=', episode.index)])
        except (OSError, KeyError, pa.ArrowException) as error:
            raise UserError(f'{episode.data} cannot be read: {error}. Convert or copy the data set again.') from error
        if len(table) != episode.length:
            raise UserError(
                f'{episode.data} has {len(table)} rows of episode {episode.index}, and should have {episode.length}.'
            )
        return table

    def _read_extras(self) -> dict[str, Any]:
        path = self.root / files.EXTRAS
        if not path.is_file():
            return {}
        try:
            found: dict[str, Any] = json.loads(path.read_text())
        except ValueError as error:
            raise UserError(f'{path} is damaged: {error}. Convert the data set again.') from error
        return found

    def _read_new(self) -> list[EpisodeFiles]:
        found: list[EpisodeFiles] = []
        for path in sorted((self.root / 'meta/episodes').glob('*/*.parquet')):
            names = [name for name in pq.read_schema(path).names if not name.startswith('stats/')]
            found += [self._new_episode(row) for row in pq.read_table(path, columns=names).to_pylist()]
        return sorted(found, key=lambda episode: episode.index)

    def _new_episode(self, row: Mapping[str, Any]) -> EpisodeFiles:
        def at(pattern: str, prefix: str, **more: str) -> Path:
            numbers = {name: row[f'{prefix}/{name}'] for name in ('chunk_index', 'file_index')}
            return self.root / pattern.format(**numbers, **more)

        clips = {}
        for name, key in self.cameras.items():
            if self.is_video(name):
                path = at(self._info['video_path'], f'videos/{key}', video_key=key)
                clips[name] = Clip(path, float(row[f'videos/{key}/from_timestamp']))
        return EpisodeFiles(
            row['episode_index'], row['length'], tuple(row['tasks']), at(self._info['data_path'], 'data'), clips
        )

    def _read_old(self) -> list[EpisodeFiles]:
        rows = [json.loads(line) for line in (self.root / _OLD_EPISODES).read_text().splitlines() if line.strip()]
        return [self._old_episode(row) for row in sorted(rows, key=lambda row: row['episode_index'])]

    def _old_episode(self, row: Mapping[str, Any]) -> EpisodeFiles:
        index = row['episode_index']
        numbers = {'episode_chunk': index // self._info['chunks_size'], 'episode_index': index}
        clips = {
            name: Clip(self.root / self._info['video_path'].format(video_key=key, **numbers), 0.0)
            for name, key in self.cameras.items()
            if self.is_video(name)
        }
        data = self.root / self._info['data_path'].format(**numbers)
        return EpisodeFiles(index, row['length'], tuple(row['tasks']), data, clips)

    @cached_property
    def tasks(self) -> dict[int, str]:
        """The task in words by task_index."""
        try:
            if not self.is_old:
                return dict(enumerate(read_tasks(self.root)))
            lines = (self.root / _OLD_TASKS).read_text().splitlines()
            return {row['task_index']: row['task'] for row in map(json.loads, filter(str.strip, lines))}
        except (OSError, ValueError, KeyError, StopIteration, pa.ArrowException) as error:
            raise UserError(f'The tasks of the data set {self.root} cannot be read: {error}.') from error
