"""Which episodes a training may use, and which of them belong together."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mode_ros.checks.finding import listed
from mode_ros.errors import UserError
from mode_ros.training.data.dataset import Dataset
from mode_ros.training.data.labels import episode_success

Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Selection:
    """usable: [episodes] per data set; recordings: per data set, of each episode what tells its content from any
    other's; notes: what was left out, in sentences.
    """

    usable: tuple[Mask, ...]
    recordings: tuple[tuple[str, ...], ...]
    notes: tuple[str, ...]


def select_episodes(datasets: Sequence[Dataset], chunk_length: int, keep_failures: bool = False) -> Selection:
    """All episodes but those that are shorter than a chunk, and, unless they are kept, those that failed."""
    usable, notes = [], []
    for data in datasets:
        lengths = np.array([episode.length for episode in data.files.episodes])
        usable.append(lengths >= chunk_length)
        short = [data.files.episodes[number].index for number in np.flatnonzero(~usable[-1])]
        if short:
            notes.append(
                f'{len(short)} of {len(lengths)} episodes of {data.files.root} are left out, because they are shorter '
                f'than policy.chunk_length {chunk_length}: {listed(short)}.'
            )
        failed = np.array([label is False for label in episode_success(data.files)], bool)
        if failed.any() and not keep_failures:
            if not (usable[-1] & ~failed).any():
                raise UserError(
                    f'All episodes of {data.files.root} are marked as failures; set data.keep_failures to true to '
                    'learn from them, or mark those that are good with `mode_ros edit`.'
                )
            usable[-1] &= ~failed
            numbers = [data.files.episodes[number].index for number in np.flatnonzero(failed)]
            notes.append(
                f'{len(numbers)} of {len(lengths)} episodes of {data.files.root} are left out, because they are marked '
                f'as failures (data.keep_failures keeps them): {listed(numbers)}.'
            )
    recordings = tuple(tuple(fingerprint(data, k) for k in range(len(data.files.episodes))) for data in datasets)
    return Selection(tuple(usable), recordings, tuple(notes))


def fingerprint(data: Dataset, number: int) -> str:
    """Of an episode's numbers, or its pictures where it has no states: equal for one recording under two names."""
    frames = data.episode(number)
    words = hashlib.sha256(data.actions[frames].tobytes())
    words.update(data.state[frames].tobytes())
    if not data.state.shape[1]:
        middle = (frames.start + frames.stop) // 2
        for name in sorted(data.frames):
            words.update(data.frames[name][middle].tobytes())
    return words.hexdigest()


def held_out_episodes(tasks: Sequence[int], share: float, seed: int) -> Mask:
    """Which episodes are kept for validation, [episodes]: about `share` of each task's.

    tasks: each episode's task. A task with two episodes or more gives at least one; each keeps at least one.
    """
    held = np.zeros(len(tasks), bool)
    for task in sorted(set(tasks)):
        episodes = np.flatnonzero(np.asarray(tasks) == task)
        least = min(1, len(episodes) - 1) if share > 0 else 0
        count = min(max(round(share * len(episodes)), least), len(episodes) - 1)
        held[np.random.default_rng((seed, task)).permutation(episodes)[:count]] = True
    return held


def split(tasks: Sequence[Sequence[int]], selection: Selection, share: float, seed: int) -> list[Mask]:
    """The held-out episodes of each data set, so that no recording is learnt from and held out, under whatever name.

    tasks: each episode's task, per data set.
    """
    found, learnt = [], set()
    for own, usable, recordings in zip(tasks, selection.usable, selection.recordings, strict=True):
        first: dict[str, int] = {}
        for number in np.flatnonzero(usable):
            first.setdefault(recordings[number], int(number))
        held = np.zeros(len(own), bool)
        held[list(first.values())] = held_out_episodes([own[number] for number in first.values()], share, seed)
        learnt |= {name for name, number in first.items() if not held[number]}
        found.append({name for name, number in first.items() if held[number]})
    return [
        np.array([name in held and name not in learnt for name in names], bool) & usable
        for held, names, usable in zip(found, selection.recordings, selection.usable, strict=True)
    ]
