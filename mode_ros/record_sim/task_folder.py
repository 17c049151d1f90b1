"""The recordings of one task: which seeds gave an episode, which failed, and which comes next.

OUT/drawer-open/episode_000007/        the episode of the first seed plus 7
OUT/drawer-open/demonstrations.json    how it was recorded, and the seeds that failed

An episode's number is its seed's, so that what is there does not depend on how many processes made it.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Collection
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from mode_ros.control.contract import differences, parse_contract
from mode_ros.control.execution import Mode
from mode_ros.errors import UserError, in_words
from mode_ros.recording.folder import PartialEpisode, RecordingFolder

ABOUT = 'demonstrations.json'
FORMAT = 1

# A task whose expert fails as often as it is to succeed, and so many times more, is given up.
SPARE_FAILURES = 10


@dataclass(frozen=True)
class Attempts:
    """A policy tries, and an expert takes over where it strays. checkpoint: its folder; digest: of its content;
    execution: the mode; delay: control periods that a chunk takes; far, patience: when it is taken over.
    """

    checkpoint: str
    digest: str
    execution: Mode
    delay: int
    far: float
    patience: float


@dataclass(frozen=True)
class Terms:
    """What all episodes of a folder have in common. contract: its text; noise: the level; seed: the first; attempts:
    None for demonstrations.
    """

    simulator: str
    task: str
    contract: str
    noise: float
    seed: int
    attempts: Attempts | None = None

    @classmethod
    def from_plain(cls, values: Any) -> Terms:
        """From what asdict gave; TypeError for anything else."""
        found = values.get('attempts')
        return cls(**{**values, 'attempts': None if found is None else Attempts(**found)})


class TaskFolder:
    """The folder of one task, kept from other recorders until it is closed."""

    def __init__(self, out: Path, terms: Terms, held: Collection[int] = ()) -> None:
        """Makes it in `out` where it is missing; what a killed run left half done is removed. held: seeds that are
        elsewhere already, and not tried.

        Raises UserError where it cannot be written, is in use, or has seeds that were tried on other terms.
        """
        self.terms = terms
        self.root = out / terms.task.replace('/', '__')
        self._recordings = RecordingFolder(self.root)
        try:
            self.failed = self._read_failed()
        except BaseException:
            self.close()
            raise
        for partial in self.root.glob('.episode_*.partial'):
            shutil.rmtree(partial)
        self.finished = {terms.seed + int(path.name.removeprefix('episode_')) for path in self._recordings.finished()}
        self._running: set[int] = set()
        self._held = frozenset(held)
        self._store()

    def close(self) -> None:
        self._recordings.close()

    def next_seed(self, episodes: int) -> int | None:
        """The seed to try next, None while those that are being tried may do.

        Never more are tried at once than may be needed, so that the episodes are those of the first seeds that succeed.
        """
        if self.is_given_up(episodes) or len(self.finished) + len(self._running) >= episodes:
            return None
        known = self.finished | self.failed | self._running | self._held
        seed = next(seed for seed in range(self.terms.seed, self.terms.seed + len(known) + 1) if seed not in known)
        self._running.add(seed)
        return seed

    def is_given_up(self, episodes: int) -> bool:
        """Whether the task has failed too often to go on."""
        return len(self.finished) < episodes and len(self.failed) >= episodes + SPARE_FAILURES

    def take(self, seed: int, success: bool) -> None:
        """How the demonstration of a seed has ended."""
        self._running.remove(seed)
        if success:
            self.finished.add(seed)
        else:
            self.failed.add(seed)
            self._store()

    def _read_failed(self) -> set[int]:
        path = self.root / ABOUT
        if not path.exists():
            if self._recordings.finished():
                raise UserError(
                    f'{self.root} holds recordings that are not from record-sim; give another folder for these.'
                )
            return set()
        try:
            about = json.loads(path.read_text(encoding='utf-8'))
            theirs = Terms.from_plain(about['terms'])
            failed = {int(seed) for seed in about['failed_seeds']}
        except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
            raise UserError(
                f'{path} cannot be read ({in_words(error)}); give another folder, or remove '
                f'{self.root} to record its episodes again.'
            ) from error
        found = _differing(self.terms, theirs)
        if found and (failed or self._recordings.finished()):
            raise UserError(
                f'The demonstrations in {self.root} were recorded on other terms. Here, and there: '
                f'{"; ".join(found)}. Give the same, or another folder.'
            )
        return failed

    def _store(self) -> None:
        about = {'format': FORMAT, 'terms': asdict(self.terms), 'failed_seeds': sorted(self.failed)}
        draft = self.root / f'.{ABOUT}.new'
        draft.write_text(json.dumps(about, indent=2) + '\n', encoding='utf-8')
        draft.replace(self.root / ABOUT)


def partial_episode(root: Path, number: int) -> PartialEpisode:
    """The episode of that number under its temporary name, its folder made."""
    partial = PartialEpisode(root, f'episode_{number:06d}')
    partial.folder.mkdir()
    return partial


def _differing(ours: Terms, theirs: Terms) -> list[str]:
    here, there = _flat(ours), _flat(theirs)
    texts = here.pop('contract'), there.pop('contract')
    found = [
        f'{name}: {here.get(name)}, not {there.get(name)}'
        for name in dict.fromkeys([*here, *there])
        if here.get(name) != there.get(name)
    ]
    contracts: list[Any] = [parse_contract(text, 'of the demonstrations') for text in texts]
    return found + differences(*contracts)


def _flat(terms: Terms) -> dict[str, Any]:
    """Name to value; where a checkpoint lies does not matter, what it is does."""
    found = asdict(terms)
    agreed = found.pop('attempts') or {}
    return {**found, **{name: value for name, value in agreed.items() if name != 'checkpoint'}}
