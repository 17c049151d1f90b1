"""A data set made anew from another one and what was decided about its episodes.

Videos are shared with the original, also by episodes that were cut: where an episode lies in a video is a number.
Rows, statistics and reports are written anew, so that all agree.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from mode_ros.training.data import layout as files
from mode_ros.training.data.assembly import column_values, link, write_json, write_tasks
from mode_ros.training.data.data_files import DataFiles, EpisodeFiles
from mode_ros.training.data.edits import Kept, sources_told
from mode_ros.training.data.episode_writer import thinned_step
from mode_ros.training.data.labels import episode_success
from mode_ros.training.data.layout import INTERVENTION
from mode_ros.training.data.pictures_of import pictures_of
from mode_ros.training.data.report import write_report
from mode_ros.training.data.statistics import (
    ImageHistogram,
    merge_histograms,
    merge_statistics,
    vector_statistics,
)

# As a conversion does.
_HISTOGRAM_EVERY = 10
_OWN = ('episode_index', 'index', 'task_index', 'frame_index', 'timestamp')


def rebuild(original: Path, tree: Path, kept: Sequence[Kept], name: str) -> None:
    """Writes the data set that is left into the new folder `tree`. name: what it will be called.

    Raises UserError for an original that cannot be read.
    """
    _Rebuild(DataFiles(original), tree, name).run(kept)


class _Rebuild:
    def __init__(self, source: DataFiles, tree: Path, name: str) -> None:
        self._source, self._tree, self._name = source, tree, name
        self._tasks: dict[str, int] = {}
        self._videos: dict[tuple[str, Path], dict[str, int]] = {}
        self._rows: list[dict[str, Any]] = []
        self._parts: list[dict[str, Any]] = []
        self._columns: dict[str, list[Any]] = {}
        self._known = _original_statistics(source)
        self._success: list[bool | None] = []

    def run(self, kept: Sequence[Kept]) -> None:
        shutil.rmtree(self._tree, ignore_errors=True)
        (self._tree / files.EPISODES).parent.mkdir(parents=True)
        labels = episode_success(self._source)
        for each in kept:
            self._success.append(labels[each.number] if each.success is None else each.success)
            self._add(each)
        write_json(self._tree / files.INFO, self._info())
        write_json(self._tree / files.STATS, self._statistics())
        write_tasks(self._tree / files.TASKS, list(self._tasks))
        pq.write_table(pa.Table.from_pylist(self._rows), self._tree / files.EPISODES)
        text = self._source.contract_text
        if text is not None:
            (self._tree / files.CONTRACT).write_text(text, encoding='utf-8')
        self._write_extras(kept)

    def _add(self, kept: Kept) -> None:
        episode, number = self._source.episodes[kept.number], len(self._rows)
        first, last = kept.rows or (0, episode.length)
        start = self._rows[-1]['dataset_to_index'] if self._rows else 0
        tasks, table = self._write_data(episode, number, first, last, start, kept.goal)
        columns = self._numbers(table)
        statistics = {key: vector_statistics(values) for key, values in columns.items() if len(values)}
        for key, values in columns.items():
            self._columns.setdefault(key, []).append(values)
        part = _report_part(self._source.root, kept.number)
        histograms = self._histograms(episode, kept, part)
        for camera, key in self._source.cameras.items():
            known = self._known.get(kept.number, {}).get(key)
            statistics[key] = histograms[camera].statistics() if camera in histograms else known or {}
        row: dict[str, Any] = {
            'episode_index': number,
            'tasks': tasks,
            'length': last - first,
            **{f'data/{key}': value for key, value in files.place(number).items()},
            'dataset_from_index': start,
            'dataset_to_index': start + last - first,
            **self._clips(episode, first, last),
        }
        row.update({f'stats/{key}/{what}': value for key, found in statistics.items() for what, value in found.items()})
        self._rows.append({**row, 'meta/episodes/chunk_index': 0, 'meta/episodes/file_index': 0})
        if part is not None:
            part['intervention'] = _driven(table, part)
            self._parts.append(
                _cut(part, number, kept, (first, last), self._source.rate, self._success[-1], histograms)
            )

    def _write_data(
        self, episode: EpisodeFiles, number: int, first: int, last: int, start: int, goal: str | None
    ) -> tuple[list[str], pa.Table]:
        table = self._source.table(episode).slice(first, last - first)
        count = len(table)
        goals = [goal] * count if goal is not None else [self._source.tasks[k] for k in table['task_index'].to_pylist()]
        for each in dict.fromkeys(goals):
            self._tasks.setdefault(each, len(self._tasks))
        own = {
            'episode_index': np.full(count, number),
            'index': np.arange(start, start + count),
            'task_index': np.array([self._tasks[each] for each in goals]),
            'frame_index': np.arange(count),
            'timestamp': np.arange(count) / self._source.rate,
        }
        for name, values in own.items():
            if name in table.column_names:
                at = table.column_names.index(name)
                column = pa.array(values).cast(table.schema.field(name).type)
                table = table.set_column(at, table.schema.field(name), column)
        path = self._tree / files.DATA_PATH.format(**files.place(number))
        path.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(table, path)
        return list(dict.fromkeys(goals)), table

    def _numbers(self, table: pa.Table) -> dict[str, Any]:
        """Columns that have statistics."""
        numeric = [
            name
            for name, feature in self._source.features.items()
            if name in table.column_names
            and name not in _OWN[:3]
            and str(feature['dtype']).startswith(('float', 'int'))
        ]
        return {name: column_values(table, name) for name in numeric}

    def _clips(self, episode: EpisodeFiles, first: int, last: int) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for camera, clip in episode.clips.items():
            key = self._source.cameras[camera]
            place = self._videos.get((key, clip.path))
            if place is None:
                place = files.place(sum(known == key for known, _ in self._videos))
                self._videos[key, clip.path] = place
                target = self._tree / files.VIDEO_PATH.format(video_key=key, **place)
                target.parent.mkdir(parents=True, exist_ok=True)
                link(clip.path, target)
            rate = self._source.rate
            found.update({f'videos/{key}/{part}': value for part, value in place.items()})
            found[f'videos/{key}/from_timestamp'] = clip.start + first / rate
            found[f'videos/{key}/to_timestamp'] = clip.start + last / rate
        return found

    def _histograms(self, episode: EpisodeFiles, kept: Kept, part: dict[str, Any] | None) -> dict[str, ImageHistogram]:
        """Those of our conversion; counted anew where the episode was cut or nobody counted."""
        if kept.rows is None and part is not None:
            return {
                name: ImageHistogram(np.array(counts), part['images'][name])
                for name, counts in part['histograms'].items()
            }
        first, last = kept.rows or (0, episode.length)
        found = {}
        for camera, key in self._source.cameras.items():
            if kept.rows is None and self._known.get(kept.number, {}).get(key):
                continue
            found[camera] = ImageHistogram.of(self._source.is_depth(camera))
            for row, image in enumerate(pictures_of(self._source, episode, camera)):
                if first <= row < last and (row - first) % _HISTOGRAM_EVERY == 0:
                    found[camera].add(image)
        return found

    def _statistics(self) -> dict[str, Any]:
        found = {name: vector_statistics(np.concatenate(parts)) for name, parts in self._columns.items() if parts}
        for camera, key in self._source.cameras.items():
            if len(self._parts) == len(self._rows):
                found[key] = merge_histograms(
                    [ImageHistogram(np.array(p['histograms'][camera]), p['images'][camera]) for p in self._parts]
                ).statistics()
            else:
                each = [{k.removeprefix(f'stats/{key}/'): v for k, v in row.items() if k.startswith(f'stats/{key}/')}
                        for row in self._rows]  # fmt: skip
                found[key] = merge_statistics([statistics for statistics in each if statistics])
        return found

    def _info(self) -> dict[str, Any]:
        info = dict(self._source.info)
        for name in ('total_videos', 'total_chunks'):
            info.pop(name, None)
        return {
            **info,
            'codebase_version': files.VERSION,
            'total_episodes': len(self._rows),
            'total_frames': self._rows[-1]['dataset_to_index'] if self._rows else 0,
            'total_tasks': len(self._tasks),
            'chunks_size': files.CHUNK_FILES,
            'splits': {'train': f'0:{len(self._rows)}'},
            'data_path': files.DATA_PATH,
            'video_path': files.VIDEO_PATH if self._videos else None,
        }

    def _write_extras(self, kept: Sequence[Kept]) -> None:
        place = {each.number: number for number, each in enumerate(kept)}
        extras = {
            **self._source.extras,
            'success': self._success,
            'originals': [each.number for each in kept],
            'original_sources': sources_told(self._source.extras),
        }
        if 'episodes' in extras:
            extras['episodes'] = len(kept)
        sources = [
            {**source, 'numbers': [place[k] for k in source.get('numbers', ()) if k in place]}
            for source in extras.get('sources', ())
        ]
        if sources:
            extras['sources'] = sources
        write_json(self._tree / files.EXTRAS, extras)
        for part in self._parts:
            write_json(self._tree / files.REPORT_PARTS / f'episode-{part["episode"]:06d}.json', part)
        if self._parts:
            write_report(self._tree, self._name, sources, [])


def _original_statistics(source: DataFiles) -> dict[int, dict[str, dict[str, Any]]]:
    """By the episode's place: by feature, what the original says of its pictures."""
    keys = list(source.cameras.values())
    places = {episode.index: number for number, episode in enumerate(source.episodes)}
    found: dict[int, dict[str, dict[str, Any]]] = {}
    for path in sorted((source.root / 'meta/episodes').glob('*/*.parquet')):
        names = [name for name in pq.read_schema(path).names if any(name.startswith(f'stats/{key}/') for key in keys)]
        for row in pq.read_table(path, columns=['episode_index', *names]).to_pylist():
            own = found.setdefault(places[row['episode_index']], {})
            for name in names:
                _, key, what = name.rsplit('/', 2) if name.count('/') == 2 else ('', '', '')
                if key and row[name] is not None:
                    own.setdefault(key, {})[what] = row[name]
    return found


def _report_part(root: Path, number: int) -> dict[str, Any] | None:
    path = root / files.REPORT_PARTS / f'episode-{number:06d}.json'
    try:
        part: dict[str, Any] = json.loads(path.read_text())
    except FileNotFoundError:
        return None
    return part


def _driven(table: pa.Table, part: dict[str, Any]) -> float:
    """The share of the rows in which a person drove; what is known of the whole where the rows do not say."""
    if INTERVENTION not in table.column_names:
        return float(part['intervention'])
    return round(float(np.mean(column_values(table, INTERVENTION))), 4)


def _cut(
    part: dict[str, Any],
    number: int,
    kept: Kept,
    rows: tuple[int, int],
    rate: float,
    success: bool | None,
    histograms: dict[str, ImageHistogram],
) -> dict[str, Any]:
    """What is known of an episode, after it was cut, called otherwise, or judged."""
    first, last = rows
    inside = [k for k, time in enumerate(part['times']) if first / rate <= time < last / rate]

    def thinned(series: dict[str, Any]) -> dict[str, Any]:
        return {**series, 'values': [series['values'][k] for k in inside]}

    def shown(images: list[str]) -> list[str]:
        step = thinned_step(part['length'], len(images))
        return [image for k, image in enumerate(images) if first <= k * step < last]

    return {
        **part,
        'episode': number,
        'goal': part['goal'] if kept.goal is None else kept.goal,
        'success': success,
        'length': last - first,
        'seconds': round((last - first) / rate, 3),
        'start': round(part['start'] + first / rate, 3),
        'sheet': {camera: shown(images) for camera, images in part['sheet'].items()},
        'times': [round(part['times'][k] - first / rate, 3) for k in inside],
        'state': [thinned(series) for series in part['state']],
        'action': [thinned(series) for series in part['action']],
        'histograms': {name: each.counts.tolist() for name, each in histograms.items()},
        'images': {name: each.images for name, each in histograms.items()},
    }
