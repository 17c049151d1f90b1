"""Batches for training: which moments, how they are shifted, and everything in the network's numbers.

The batch of a step is decided by the seed and the step's number alone. So a training that goes on sees what it would
have seen, and processes that share a batch agree on it without a word.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mode_ros.errors import UserError
from mode_ros.policy.config import PolicyConfig
from mode_ros.policy.goals import normalize_sentence
from mode_ros.policy.language import TextEncoder
from mode_ros.policy.normalization import (
    Normalizer,
    Statistics,
    StreamStatistics,
    build_normalizer,
    build_state_normalizer,
)
from mode_ros.training.colours import Factors, draw_factors
from mode_ros.training.data.dataset import Dataset, Sample
from mode_ros.training.data.labels import episode_success
from mode_ros.training.data.mixture import embodiment_statistics
from mode_ros.training.loss import Draws, log_logistic_sigmas
from mode_ros.training.pictures import CachedPictures, DevicePictures, Pictures, send
from mode_ros.training.selection import select_episodes, split
from mode_ros.training.settings import DataSettings, LossSettings
from mode_ros.training.weighting import ByWeight, FrameWeights, weigh_frames

Indices = NDArray[np.int64]


@dataclass(frozen=True)
class Batch:
    """b samples as the network takes them."""

    images: tuple[Tensor, ...]  # uint8 [b, 3, H, W] by camera, of depth int16 [b, 1, H, W]; channels last in memory
    state: Tensor | None  # [b, S], normalised
    goal: Tensor  # [b, goal_dim], for the image encoders
    kept_goal: Tensor  # [b, goal_dim], for the denoiser: zero where it was dropped
    actions: Tensor  # [b, A, d], normalised
    padding: Tensor  # [b, A], bool
    draws: Draws
    moments: tuple[tuple[int, int], ...]  # which data set, and its frame: to name a batch that goes wrong
    failed: Tensor | None = None  # [b, A], bool: actions of the policy that are not learnt; None: no data has any

    def to(self, device: torch.device) -> Batch:
        """The same on a device."""
        return self.each(lambda x: send(x, device))

    def each(self, change: Callable[[Tensor], Tensor]) -> Batch:
        """The same with every tensor changed."""
        return replace(
            self,
            images=tuple(map(change, self.images)),
            state=None if self.state is None else change(self.state),
            goal=change(self.goal),
            kept_goal=change(self.kept_goal),
            actions=change(self.actions),
            padding=change(self.padding),
            draws=Draws(*map(change, self.draws)),
            failed=None if self.failed is None else change(self.failed),
        )

    def tensors(self) -> list[Tensor]:
        """All of them, always in the same order."""
        found: list[Tensor] = []

        def take(x: Tensor) -> Tensor:
            found.append(x)
            return x

        self.each(take)
        return found


class Source:
    """The data sets of a training, normalised by embodiment, split into what is learnt and what is held out.

    What a step is shown does not depend on the order of the data sets.
    """

    def __init__(
        self,
        datasets: Sequence[Dataset],
        weights: Sequence[float],
        config: PolicyConfig,
        encoder: TextEncoder,
        settings: DataSettings,
        seed: int,
        embodiments: Sequence[str] | None = None,
        padded: bool = True,
        limits: StreamStatistics | None = None,
        kept: Statistics | None = None,
    ) -> None:
        """weights: each data set's share of the samples; seed: decides the held-out episodes and every batch.

        embodiments: each data set's, '' for the robot that the policy runs; None where all are of that; padded: whether
        moments are learnt whose chunk reaches past the end; limits: of that robot's actions, to scale them by instead
        of by what was shown; kept: statistics of that robot to use instead of the data's.
        """
        self.datasets, self.config, self.seed = list(datasets), config, seed
        self.embodiments = list(embodiments or [''] * len(self.datasets))
        # As they are drawn from: by what they are, not by where they stand in a list.
        self._order = sorted(range(len(self.datasets)), key=lambda k: (str(datasets[k].files.root), weights[k]))
        self._weights = np.asarray([weights[k] for k in self._order], np.float64) / math.fsum(weights)
        self.goals = _embed_goals(self.datasets, encoder)
        """Every sentence, normalised, and its embedding."""
        self.selection = select_episodes(self.datasets, config.denoiser.chunk_length, settings.keep_failures)
        self._weights_of = [_weigh(data, settings) for data in datasets]
        self.any_failed = any(each.failed.any() for each in self._weights_of)
        """Whether there are spans that failed, which are not learnt from and count in no error."""
        used = [self._weighing(k, _frames(datasets[k], mask)) for k, mask in enumerate(self.selection.usable)]
        _check_left(datasets, used)
        self._statistics = embodiment_statistics(self.datasets, weights, self.embodiments, used)
        if kept is not None:
            self._statistics[''] = kept
        self._limits = limits
        own = [self._statistics[name] for name in self.embodiments]
        self._actions = [
            build_normalizer(limits if limits and not name else each.action, config.action_normalization)
            for name, each in zip(self.embodiments, own, strict=True)
        ]
        self._states = [
            build_state_normalizer(each.state, config.state_streams, config.state_normalization) for each in own
        ]
        self._columns = [_columns(data, config.state_streams) for data in datasets]
        self._colours = settings.colours
        self._pictures: Pictures = CachedPictures(self.datasets, config.cameras)
        self._shifts = [settings.shift_in_pixels(camera.name, camera.width) for camera in config.cameras]
        self.held_out = split([_tasks(data) for data in datasets], self.selection, settings.validation_share, seed)
        self._learnt = []
        for number, (data, usable, held) in enumerate(zip(datasets, self.selection.usable, self.held_out, strict=True)):
            frames = self._weighing(number, _frames(data, usable & ~held))
            self._learnt.append(frames if padded else _with_whole_chunks(data, frames))
        _check_left(datasets, self._learnt)
        of_frames = [each.weight[frames] for each, frames in zip(self._weights_of, self._learnt, strict=True)]
        # None where all count the same: then they are drawn as they were before there were weights.
        self._by_weight = [ByWeight(each) if (each != each[0]).any() else None for each in of_frames]

    @property
    def statistics(self) -> Statistics:
        """Of the robot that the policy runs: what its checkpoint holds."""
        found = self._statistics['']
        return found if self._limits is None else found.model_copy(update={'action': self._limits})

    def deviation(self, number: int) -> NDArray[np.float64]:
        """[d] of the actions of a data set's embodiment, the robot's units; at least the floor."""
        action = self._statistics[self.embodiments[number]].action
        return np.maximum(action.std, action.floor or 0.0)

    @property
    def left_out(self) -> int:
        """Frames of usable episodes that are not learnt from because of who drove them."""
        return sum(
            int((weights.weight[_frames(data, usable)] == 0).sum())
            for data, weights, usable in zip(self.datasets, self._weights_of, self.selection.usable, strict=True)
        )

    @property
    def frames(self) -> int:
        """Moments that are learnt from."""
        return sum(map(len, self._learnt))

    @property
    def outline(self) -> list[dict[str, Any]]:
        """Of each data set, in the order that they are drawn from, what decides what a step is shown; plain values."""
        return [
            {
                'data': str(self.datasets[number].files.root),
                'weight': float(weight),
                'lengths': [episode.length for episode in self.datasets[number].files.episodes],
                'usable': self.selection.usable[number].tolist(),
                'held_out': self.held_out[number].tolist(),
                'moments': len(self._learnt[number]),
                'goals': episode_goals(self.datasets[number]),
                'drawn': _hash(self._weights_of[number].weight, self._weights_of[number].failed),
            }
            for number, weight in zip(self._order, self._weights, strict=True)
        ]

    def hold_pictures(self, device: torch.device) -> None:
        """From now on, pick the pictures from the memory of a device. Raises UserError where it has no room."""
        self._pictures = DevicePictures(self.datasets, self.config.cameras, device)

    def batch(self, step: int, size: int, rows: slice, loss: LossSettings) -> Batch:
        """Rows of the batch of a step, with random shifts and dropped goals; size: of the whole batch."""
        generator = np.random.default_rng((self.seed, step))
        which = np.array(self._order)[generator.choice(len(self.datasets), size, p=self._weights)]
        frames = np.array([self._learnt[data][self._pick(data, generator)] for data in which])
        offsets = [generator.integers(-shift, shift + 1, (size, 2)) for shift in self._shifts]
        draws = self._draws(size, loss, torch.Generator().manual_seed(int(generator.integers(2**62))))
        # Last, so that all else is drawn as without.
        colours = [draw_factors(generator, size, self._colours)[rows] for _ in self._shifts if any(self._colours)]
        shifted = [each[rows] for each in offsets]
        return self._assemble(which[rows], frames[rows], shifted, draws.rows(rows), loss, colours)

    def _pick(self, number: int, generator: np.random.Generator) -> int:
        by_weight = self._by_weight[number]
        if by_weight is None:
            return int(generator.integers(len(self._learnt[number])))
        return int(by_weight.draw(generator, 1)[0])

    def _weighing(self, number: int, frames: Indices) -> Indices:
        """Those of a data set's frames that have a weight."""
        return frames[self._weights_of[number].weight[frames] > 0]

    def validation(self, count: int) -> list[tuple[int, int]]:
        """At most `count` held-out moments (data set, frame), evenly from all tasks; always the same."""
        by_task = []
        for number in self._order:
            data = self.datasets[number]
            frames = self._weighing(number, _frames(data, self.held_out[number]))
            by_task += [
                [(number, int(frame)) for frame in frames[data.task_index[frames] == task]]
                for task in np.unique(data.task_index[frames])
            ]
        if not by_task:
            return []
        if len(by_task) > count:
            by_task = [by_task[index] for index in _spread(count, len(by_task))]
        shares = _dealt(count, [len(moments) for moments in by_task])
        return [
            moments[index]
            for share, moments in zip(shares, by_task, strict=True)
            for index in _spread(share, len(moments))
        ]

    def mark(self, moments: Sequence[tuple[int, int]]) -> str:
        """What is the same for the same moments alone, in whatever order the data sets are listed."""
        places = {number: place for place, number in enumerate(self._order)}
        return _hash(np.array([(places[number], frame) for number, frame in moments], np.int64))

    def moments(self, moments: Sequence[tuple[int, int]], loss: LossSettings) -> Batch:
        """Given moments as they are: not shifted, no goal dropped, with draws that are always the same."""
        which, frames = (np.array(column, np.int64) for column in zip(*moments, strict=True))
        offsets = [np.zeros((len(which), 2), np.int64) for _ in self._shifts]
        draws = self._draws(len(which), loss, torch.Generator().manual_seed(self.seed))
        kept = torch.ones_like(draws.goal_kept)
        return self._assemble(which, frames, offsets, draws._replace(goal_kept=kept), loss)

    def action_units(self, moments: Sequence[tuple[int, int]], actions: Tensor) -> NDArray[np.float64]:
        """Normalised actions [b, A, d] of these moments in the robot's units."""
        return np.stack(
            [
                self._actions[data].unnormalize(chunk.numpy())
                for (data, _), chunk in zip(moments, actions.cpu(), strict=True)
            ]
        )

    def describe(self, moments: Sequence[tuple[int, int]], most: int = 8) -> str:
        """Moments in words a person can look up."""
        words = []
        for number, frame in moments[:most]:
            data = self.datasets[number]
            episode = int(np.searchsorted(data.episode_starts, frame, side='right')) - 1
            words.append(f'frame {frame - int(data.episode_starts[episode])} of episode {episode} in {data.files.root}')
        rest = len(moments) - most
        return ', '.join(words) + (f' and {rest} more' if rest > 0 else '')

    def _draws(self, size: int, loss: LossSettings, generator: torch.Generator) -> Draws:
        network = self.config.denoiser
        by_token = network.routes_tokens or (loss.draws == 'token' and network.routing != 'dense')
        routed = [network.prefix_length + network.chunk_length] if by_token else []
        dropped = 1 if loss.goal_dropped == 'whole' else network.goal_dim
        return Draws(
            log_logistic_sigmas(
                torch.rand(size, dtype=torch.float64, generator=generator), self.config.diffusion, loss.sigma_scale
            ),
            torch.randn(size, network.chunk_length, network.action_dim, generator=generator),
            torch.empty(network.layers, size, *routed, network.experts).exponential_(generator=generator),
            torch.rand(size, dropped, generator=generator) >= loss.goal_dropout,
            # Last, so that all else is drawn as without.
            torch.randint(network.max_committed + 1, (size,), generator=generator),
        )

    def _assemble(
        self,
        which: Indices,
        frames: Indices,
        offsets: Sequence[Indices],
        draws: Draws,
        loss: LossSettings,
        colours: Sequence[Factors] = (),
    ) -> Batch:
        """colours: of each camera, none: as they are."""
        network = self.config.denoiser
        state = np.empty((len(which), network.state_dim), np.float32)
        actions = np.empty((len(which), network.chunk_length, network.action_dim), np.float32)
        padding = np.empty(actions.shape[:2], bool)
        failed = np.zeros(actions.shape[:2], bool)
        goal = torch.empty(len(which), network.goal_dim)
        for number in np.unique(which):
            at = np.flatnonzero(which == number)
            sample = self.datasets[number].batch(frames[at], repeat=loss.padding == 'repeat', pictures=False)
            state[at], actions[at] = self._normalize(int(number), sample)
            padding[at] = sample.padding
            ahead = np.minimum(frames[at][:, None] + np.arange(network.chunk_length), len(self.datasets[number]) - 1)
            # From the first that failed on: what a person did after it, or its repetition, is no way on from before.
            failed[at] = np.logical_or.accumulate(self._weights_of[number].failed[ahead] & ~sample.padding, axis=1)
            goal[torch.from_numpy(at)] = torch.stack([self.goals[normalize_sentence(text)] for text in sample.goal])
        kept = goal * draws.goal_kept
        return Batch(
            images=self._pictures(which, frames, offsets, colours),
            state=torch.from_numpy(state) if network.state_dim else None,
            goal=kept if loss.goal_dropped == 'whole' else goal,
            kept_goal=kept,
            actions=torch.from_numpy(actions),
            padding=torch.from_numpy(padding),
            draws=draws,
            moments=tuple((int(data), int(frame)) for data, frame in zip(which, frames, strict=True)),
            failed=torch.from_numpy(failed) if self.any_failed else None,
        )

    def _normalize(self, number: int, sample: Sample) -> tuple[NDArray[np.floating], NDArray[np.floating]]:
        normalizer: Normalizer | None = self._states[number]
        state = sample.state[:, self._columns[number]]
        return state if normalizer is None else normalizer.normalize(state), self._actions[number].normalize(
            sample.actions
        )


def ahead(source: Source, parts: Iterator[tuple[int, slice]], size: int, loss: LossSettings) -> Iterator[Batch]:
    """The batches of (step, rows), each made in a thread while the one before is in use."""
    with ThreadPoolExecutor(1, 'batches') as pool:
        waiting = None
        for step, rows in parts:
            coming = pool.submit(source.batch, step, size, rows, loss)
            if waiting is not None:
                yield waiting.result()
            waiting = coming
        if waiting is not None:
            yield waiting.result()


def _embed_goals(datasets: Sequence[Dataset], encoder: TextEncoder) -> Mapping[str, Tensor]:
    sentences = sorted({normalize_sentence(goal) for data in datasets for goal in data.goals})
    return dict(zip(sentences, encoder.encode(sentences), strict=True))


def _columns(data: Dataset, streams: Sequence[str]) -> Indices:
    """Where the wanted streams are in the data set's state vector, in their order."""
    starts, at = {}, 0
    for name, size in data.streams.items():
        starts[name] = np.arange(at, at + size)
        at += size
    return np.concatenate([starts[name] for name in streams]) if streams else np.zeros(0, np.int64)


def _weigh(data: Dataset, settings: DataSettings) -> FrameWeights:
    """How often each frame of a data set is learnt from."""
    return weigh_frames(
        data.driven,
        [episode.length for episode in data.files.episodes],
        episode_success(data.files),
        settings.intervention_weight,
        settings.policy_frames,
        data.standing if data.driven.any() else None,
    )


def episode_goals(data: Dataset) -> list[str]:
    """The sentence of each episode, normalised."""
    return [normalize_sentence(data.files.tasks[int(data.task_index[start])]) for start in data.episode_starts]


def _hash(*arrays: NDArray[Any]) -> str:
    found = hashlib.sha256()
    for array in arrays:
        found.update(np.ascontiguousarray(array).tobytes())
    return found.hexdigest()


def _check_left(datasets: Sequence[Dataset], frames: Sequence[Indices]) -> None:
    for data, left in zip(datasets, frames, strict=True):
        if not len(left):
            raise UserError(
                f'No frame of {data.files.root} is left to learn from: all are of episodes that are left out or held '
                'out (data.validation_share), driven by the policy (data.policy_frames), or less than a chunk before '
                'the end (loss.padding none).'
            )


def _tasks(data: Dataset) -> list[int]:
    return [int(data.task_index[start]) for start in data.episode_starts]


def _spread(count: int, length: int) -> Indices:
    """`count` places in a row of `length`, each in the middle of its part, so that one alone is not at an end."""
    return ((np.arange(count) + 0.5) * length / count).astype(np.int64)


def _dealt(count: int, sizes: Sequence[int]) -> list[int]:
    """How many of `count` fall to each, as evenly as their sizes allow; what is left over to the larger ones."""
    shares = [0] * len(sizes)
    for dealt, place in enumerate(sorted(range(len(sizes)), key=lambda place: sizes[place])):
        shares[place] = min(sizes[place], (count - sum(shares)) // (len(sizes) - dealt))
    return shares


def _frames(data: Dataset, episodes: NDArray[np.bool_]) -> Indices:
    ends = np.append(data.episode_starts[1:], len(data))
    chosen = [np.arange(data.episode_starts[i], ends[i]) for i in np.flatnonzero(episodes)]
    return np.concatenate(chosen) if chosen else np.zeros(0, np.int64)


def _with_whole_chunks(data: Dataset, frames: Indices) -> Indices:
    return frames[frames + data.chunk_length <= data.episode_ends[frames]]
