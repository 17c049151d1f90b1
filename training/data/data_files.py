"""LeRobot data sets as they lie on disk: v3.0, and v2.1, which is brought to the same form while it is read."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from mode_ros.errors import UserError, in_words, suggest
from mode_ros.settings import read_text
from mode_ros.training.data import layout as files
from mode_ros.training.data.assembly import column_values, read_task_table
from mode_ros.training.data.declared import (
    check_extras,
    check_features,
    check_listed_once,
    check_tasks,
    check_vectors,
)
from mode_ros.training.data.layout import ACTION, IMAGE_PREFIX, STATE
from mode_ros.training.data.picture_shape import picture_size
from mode_ros.training.data.pointers import is_pointer, refuse_pointers

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

    def __init__(self, root: Path | str, keys: Mapping[str, str] | None = None) -> None:
        """keys: our name of a column -> its name in the data set, where that differs (`action`: `actions`).

        Raises UserError for a folder that is no LeRobot data set of version 2.1 or 3, and for one with a missing part.
        """
        self.root = Path(root)
        self._keys = dict(keys or {})
        self._open_file: tuple[tuple[Path, tuple[str, ...]], pa.Table] | None = None
        self._open_numbers: NDArray[Any] = np.zeros(0, np.int64)
        info = self.root / files.INFO
        if is_pointer(info):
            refuse_pointers(self.root, [info])
        try:
            self._info: dict[str, Any] = json.loads(info.read_text())
            self.version = str(self._info['codebase_version'])
            self.features: dict[str, Any] = self._rename(check_features(self.root, self._info['features']))
            self.rate = float(self._info['fps'])
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise UserError(
                f'{self.root} is no LeRobot data set: {info.name} cannot be read ({in_words(error)}).'
            ) from error
        if self.version not in ('v2.0', 'v2.1') and not self.version.startswith('v3.'):
            raise UserError(
                f'The data set {self.root} has the LeRobot version {self.version}; versions 2.1 and 3.0 are read.'
            )
        if not 0 < self.rate < 1e4:
            raise UserError(
                f'The data set {self.root} says that it has {self.rate:g} frames per second (fps in {files.INFO}): '
                'write the rate it was recorded with there.'
            )
        check_vectors(self.root, self.features)
        self._check_pictures()
        self.extras = self._read_extras()
        try:
            self.episodes: list[EpisodeFiles] = self._read_old() if self.is_old else self._read_new()
        except (OSError, KeyError, ValueError, TypeError, IndexError, AttributeError, pa.ArrowException) as error:
            lists = sorted((self.root / 'meta').rglob('*.parquet')) + [self.root / _OLD_EPISODES]
            refuse_pointers(self.root, lists)
            raise UserError(
                f'The data set {self.root} lacks a part or has a damaged one: {in_words(error)}.'
            ) from error
        check_listed_once(self.root, [episode.index for episode in self.episodes])
        paths = [path for each in self.episodes for path in (each.data, *(clip.path for clip in each.clips.values()))]
        refuse_pointers(self.root, paths)

    def _rename(self, features: Mapping[str, Any]) -> dict[str, Any]:
        for theirs in self._keys.values():
            if theirs not in features:
                raise UserError(
                    f'The data set {self.root} has no column {theirs!r} (keys){suggest(theirs, features)} '
                    f'It has {sorted(features)}.'
                )
        ours = {theirs: name for name, theirs in self._keys.items()}
        return {ours.get(key, key): feature for key, feature in features.items()}

    def _theirs(self, key: str) -> str:
        return self._keys.get(key, key)

    def _check_pictures(self) -> None:
        for name, key in self.cameras.items():
            try:
                picture_size(self.features[key])
            except (ValueError, KeyError, TypeError) as error:
                raise UserError(
                    f'The camera {name!r} of {self.root} cannot be used: {error} ({files.INFO}, feature '
                    f'{self._theirs(key)!r}).'
                ) from error
            if self.is_video(name) and not self._info.get('video_path'):
                raise UserError(
                    f'The camera {name!r} of {self.root} is a video, but {files.INFO} does not say where videos are '
                    f'(video_path is empty): write the pattern there, for example {files.VIDEO_PATH!r}.'
                )

    def place(self, number: int) -> int:
        """Where in `episodes` the one of this number is: not there, where numbers are missing. Raises UserError."""
        found = next((place for place, each in enumerate(self.episodes) if each.index == number), None)
        if found is None:
            raise UserError(f'The data set {self.root} has no episode {number}; it has {self.numbers}.')
        return found

    @property
    def numbers(self) -> str:
        """Which numbers episodes have, as in '0 to 9' or, where some are missing, '1 to 9, 7 in all'."""
        numbers = [each.index for each in self.episodes]
        first, last = min(numbers), max(numbers)
        return f'{first} to {last}' + ('' if last - first + 1 == len(numbers) else f', {len(numbers)} in all')

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

    def is_depth(self, camera: str) -> bool:
        """Whether its pictures are codes of depth (mode_ros.control.depth), as conversion writes them."""
        feature = self.features[self.cameras[camera]]
        about = feature.get('info')
        told = isinstance(about, Mapping) and bool(about.get('is_depth_map'))
        return told and feature['dtype'] == 'image' and int(feature['shape'][-1]) == 1

    @property
    def contract_text(self) -> str | None:
        """The contract of the recordings; None for a data set that mode_ros did not make."""
        path = self.root / files.CONTRACT
        return read_text(path, 'The robot contract') if path.is_file() else None

    @property
    def streams(self) -> dict[str, int]:
        """State streams and their sizes, in the order of the joined vector; LeRobot's own have a single one."""
        if STATE not in self.features:
            return {}
        size = int(self.features[STATE]['shape'][0])
        return dict(self.extras.get('state_streams', {'state': size}))

    def size(self, camera: str) -> tuple[int, int]:
        """Width and height on disk."""
        return picture_size(self.features[self.cameras[camera]])

    def names(self, key: str) -> list[str] | None:
        """What the numbers of a vector are called; None where the data set does not say."""
        names = self.features.get(key, {}).get('names')
        if isinstance(names, Mapping) and names and all(isinstance(place, int) for place in names.values()):
            names = sorted(names, key=lambda name: int(names[name]))  # {'delta_x': 0, ...}
        elif isinstance(names, Mapping):  # as lerobot's older ones: {'motors': [...]}
            names = [name for group in names.values() for name in (group if isinstance(group, list) else [group])]
        if isinstance(names, list) and len(names) == 1 and isinstance(names[0], list):
            names = names[0]
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            return None
        return names if names else None

    def missing_action(self) -> str:
        """A sentence for a data set without actions, with the near name."""
        return (
            f'The data set {self.root} has no actions (no column {ACTION!r}{suggest(ACTION, self.features)}), so '
            f'nothing can be learnt from it; it has {sorted(self.features)}. Where they are called otherwise, say so '
            'in a mixture file (data.mixture) with `keys: {action: NAME}`.'
        )

    def rows(self, episode: EpisodeFiles, columns: Sequence[str]) -> dict[str, NDArray[Any]]:
        """Columns of an episode as arrays [length] or [length, dim]; UserError where rows are missing."""
        table = self._table(episode, columns)
        return {name: column_values(table, self._theirs(name)) for name in columns}

    def table(self, episode: EpisodeFiles) -> pa.Table:
        """All columns of an episode, under their own names."""
        return self._table(episode, None)

    @property
    def info(self) -> Mapping[str, Any]:
        """What meta/info.json says."""
        return self._info

    def image_bytes(self, episode: EpisodeFiles, camera: str) -> list[bytes]:
        """The encoded images of an episode whose images lie in its data file."""
        key = self.cameras[camera]
        table = self._table(episode, [key])
        key = self._theirs(key)
        return [item['bytes'] or (self.root / item['path']).read_bytes() for item in table[key].to_pylist()]

    def _table(self, episode: EpisodeFiles, columns: Sequence[str] | None) -> pa.Table:
        try:
            names = None if columns is None else [self._theirs(name) for name in columns]
            if any(self.features[name]['dtype'] == 'image' for name in columns or self.features):
                # Pictures of a whole file may not fit into memory.
                table = pq.read_table(episode.data, columns=names, filters=[('episode_index', '=', episode.index)])
            else:
                table = self._vectors(episode, tuple(names or pq.read_schema(episode.data).names))
        except (OSError, KeyError, pa.ArrowException) as error:
            raise UserError(
                f'{episode.data} cannot be read: {in_words(error)}. Convert or copy the data set again.'
            ) from error
        if len(table) != episode.length:
            raise UserError(
                f'{episode.data} has {len(table)} rows of episode {episode.index}, and should have {episode.length}.'
            )
        return table

    def _vectors(self, episode: EpisodeFiles, columns: tuple[str, ...]) -> pa.Table:
        """Rows of an episode. A file of many episodes is read once for all of them, as long as they come together."""
        if self._open_file is None or self._open_file[0] != (episode.data, columns):
            table = pq.read_table(episode.data, columns=list(dict.fromkeys([*columns, 'episode_index'])))
            numbers = np.asarray(table['episode_index'])
            order = np.argsort(numbers, kind='stable')
            self._open_file = (episode.data, columns), table.take(order) if (np.diff(numbers) < 0).any() else table
            self._open_numbers = numbers[order]
        table = self._open_file[1]
        first, last = np.searchsorted(self._open_numbers, [episode.index, episode.index + 1])
        return table.slice(int(first), int(last - first))

    def _read_extras(self) -> dict[str, Any]:
        path = self.root / files.EXTRAS
        if not path.is_file():
            return {}
        try:
            found = json.loads(path.read_text())
        except ValueError as error:
            raise UserError(f'{path} is damaged: {error}. Convert the data set again.') from error
        return check_extras(self.root, found, self.features)

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
            theirs = self._theirs(key)
            if not self.is_video(name):
                continue
            if f'videos/{theirs}/chunk_index' in row:
                path = at(self._info['video_path'], f'videos/{theirs}', video_key=theirs)
                clips[name] = Clip(path, float(row[f'videos/{theirs}/from_timestamp']))
            else:
                clips[name] = self._clip_by_number(theirs, int(row['episode_index']))
        return EpisodeFiles(
            row['episode_index'], row['length'], tuple(row['tasks']), at(self._info['data_path'], 'data'), clips
        )

    def _clip_by_number(self, key: str, episode: int) -> Clip:
        """The video of an episode whose table does not say: one file per episode, counted as the pattern counts."""
        size = int(self._info.get('chunks_size', files.CHUNK_FILES))
        numbers = {'chunk_index': episode // size, 'file_index': episode % size}
        numbers |= {'episode_chunk': episode // size, 'episode_index': episode}
        path = self.root / self._info['video_path'].format(video_key=key, **numbers)
        if not path.exists():
            raise UserError(
                f'The data set {self.root} does not say where the pictures of {key} in episode {episode} are (its '
                f'episode table has no videos/{key}/chunk_index), and there is nothing at {path}: write it anew with '
                'the tool that made it, or with lerobot.'
            )
        return Clip(path, 0.0)

    def _read_old(self) -> list[EpisodeFiles]:
        rows = [json.loads(line) for line in (self.root / _OLD_EPISODES).read_text().splitlines() if line.strip()]
        return [self._old_episode(row) for row in sorted(rows, key=lambda row: row['episode_index'])]

    def _old_episode(self, row: Mapping[str, Any]) -> EpisodeFiles:
        index = row['episode_index']
        numbers = {'episode_chunk': index // self._info['chunks_size'], 'episode_index': index}
        clips = {
            name: Clip(self.root / self._info['video_path'].format(video_key=self._theirs(key), **numbers), 0.0)
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
                return read_task_table(self.root)
            lines = (self.root / _OLD_TASKS).read_text().splitlines()
            rows = [(row['task_index'], row['task']) for row in map(json.loads, filter(str.strip, lines))]
            return check_tasks(self.root, rows)
        except (OSError, ValueError, KeyError, TypeError, pa.ArrowException) as error:
            raise UserError(f'The tasks of the data set {self.root} cannot be read: {in_words(error)}.') from error
