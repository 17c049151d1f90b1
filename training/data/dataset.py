"""Demonstrations as a trainer takes them: any frame, with the chunk of actions that follows it.

    data = open_dataset('data/drawers', chunk_length=10, size=(128, 128))
    sample = data[1234]
    batch = data.batch([1, 20, 300])

Vectors are in memory, pictures in a memory-mapped cache (see frame_cache). Everything is in the robot's units; a
Normalizer brings it into the network's numbers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mode_ros.checks.finding import listed
from mode_ros.checks.names import match_names
from mode_ros.control.contract import Contract, parse_contract
from mode_ros.errors import UserError, in_words, suggest
from mode_ros.policy.normalization import Statistics, StreamStatistics
from mode_ros.training.data.data_files import DataFiles
from mode_ros.training.data.frame_cache import FrameCache
from mode_ros.training.data.jobs import default_jobs
from mode_ros.training.data.layout import ACTION, INTERVENTION, STATE

CACHE_FOLDER = 'cache'

Size = tuple[int, int]


@dataclass(frozen=True)
class Sample:
    """One moment of a demonstration, or a batch of them with a leading dimension.

    images: uint8 RGB [height, width, 3] by camera, of depth codes, uint16 [height, width, 1]; state: float32 [n], the
    streams joined; actions: float32 [A, d], of which action 0 belongs to this moment; padding: bool [A], True where the
    demonstration had ended; goal: the task in words (a batch: one each).

    Padded displacements are zero, and padded targets the last one.
    """

    images: Mapping[str, NDArray[Any]]
    state: NDArray[np.float32]
    actions: NDArray[np.float32]
    padding: NDArray[np.bool_]
    goal: str | Sequence[str]


class Dataset:
    """Random access to the frames of one data set. Safe to use from several threads and after a fork."""

    def __init__(
        self, data: DataFiles, chunk_length: int, frames: Mapping[str, NDArray[Any]], contract: Contract | None
    ) -> None:
        """frames: [n, height, width, 3], of depth [n, height, width, 1], by camera; contract: None where the data set
        does not carry one.
        """
        self.files, self.contract, self.chunk_length = data, contract, chunk_length
        if contract is not None:
            _share_out(data, contract)
        self.frames = dict(frames)
        if not data.episodes:
            raise UserError(f'The data set {data.root} has no episode; convert or record some.')
        if 'task_index' not in data.features:
            raise UserError(
                f"The data set {data.root} has no column 'task_index', so that nobody knows what is done in it."
            )
        parts = [self._columns(number) for number in range(len(data.episodes))]
        joined = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
        self.actions: NDArray[np.float32] = joined[ACTION]
        self.state: NDArray[np.float32] = joined[STATE]
        self.driven: NDArray[np.bool_] = joined[INTERVENTION].astype(bool)
        """[frames] whether a person drove; False everywhere in a data set that does not tell."""
        self.notes: list[str] = []
        """What a person should know of how the columns were read."""
        if contract is not None:
            self._put_in_order(contract)
        self.task_index: NDArray[np.int64] = joined['task_index']
        unknown = sorted(set(np.unique(self.task_index).tolist()) - set(data.tasks))
        if unknown:
            raise UserError(
                f'The data set {data.root} has frames of the task {unknown[0]}, which its task table does not name; it '
                f'names {listed(sorted(data.tasks))}.'
            )
        lengths = [episode.length for episode in data.episodes]
        ends = np.cumsum(lengths)
        self.episode_ends = np.repeat(ends, lengths)
        """[frames] index after the last frame of each frame's episode."""
        self.episode_starts = np.concatenate([[0], ends[:-1]]).astype(np.int64)
        self._delta = np.zeros(self.actions.shape[1], bool) if contract is None else contract.delta_mask

    def __len__(self) -> int:
        return len(self.actions)

    @cached_property
    def standing(self) -> NDArray[np.bool_]:
        """[frames] whether the robot was told to stand still: no displacement, and the targets of the frame before.

        The first targets of an episode are none that moved it. False everywhere where no contract tells which numbers
        are displacements.
        """
        if self.contract is None:
            return np.zeros(len(self), bool)
        moved = np.diff(self.actions, axis=0, prepend=self.actions[:1])
        moved[self.episode_starts] = 0.0
        return np.asarray((np.where(self._delta, self.actions, moved) == 0.0).all(axis=1))

    @property
    def rate(self) -> float:
        """Frames per second."""
        return self.files.rate

    @property
    def cameras(self) -> list[str]:
        return list(self.frames)

    @property
    def streams(self) -> dict[str, int]:
        """State streams and their sizes, in the order of `Sample.state`."""
        return self.files.streams

    @property
    def goals(self) -> list[str]:
        """Every task in words that a frame is of, once."""
        return [self.files.tasks[int(number)] for number in np.unique(self.task_index)]

    def goal(self, index: int) -> str:
        """The task that was done at this frame."""
        return self.files.tasks[int(self.task_index[index])]

    def __getitem__(self, index: int) -> Sample:
        if not -len(self) <= index < len(self):
            raise IndexError(f'frame {index} of {len(self)}')
        batch = self.batch([index % len(self)])
        return Sample(
            {name: images[0] for name, images in batch.images.items()},
            batch.state[0],
            batch.actions[0],
            batch.padding[0],
            batch.goal[0],
        )

    def batch(self, indices: ArrayLike, repeat: bool = False, pictures: bool = True) -> Sample:
        """The samples at `indices` [b], stacked; indices from 0 to len - 1.

        repeat: pad displacements with the last one, too, instead of with standing still; pictures: with them.
        """
        at = np.asarray(indices, np.int64)
        ahead = at[:, None] + np.arange(self.chunk_length)
        last = self.episode_ends[at][:, None] - 1
        padding = ahead > last
        actions = self.actions[np.minimum(ahead, last)]
        if not repeat:
            actions[padding[:, :, None] & self._delta] = 0.0
        images = {name: frames[at] for name, frames in self.frames.items()} if pictures else {}
        return Sample(images, self.state[at], actions, padding, [self.goal(int(index)) for index in at])

    @cached_property
    def statistics(self) -> Statistics:
        """Of the whole data set, in the robot's units."""
        states = {name: StreamStatistics.of(self.state[:, self.columns(name)]) for name in self.streams}
        return Statistics(action=StreamStatistics.of(self.actions), state=states)

    def columns(self, stream: str) -> slice:
        """Where a state stream is in the state vector."""
        start = 0
        for name, size in self.streams.items():
            if name == stream:
                return slice(start, start + size)
            start += size
        raise KeyError(stream)

    def episode(self, number: int) -> slice:
        """The frames of the episode at this place of `files.episodes`."""
        start = int(self.episode_starts[number])
        return slice(start, start + self.files.episodes[number].length)

    def _put_in_order(self, contract: Contract) -> None:
        """Columns by the contract's names, where the data set names the same ones in another order."""
        self.actions = self._matched(self.actions, ACTION, contract.action_names, 'action')
        streams = [state for state in contract.observation.states if state.name in self.streams]
        if [state.name for state in streams] == list(self.streams) and streams:
            ours = [f'{state.name}.{name}' for state in streams for name in state.names]
            self.state = self._matched(self.state, STATE, ours, 'state')

    def _matched(self, values: Any, key: str, ours: Sequence[str], what: str) -> Any:
        """The columns in our order. Notes what a person should know of it."""
        if values.shape[1] != len(ours):
            return values  # refused, or not used, as what it is
        found = match_names(self.files.names(key) or [], ours, f'{self.files.root}, {what}')
        self.notes += [found.note] if found.note else []
        return values if found.order is None else values[:, found.order]

    def _columns(self, number: int) -> dict[str, NDArray[np.generic]]:
        episode = self.files.episodes[number]
        wanted = [name for name in (ACTION, STATE, INTERVENTION, 'task_index') if name in self.files.features]
        where = f'episode {episode.index} in {self.files.root}'
        try:
            found = self.files.rows(episode, wanted)
            vectors = {
                name: np.asarray(found.get(name, np.zeros((episode.length, 0))), np.float64).reshape(episode.length, -1)
                for name in (ACTION, STATE)
            }
        except (ValueError, TypeError) as error:
            raise UserError(
                f'The actions and states of {where} are not as many numbers in every frame ({in_words(error)}): write '
                'them anew, or leave the episode out.'
            ) from error
        for name, values in vectors.items():
            size = self.files.features[name]['shape'][0] if name in self.files.features else 0
            if values.shape[1] != size:
                raise UserError(
                    f'{name} of {where} has {values.shape[1]} numbers in a frame, and meta/info.json says {size}: mend '
                    'what is wrong.'
                )
            with np.errstate(over='ignore'):
                vectors[name] = values.astype(np.float32)
            wrong = np.argwhere(~np.isfinite(vectors[name]))
            if len(wrong):
                frame, number = (int(each) for each in wrong[0])
                raise UserError(
                    f'{name} of {where} has numbers that are not finite, as number {number} of frame {frame}: '
                    f'{vectors[name][frame, number]}. Write it anew, or leave the episode out (mode_ros edit --drop).'
                )
        driven = np.asarray(found.get(INTERVENTION, np.zeros(episode.length)), bool).reshape(-1)
        return {**vectors, INTERVENTION: driven, 'task_index': found['task_index'].astype(np.int64)}


def _share_out(data: DataFiles, contract: Contract) -> None:
    """The single state vector of other people's data is all of the robot's streams, where it is as long as they are."""
    streams = {state.name: len(state.names) for state in contract.observation.states}
    if 'state' not in streams and data.streams == {'state': sum(streams.values())}:
        data.extras = {**data.extras, 'state_streams': streams}


def open_dataset(
    root: Path | str,
    chunk_length: int,
    size: Size | Mapping[str, Size] | None = None,
    cameras: Mapping[str, str] | None = None,
    cache: Path | str | None = None,
    jobs: int | None = None,
    keys: Mapping[str, str] | None = None,
) -> Dataset:
    """The data set at `root`, a LeRobotDataset v3.0 or v2.1, made by mode_ros or not.

    chunk_length: A; size: width and height of the pictures, or by camera, None for the recorded ones; cameras: name to
    use -> name in the data set, None for all under their own names; cache: folder of decoded pictures, by default
    inside the data set; jobs: threads that decode; keys: our name of a column -> theirs, where it differs. The first
    call decodes every picture, with a progress bar. Raises UserError for a damaged data set, one without frames, and an
    unknown camera.
    """
    data = DataFiles(root, keys)
    if chunk_length < 1:
        raise UserError(f'A chunk of {chunk_length} actions is none; give 1 or more.')
    if not data.episodes:
        raise UserError(f'The data set {root} has no episode; convert or record some.')
    if ACTION not in data.features:
        raise UserError(data.missing_action())
    wanted = dict(cameras) if cameras is not None else {name: name for name in data.cameras}
    for name in wanted.values():
        if name not in data.cameras:
            raise UserError(
                f'The data set {root} has no camera {name!r}{suggest(name, data.cameras)}; it has '
                f'{sorted(data.cameras)}.'
            )
    folder = data.root / CACHE_FOLDER if cache is None else Path(cache)
    frames = {
        name: FrameCache(data, theirs, _of(size, name) or data.size(theirs), folder).fill(jobs or default_jobs())
        for name, theirs in wanted.items()
    }
    text = data.contract_text
    contract = None if text is None else parse_contract(text, f'of the data set {root}')
    return Dataset(data, chunk_length, frames, contract)


def _of(size: Size | Mapping[str, Size] | None, camera: str) -> Size | None:
    return size.get(camera) if isinstance(size, Mapping) else size
