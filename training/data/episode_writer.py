"""One episode on its way into a data set: encoded while it is read, in a folder of its own until it is complete."""

from __future__ import annotations

import base64
import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from mode_ros.control.depth import as_rgb, is_depth
from mode_ros.training.data.layout import ACTION, IMAGE_PREFIX, INTERVENTION, STATE, Layout
from mode_ros.training.data.statistics import ImageHistogram
from mode_ros.training.data.video import DEFAULT_QUALITY, VideoWriter

ROWS = 'rows.parquet'
SUMMARY = 'episode.json'

# Rows kept before they go to the file: vectors are small, PNG images are not.
_WITH_PICTURES, _WITHOUT_PICTURES = 64, 512
# Every n-th image is counted in the statistics of pixels.
_HISTOGRAM_EVERY = 10
THUMBNAILS = 6
THUMBNAIL_HEIGHT = 72
PLOT_POINTS = 160


@dataclass(frozen=True)
class Encoding:
    """How images are kept. codec: 'h264', 'av1' or 'png'; quality: crf, None for the codec's usual one; threads: per
    camera, 0 leaves the number to the encoder.
    """

    codec: str = 'h264'
    quality: int | None = None
    threads: int = 1

    @property
    def crf(self) -> int | None:
        return DEFAULT_QUALITY.get(self.codec) if self.quality is None else self.quality


class EpisodeWriter:
    """Writes rows and images into `folder`, which `close` completes and `discard` removes."""

    def __init__(self, folder: Path, layout: Layout, encoding: Encoding) -> None:
        folder.mkdir(parents=True)
        self._folder, self._layout, self._encoding = folder, layout, encoding
        self._videos: dict[str, VideoWriter] = {}
        if encoding.codec != 'png':
            for name, width, height in layout.cameras:
                if name in layout.depth:
                    continue  # a row's own PNG
                path = folder / f'{name}.mp4'
                self._videos[name] = VideoWriter(
                    path, encoding.codec, encoding.crf, (width, height), layout.rate, encoding.threads
                )
        self._schema = rows_schema(layout, encoding.codec)
        self._parquet = pq.ParquetWriter(folder / ROWS, self._schema)
        self._rows: list[dict[str, Any]] = []
        self._histograms = {name: ImageHistogram.of(name in layout.depth) for name, _, _ in layout.cameras}
        self._at_once = _WITH_PICTURES if encoding.codec == 'png' or layout.depth else _WITHOUT_PICTURES
        self._sheets = {name: _Thinned(THUMBNAILS) for name, _, _ in layout.cameras}
        self._states, self._actions = _Thinned(PLOT_POINTS), _Thinned(PLOT_POINTS)
        self._interventions = 0
        self.length = 0

    def add(
        self,
        images: Mapping[str, NDArray[Any]],
        states: Sequence[NDArray[np.float64]],
        action: NDArray[np.float64],
        intervention: bool = False,
    ) -> None:
        """The next row. images: by camera, of the layout's sizes; states: stream after stream; action: [d]."""
        state = np.concatenate([*states, np.zeros(0)]).astype(np.float32)
        commanded = action.astype(np.float32)
        row: dict[str, Any] = {
            ACTION: commanded,
            INTERVENTION: intervention,
            'timestamp': np.float32(self.length / self._layout.rate),
            'frame_index': self.length,
        }
        if self._layout.streams:
            row[STATE] = state
        for name, image in images.items():
            self._add_image(name, image, row)
        self._rows.append(row)
        self._states.add(self.length, state)
        self._actions.add(self.length, commanded)
        self._interventions += intervention
        self.length += 1
        if len(self._rows) >= self._at_once:
            self._write_rows()

    def close(self, about: Mapping[str, Any]) -> dict[str, Any]:
        """Completes the episode and returns its summary, which SUMMARY holds too. about: what else is to be kept."""
        for video in self._videos.values():
            video.close()
        self._write_rows()
        self._parquet.close()
        summary = {
            **about,
            'length': self.length,
            'seconds': round(self.length / self._layout.rate, 3),
            'intervention': round(self._interventions / max(1, self.length), 4),
            'images': {name: histogram.images for name, histogram in self._histograms.items()},
            'histograms': {name: histogram.counts.tolist() for name, histogram in self._histograms.items()},
            'sheet': {name: [_jpeg(image) for _, image in sheet.items] for name, sheet in self._sheets.items()},
            'times': [round(index / self._layout.rate, 3) for index, _ in self._states.items],
            'state': _series(self._states, self._layout.streams),
            'action': _series(self._actions, self._layout.groups),
        }
        (self._folder / SUMMARY).write_text(json.dumps(summary))
        return summary

    def discard(self) -> None:
        """Removes everything."""
        for video in self._videos.values():
            video.close()
        self._parquet.close()
        shutil.rmtree(self._folder)

    def _add_image(self, name: str, image: NDArray[Any], row: dict[str, Any]) -> None:
        if self._encoding.codec == 'png' or name in self._layout.depth:
            row[IMAGE_PREFIX + name] = {'bytes': _png(image), 'path': None}
        else:
            self._videos[name].add(image)
        if self.length % _HISTOGRAM_EVERY == 0:
            self._histograms[name].add(image)
        self._sheets[name].add(self.length, image)

    def _write_rows(self) -> None:
        if self._rows:
            self._parquet.write_table(rows_table(self._rows, self._schema))
            self._rows.clear()


def rows_schema(layout: Layout, codec: str) -> pa.Schema:
    """Columns of a staged episode: those of a data file but the numbers that only the data set can give."""
    fields = [vector_field(STATE, len(layout.state_names))] if layout.streams else []
    fields += [vector_field(ACTION, len(layout.action)), pa.field(INTERVENTION, pa.bool_())]
    image = pa.struct([('bytes', pa.binary()), ('path', pa.string())])
    in_rows = [name for name, _, _ in layout.cameras if codec == 'png' or name in layout.depth]
    fields += [pa.field(IMAGE_PREFIX + name, image) for name in in_rows]
    fields += [pa.field('timestamp', pa.float32()), pa.field('frame_index', pa.int64())]
    return pa.schema(fields)


def vector_field(name: str, size: int) -> pa.Field:
    """LeRobot reads a vector of one number as a plain number."""
    return pa.field(name, pa.float32() if size == 1 else pa.list_(pa.float32(), size))


def rows_table(rows: Sequence[Mapping[str, Any]], schema: pa.Schema) -> pa.Table:
    """The table of rows by column name; vectors are arrays."""
    columns = []
    for column in schema:
        values = [row[column.name] for row in rows]
        if pa.types.is_fixed_size_list(column.type):
            flat = pa.array(np.concatenate(values).astype(np.float32))
            columns.append(pa.FixedSizeListArray.from_arrays(flat, column.type.list_size))
        elif values and isinstance(values[0], np.ndarray):
            columns.append(pa.array(np.concatenate(values), column.type))
        else:
            columns.append(pa.array(values, column.type))
    return pa.Table.from_arrays(columns, schema=schema)


@dataclass
class _Thinned:
    """Up to 2 n evenly spaced items of a series of unknown length."""

    count: int
    step: int = 1
    items: list[tuple[int, Any]] = field(default_factory=list)

    def add(self, index: int, item: NDArray[Any]) -> None:
        if index % self.step:
            return
        self.items.append((index, item if item.ndim == 1 else _small(as_rgb(item))))
        if len(self.items) >= 2 * self.count:
            self.items = self.items[::2]
            self.step *= 2


def thinned_step(length: int, count: int) -> int:
    """How many rows lie between two of the `count` pictures that were kept of an episode of `length` rows."""
    step = 1
    while -(-length // step) > max(1, count):
        step *= 2
    return step


def _small(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    height, width = image.shape[:2]
    size = (max(1, round(width * THUMBNAIL_HEIGHT / height)), THUMBNAIL_HEIGHT)
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)


def _png(image: NDArray[Any]) -> bytes:
    pixels = image if is_depth(image) else cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
    _, data = cv2.imencode('.png', pixels, [cv2.IMWRITE_PNG_COMPRESSION, 3])
    return bytes(data.tobytes())


def _jpeg(image: NDArray[np.uint8]) -> str:
    _, data = cv2.imencode('.jpg', cv2.cvtColor(image, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, 70])
    return base64.b64encode(data.tobytes()).decode()


def _series(thinned: _Thinned, parts: Sequence[tuple[str, tuple[str, ...]]]) -> list[dict[str, Any]]:
    """What is plotted, part by part, since units and magnitudes differ between them."""
    found, start = [], 0
    for title, names in parts:
        columns = slice(start, start + len(names))
        values = [[float(f'{number:.5g}') for number in item[columns]] for _, item in thinned.items]
        found.append({'title': title, 'names': list(names), 'values': values})
        start += len(names)
    return found
