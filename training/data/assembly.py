"""Staged episodes to a LeRobotDataset v3.0 that appears under its name only when it is complete.

The new data set is built beside the old one, sharing the files of the episodes that it already had, and takes its
place by renaming. Should the power fail between the two renames, the next run puts the old one back.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from mode_ros.checks.finding import listed
from mode_ros.errors import UserError
from mode_ros.training.data import layout as files
from mode_ros.training.data.declared import check_tasks
from mode_ros.training.data.episode_writer import ROWS, SUMMARY
from mode_ros.training.data.layout import ACTION, IMAGE_PREFIX, STATE, Layout
from mode_ros.training.data.statistics import ImageHistogram, merge_histograms, vector_statistics

TREE, PREVIOUS = 'tree', 'previous'
EXTRAS_FORMAT = 1
# Numbers of one column held in memory while the statistics of the whole data set are computed; beyond, every n-th row.
STATISTICS_ROWS = 2_000_000


class Assembly:
    """Builds the next state of a data set in `work`, a folder on the same disk."""

    def __init__(
        self,
        target: Path,
        work: Path,
        layout: Layout,
        codec: str,
        contract_text: str,
        robot: str,
        anew: bool = False,
    ) -> None:
        """anew: begin with no episode of those that are there; `carry` takes them one by one."""
        self._target, self._tree = target, work / TREE
        self._layout, self._codec = layout, codec
        self._contract_text, self._robot = contract_text, robot
        shutil.rmtree(self._tree, ignore_errors=True)
        self._tree.mkdir(parents=True)
        self._episodes: list[dict[str, Any]] = []
        self._tasks: list[str] = []
        self._before: list[dict[str, Any]] = pq.read_table(target / files.EPISODES).to_pylist() if anew else []
        if target.exists() and not anew:
            for folder in ('data', 'videos', files.REPORT_PARTS):
                _link_tree(target / folder, self._tree / folder)
            self._episodes = pq.read_table(target / files.EPISODES).to_pylist()
            table = read_task_table(target)
            if list(table) != list(range(len(table))):
                raise UserError(
                    f'The task table of {target} counts {listed(list(table))}, as no data set of mode_ros does: '
                    'somebody else edited it, and recordings cannot be added. Convert them into a data set of their '
                    'own, and train on both (data.mixture).'
                )
            self._tasks = list(table.values())

    @property
    def count(self) -> int:
        """Episodes so far."""
        return len(self._episodes)

    def add(self, staged: Path, about: Mapping[str, Any]) -> int:
        """Adds the episode staged in this folder and returns its number. about: what its summary is to say besides."""
        number = self.count
        summary = {**json.loads((staged / SUMMARY).read_text()), **about, 'episode': number}
        if summary['goal'] not in self._tasks:
            self._tasks.append(summary['goal'])
        start = self._episodes[-1]['dataset_to_index'] if self._episodes else 0
        columns = self._write_data(staged / ROWS, number, start, self._tasks.index(summary['goal']))
        statistics = {name: vector_statistics(values) for name, values in columns.items()}
        for name, counts in summary['histograms'].items():
            histogram = ImageHistogram(np.array(counts), summary['images'][name])
            statistics[IMAGE_PREFIX + name] = histogram.statistics()
        row: dict[str, Any] = {
            'episode_index': number,
            'tasks': [summary['goal']],
            'length': summary['length'],
            **{f'data/{key}': value for key, value in files.place(number).items()},
            'dataset_from_index': start,
            'dataset_to_index': start + summary['length'],
        }
        if self._codec != 'png':
            row.update(self._add_videos(staged, number, summary['length']))
        row.update({f'stats/{key}/{name}': value for key, found in statistics.items() for name, value in found.items()})
        self._episodes.append({**row, 'meta/episodes/chunk_index': 0, 'meta/episodes/file_index': 0})
        self._write_part(number, summary)
        return number

    def carry(self, number: int) -> int:
        """Adds the episode that the data set has under this number, as it is, and returns its new number."""
        source = self._target
        part = json.loads((source / files.REPORT_PARTS / f'episode-{number:06d}.json').read_text())
        new, start = self.count, self._episodes[-1]['dataset_to_index'] if self._episodes else 0
        before = self._before[number]
        (task,) = before['tasks']
        if task not in self._tasks:
            self._tasks.append(task)
        self._write_data(source / files.DATA_PATH.format(**files.place(number)), new, start, self._tasks.index(task))
        row = {
            **before,
            'episode_index': new,
            **{f'data/{key}': value for key, value in files.place(new).items()},
            'dataset_from_index': start,
            'dataset_to_index': start + before['length'],
        }
        for key in [key for key in before if key.startswith('videos/') and key.endswith('/file_index')]:
            camera = key.removeprefix('videos/').removesuffix('/file_index')
            path = self._tree / files.VIDEO_PATH.format(video_key=camera, **files.place(new))
            path.parent.mkdir(parents=True, exist_ok=True)
            link(source / files.VIDEO_PATH.format(video_key=camera, **files.place(number)), path)
            row.update({f'videos/{camera}/{key}': value for key, value in files.place(new).items()})
        self._episodes.append(row)
        self._write_part(new, {**part, 'episode': new})
        return new

    def _write_part(self, number: int, summary: Mapping[str, Any]) -> None:
        part = self._tree / files.REPORT_PARTS / f'episode-{number:06d}.json'
        part.parent.mkdir(parents=True, exist_ok=True)
        part.write_text(json.dumps(summary))

    def finish(self, extras: Mapping[str, Any]) -> Path:
        """Writes the metadata and returns the folder that is ready for `swap`."""
        meta = self._tree / 'meta'
        meta.mkdir(exist_ok=True)
        write_json(self._tree / files.INFO, self._info())
        write_json(self._tree / files.STATS, self._statistics())
        write_tasks(self._tree / files.TASKS, self._tasks)
        (self._tree / files.EPISODES).parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(pa.Table.from_pylist(self._episodes), self._tree / files.EPISODES)
        (self._tree / files.CONTRACT).write_text(self._contract_text, encoding='utf-8')
        streams = {name: len(names) for name, names in self._layout.streams}
        write_json(self._tree / files.EXTRAS, {'format': EXTRAS_FORMAT, 'state_streams': streams, **extras})
        return self._tree

    def _write_data(self, rows: Path, number: int, start: int, task: int) -> dict[str, Any]:
        """rows: a staged episode's, or a data file whose numbers are replaced."""
        path = self._tree / files.DATA_PATH.format(**files.place(number))
        path.parent.mkdir(parents=True, exist_ok=True)
        source = pq.ParquetFile(rows)
        numbered = ('episode_index', 'index', 'task_index')
        kept = [field for field in source.schema_arrow.remove_metadata() if field.name not in numbered]
        schema = pa.schema([*kept, *(pa.field(name, pa.int64()) for name in numbered)])
        columns: dict[str, list[Any]] = {}
        at = start
        with pq.ParquetWriter(path, schema) as writer:
            # Group by group: an episode of images need not fit into memory.
            for group in range(source.num_row_groups):
                table = source.read_row_group(group, columns=[field.name for field in kept])
                count = len(table)
                own = [np.full(count, number), np.arange(at, at + count), np.full(count, task)]
                writer.write_table(pa.Table.from_arrays([*table.columns, *map(pa.array, own)], schema=schema))
                at += count
                for name in (STATE, ACTION, 'timestamp', 'frame_index'):
                    if name in table.column_names:
                        columns.setdefault(name, []).append(column_values(table, name))
        return {name: np.concatenate(parts) for name, parts in columns.items()}

    def _add_videos(self, staged: Path, number: int, length: int) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for name, _, _ in self._layout.cameras:
            if name in self._layout.depth:
                continue  # in the rows
            key = IMAGE_PREFIX + name
            path = self._tree / files.VIDEO_PATH.format(video_key=key, **files.place(number))
            path.parent.mkdir(parents=True, exist_ok=True)
            link(staged / f'{name}.mp4', path)
            found.update({f'videos/{key}/{part}': value for part, value in files.place(number).items()})
            found[f'videos/{key}/from_timestamp'] = 0.0
            found[f'videos/{key}/to_timestamp'] = length / self._layout.rate
        return found

    def _info(self) -> dict[str, Any]:
        has_videos = self._codec != 'png' and len(self._layout.cameras) > len(self._layout.depth)
        return {
            'codebase_version': files.VERSION,
            'robot_type': self._robot,
            'total_episodes': self.count,
            'total_frames': self._episodes[-1]['dataset_to_index'] if self._episodes else 0,
            'total_tasks': len(self._tasks),
            'chunks_size': files.CHUNK_FILES,
            'data_files_size_in_mb': 100,
            'video_files_size_in_mb': 200,
            'fps': self._layout.fps,
            'splits': {'train': f'0:{self.count}'},
            'data_path': files.DATA_PATH,
            'video_path': files.VIDEO_PATH if has_videos else None,
            'features': self._layout.features(self._codec),
        }

    def _statistics(self) -> dict[str, Any]:
        total = sum(episode['length'] for episode in self._episodes)
        step = -(-total // STATISTICS_ROWS)
        columns: dict[str, list[Any]] = {}
        for number in range(self.count):
            path = self._tree / files.DATA_PATH.format(**files.place(number))
            names = [name for name in (STATE, ACTION, 'timestamp', 'frame_index') if name in pq.read_schema(path).names]
            table = pq.read_table(path, columns=names)
            for name in names:
                columns.setdefault(name, []).append(column_values(table, name)[::step])
        found = {name: vector_statistics(np.concatenate(parts)) for name, parts in columns.items()}
        parts = list(read_parts(self._tree))
        for name, _, _ in self._layout.cameras:
            histograms = [ImageHistogram(np.array(part['histograms'][name]), part['images'][name]) for part in parts]
            found[IMAGE_PREFIX + name] = merge_histograms(histograms).statistics()
        return found


def swap(tree: Path, target: Path) -> None:
    """Puts the finished folder `tree` in the place of `target`. What others put there, as the cache of decoded
    pictures, stays.
    """
    previous = tree.with_name(PREVIOUS)
    if target.exists():
        target.rename(previous)
    tree.rename(target)
    if previous.exists():
        _bring_over(previous, target)


def restore(target: Path, work: Path) -> None:
    """Undoes a swap that was interrupted between its two renames, and finishes one that came further."""
    previous = work / PREVIOUS
    if not previous.exists():
        return
    if target.exists():
        _bring_over(previous, target)
    else:
        previous.rename(target)


def _bring_over(previous: Path, target: Path) -> None:
    for item in previous.iterdir():
        if not (target / item.name).exists():
            item.rename(target / item.name)
    shutil.rmtree(previous, ignore_errors=True)


def read_parts(data_set: Path) -> Iterator[dict[str, Any]]:
    """What is known of each episode, in order."""
    for path in sorted((data_set / files.REPORT_PARTS).glob('episode-*.json')):
        yield json.loads(path.read_text())


def read_task_table(data_set: Path) -> dict[int, str]:
    """task_index -> the task in words, ascending; numbers may begin anywhere and have gaps. UserError for no words."""
    table = pq.read_table(data_set / files.TASKS)
    words = next((name for name in table.column_names if name != 'task_index'), None)
    if words is None:
        raise UserError(f'The task table of the data set {data_set} has no column with the tasks.')
    rows = zip(table['task_index'].to_pylist(), table[words].to_pylist(), strict=True)
    return dict(sorted(check_tasks(data_set, list(rows)).items()))


def column_values(table: pa.Table, name: str) -> Any:
    """A column as an array [n] or [n, dim]."""
    column = table[name].combine_chunks()
    if pa.types.is_fixed_size_list(column.type) or pa.types.is_list(column.type):
        return np.asarray(column.flatten()).reshape(len(column), -1)
    return column.to_numpy(zero_copy_only=False)


def write_tasks(path: Path, tasks: Sequence[str]) -> None:
    """As pandas writes a frame indexed by task, which is how LeRobot reads it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    index = {'name': 'task', 'field_name': 'task', 'pandas_type': 'unicode', 'numpy_type': 'object', 'metadata': None}
    number = {'name': 'task_index', 'field_name': 'task_index', 'pandas_type': 'int64', 'numpy_type': 'int64'}
    pandas = {
        'index_columns': ['task'],
        'column_indexes': [],
        'columns': [{**number, 'metadata': None}, index],
        'creator': {'library': 'pyarrow', 'version': pa.__version__},
        'pandas_version': '2.0.0',
    }
    columns = {'task_index': pa.array(range(len(tasks)), pa.int64()), 'task': pa.array(tasks, pa.string())}
    pq.write_table(pa.table(columns).replace_schema_metadata({b'pandas': json.dumps(pandas).encode()}), path)


def write_json(path: Path, values: Any) -> None:
    """JSON for people to read, too."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(values, indent=2) + '\n')


def _link_tree(source: Path, target: Path) -> None:
    for path in sorted(source.rglob('*')):
        if path.is_file():
            place = target / path.relative_to(source)
            place.parent.mkdir(parents=True, exist_ok=True)
            link(path, place)


def link(source: Path, target: Path) -> None:
    """The same file under a second name; a copy where the disk cannot do that."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)
