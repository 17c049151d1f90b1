"""What lies under the folders that page_node was started with, by names that the page may be given back.

A name is looked for among those that are there; it is never made part of a path.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

# As mode_ros.training.snapshots and mode_ros.policy.folder have them, which need torch or are not for the page.
POLICY, BEST, CHECKPOINTS, SETTINGS, LOG, STATE = (
    'policy',
    'best',
    'checkpoints',
    'training.yaml',
    'log.jsonl',
    'training_state.pt',
)
CONFIG, WEIGHTS = 'config.json', 'weights.safetensors'
RESULTS, FILMS = 'results.json', 'videos'
_INFO = Path('meta') / 'info.json'
# What the page keeps of the jobs that it has started, beside what they write.
JOBS = '.page'


@dataclass(frozen=True)
class Places:
    """data: data sets, two levels deep at most; runs: trainings; evaluations; policies: such as come along."""

    data: Path
    runs: Path
    evaluations: Path
    policies: Path

    @classmethod
    def under(cls, work: Path, share: Path) -> Places:
        """work: a folder with data/, runs/ and evaluations/, which need not be there; share: of mode_ros."""
        work = work.expanduser().absolute()
        return cls(work / 'data', work / 'runs', work / 'evaluations', share / 'config' / 'policies')

    def data_sets(self) -> dict[str, Path]:
        """Name to folder."""
        found = [*_with(self.data, _INFO)]
        for folder in _folders(self.data):
            found += _with(folder, _INFO)
        return {path.relative_to(self.data).as_posix(): path for path in sorted(found)}

    def trainings(self) -> dict[str, Path]:
        """Name to folder, the newest first."""
        return _newest_first(
            path for path in _folders(self.runs) if (path / SETTINGS).is_file() or (path / LOG).is_file()
        )

    def evaluated(self) -> dict[str, Path]:
        """Name to folder of every evaluation, the newest first."""
        return _newest_first(_folders(self.evaluations))

    def all_policies(self) -> dict[str, Path]:
        """Name to checkpoint folder: of the trainings ('drawers', 'drawers, best', 'drawers, step 1000'), and those
        that come along.
        """
        found: dict[str, Path] = {}
        for name, run in self.trainings().items():
            for words, path in ((name, run / POLICY), (f'{name}, best', run / BEST)):
                if _is_policy(path):
                    found[words] = path
            if not _is_policy(run / POLICY) and (steps := checkpoints(run)):
                found[f'{name}, step {int(steps[-1].name.rpartition("_")[2])}'] = steps[-1]
        for path in _folders(self.policies):
            if _is_policy(path):
                found[f'{path.name} (comes along)'] = path
        return found


def checkpoints(run: Path) -> list[Path]:
    """A training's finished checkpoints to go on from, oldest first."""
    return sorted(path for path in (run / CHECKPOINTS).glob('step_*') if (path / STATE).is_file())


def describe_data_set(folder: Path) -> str:
    """How much it holds."""
    try:
        found: Mapping[str, Any] = json.loads((folder / _INFO).read_text(encoding='utf-8'))
        return f'{found["total_episodes"]} episodes, {found["total_frames"]} frames'
    except (OSError, ValueError, KeyError, TypeError):
        return 'its meta/info.json cannot be read'


def _is_policy(folder: Path) -> bool:
    return (folder / CONFIG).is_file() and (folder / WEIGHTS).is_file()


def _with(folder: Path, name: Path) -> Iterator[Path]:
    return (path for path in _folders(folder) if (path / name).is_file())


def _folders(folder: Path) -> list[Path]:
    try:
        return sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith('.'))
    except OSError:
        return []


def _newest_first(folders: Iterator[Path] | list[Path]) -> dict[str, Path]:
    def time_of(path: Path) -> float:
        try:
            return path.stat().st_mtime
        except OSError:
            return 0.0

    return {path.name: path for path in sorted(folders, key=time_of, reverse=True)}
