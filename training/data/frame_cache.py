"""Decoded pictures in memory-mapped files, so that training never waits for a video decoder.

One file per camera and size, uint8 [frames, height, width, 3], or uint16 [frames, height, width, 1] of depth; beside it
an index says which episodes it holds. It is filled once, episode by episode, and goes on where it was interrupted. When
episodes are added to the data set, the cache grows.
"""

from __future__ import annotations

import concurrent.futures
import errno
import json
import os
import shutil
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from mode_ros.alone import take_lock
from mode_ros.control.depth import fit_depth
from mode_ros.control.images import fit
from mode_ros.errors import UserError
from mode_ros.training.data.data_files import DataFiles, EpisodeFiles
from mode_ros.training.data.pictures_of import pictures_of

_FORMAT = 1
# How often the index is written while the cache fills: what came since is decoded again after an interruption.
_INDEX_SECONDS = 1.0


class FrameCache:
    """All pictures of one camera in one size."""

    def __init__(self, data: DataFiles, camera: str, size: tuple[int, int], folder: Path) -> None:
        """size: width, height; folder: where caches lie, made if need be."""
        self._data, self._camera, self._size = data, camera, size
        self._depth = data.is_depth(camera)
        self._number = np.dtype(np.uint16 if self._depth else np.uint8)
        name = f'{camera}-{size[0]}x{size[1]}' + ('-depth' if self._depth else '')
        self._path, self._index = folder / f'{name}.frames', folder / f'{name}.json'
        self._starts = np.concatenate([[0], np.cumsum([episode.length for episode in data.episodes])]).astype(int)

    def fill(self, jobs: int) -> NDArray[Any]:
        """Decodes what is missing, with a progress bar, and returns the frames [n, height, width, c], read-only."""
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            opened = open(self._path.with_suffix('.lock'), 'w')  # noqa: SIM115 - closed below
        except OSError as error:
            raise UserError(
                f'The decoded pictures of {self._data.root} cannot be kept in {self._path.parent} ({error.strerror}): '
                'name a folder that can be written with data.cache.'
            ) from error
        with closing(opened) as lock:
            # Several training processes may start at once: the first one fills, the others find it filled.
            take_lock(lock, wait=True)
            self._fill(jobs)
        return np.memmap(self._path, self._number, 'r', shape=self._shape)

    @property
    def _shape(self) -> tuple[int, int, int, int]:
        return (int(self._starts[-1]), self._size[1], self._size[0], 1 if self._depth else 3)

    def _fill(self, jobs: int) -> None:
        done = self._read_index()
        wanted = [self._mark(number, episode) for number, episode in enumerate(self._data.episodes)]
        if any(done.get(str(number), mark) != mark for number, mark in enumerate(wanted)) or len(done) > len(wanted):
            done = self._renew(done, wanted)
        missing = [number for number, mark in enumerate(wanted) if done.get(str(number)) != mark]
        self._resize(self._path, int(np.prod(self._shape)) * self._number.itemsize)
        if not missing:
            return
        frames = np.memmap(self._path, self._number, 'r+', shape=self._shape)
        total = sum(self._data.episodes[number].length for number in missing)
        with (
            tqdm(total=total, desc=f'decode {self._camera}', unit='frame') as bar,
            concurrent.futures.ThreadPoolExecutor(jobs) as pool,
        ):
            written = time.monotonic()
            futures = {pool.submit(self._decode, number, frames): number for number in missing}
            try:
                for future in concurrent.futures.as_completed(futures):
                    bar.update(future.result())
                    number = futures[future]
                    done[str(number)] = wanted[number]
                    if time.monotonic() - written > _INDEX_SECONDS:
                        self._note(done, frames)
                        written = time.monotonic()
            finally:
                pool.shutdown(cancel_futures=True)
                self._note(done, frames)

    def _note(self, done: Mapping[str, Any], frames: np.memmap[Any, Any]) -> None:
        # On the disk before they count as decoded: after a power cut they would be black for good.
        frames.flush()
        self._write_index(done)

    def _decode(self, number: int, frames: NDArray[Any]) -> int:
        episode = self._data.episodes[number]
        start, width, height = int(self._starts[number]), *self._size
        for row, image in enumerate(pictures_of(self._data, episode, self._camera)):
            frames[start + row] = (fit_depth if self._depth else fit)(image, width, height)
        return episode.length

    def _mark(self, number: int, episode: EpisodeFiles) -> list[Any]:
        """Differs when the episode's pictures or its place in the cache may differ."""
        clip = episode.clips.get(self._camera)
        path = episode.data if clip is None else clip.path
        try:
            stat = path.stat()
        except OSError as error:
            raise UserError(
                f'{path} is missing from the data set, or cannot be read. Copy the data set again.'
            ) from error
        return [
            int(self._starts[number]),
            episode.length,
            0.0 if clip is None else clip.start,
            stat.st_size,
            stat.st_mtime_ns,
        ]

    def _renew(self, done: Mapping[str, list[Any]], wanted: Sequence[list[Any]]) -> dict[str, Any]:
        """A new file in the place of one whose episodes moved, with the pictures that are known already.

        The old file is never written to: a training that still runs on it sees what it saw.
        """
        row = int(np.prod(self._shape[1:])) * self._number.itemsize  # bytes
        old = np.memmap(self._path, np.uint8, 'r')
        # An episode is known by its file, its length and its place in the video; where two are alike, neither is.
        before = _only_once([mark[1:] for mark in done.values()], [mark[0] for mark in done.values()])
        after = _only_once([mark[1:] for mark in wanted], range(len(wanted)))
        renewed = self._path.with_suffix('.renewed')
        renewed.unlink(missing_ok=True)
        self._resize(renewed, row * self._shape[0])
        frames = np.memmap(renewed, np.uint8, 'r+')
        known = {}
        for identity, number in after.items():
            start, length = before.get(identity), int(wanted[number][1])
            if start is not None and (start + length) * row <= len(old):
                at = int(wanted[number][0])
                frames[at * row : (at + length) * row] = old[start * row : (start + length) * row]
                known[str(number)] = wanted[number]
        frames.flush()
        self._index.unlink(missing_ok=True)
        renewed.replace(self._path)
        self._write_index(known)
        return known

    def _resize(self, path: Path, size: int) -> None:
        have = path.stat().st_size if path.exists() else 0
        if have == size:
            return
        free = shutil.disk_usage(path.parent).free
        if size - have > free:
            raise UserError(
                f'The cache of decoded pictures {self._path} needs {size / 1e9:.1f} GB, and the disk has '
                f'{free / 1e9:.1f} GB free; free some, or give another folder for the cache.'
            )
        with open(path, 'ab') as file:
            try:
                file.truncate(size)
                # Reserved now: writing to a mapped file on a full disk would end the process without a word.
                os.posix_fallocate(file.fileno(), 0, max(1, size))
            except OSError as error:
                if error.errno not in (errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP):
                    raise

    def _read_index(self) -> dict[str, Any]:
        try:
            index = json.loads(self._index.read_text())
        except (OSError, ValueError):
            return {}
        same = index.get('format') == _FORMAT and self._path.exists()
        return dict(index['episodes']) if same else {}

    def _write_index(self, done: Mapping[str, Any]) -> None:
        part = self._index.with_suffix('.part')
        part.write_text(json.dumps({'format': _FORMAT, 'episodes': done}))
        part.replace(self._index)


def _only_once(keys: Sequence[Sequence[Any]], values: Sequence[int]) -> dict[tuple[Any, ...], int]:
    """Keys that occur once, with their values."""
    counts = Counter(map(tuple, keys))
    return {tuple(key): value for key, value in zip(keys, values, strict=True) if counts[tuple(key)] == 1}
