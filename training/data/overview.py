"""What a person looks at to choose among episodes: of a data set, or of recordings that are none yet.

Everything is plain data for JSON. Nothing is written.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mode_ros.checks.motion import IDLE_SHARE, jumping, odd_lengths, still_frames
from mode_ros.checks.spread import RANGE_SHARE, action_floor
from mode_ros.control.contract import Contract, parse_contract
from mode_ros.errors import UserError
from mode_ros.training.data.bag_recording import BagRecording
from mode_ros.training.data.bags import BagProblem, open_bag, storage_files
from mode_ros.training.data.data_files import DataFiles
from mode_ros.training.data.dataset import Dataset
from mode_ros.training.data.edits import read_commands, revision
from mode_ros.training.data.labels import episode_success
from mode_ros.training.data.recordings import Recording

DATA_SET, RECORDINGS = 'data set', 'recordings'


def open_vectors(root: Path, contract: Contract | None = None) -> Dataset:
    """The data set without its pictures. contract: of one that carries none."""
    data = DataFiles(root)
    text = data.contract_text
    return Dataset(data, 1, {}, contract if text is None else parse_contract(text, f'of the data set {root}'))


def data_set_overview(root: Path, contract: Contract | None = None) -> dict[str, Any]:
    """Keys: kind, robot (None where nobody names it), rate, cameras, revision, edits (in words, in order) and episodes
    with number, goal, frames, seconds, success (None: nobody said), driven and idle (shares of the frames), flags (of
    'short', 'long', 'jerky', 'idle', 'failed').
    """
    told = revision(root)
    data = open_vectors(root, contract)
    actions = [data.actions[data.episode(k)] for k in range(len(data.files.episodes))]
    delta, floor = _delta_and_floor(data)
    jerky = [bool(row.any()) for row in jumping(actions, delta)]
    odd = odd_lengths([len(each) for each in actions])
    success = episode_success(data.files)
    episodes = []
    for k, episode in enumerate(data.files.episodes):
        idle = float(still_frames(actions[k], delta, floor).mean()) if len(actions[k]) else 0.0
        episodes.append(
            {
                'number': episode.index,
                'goal': data.goal(int(data.episode_starts[k])),
                'frames': episode.length,
                'seconds': round(episode.length / data.rate, 3),
                'success': success[k],
                'driven': round(float(data.driven[data.episode(k)].mean()), 4),
                'idle': round(idle, 4),
                'flags': _flags(odd[k], jerky[k], idle, success[k]),
            }
        )
    return {
        'kind': DATA_SET,
        'robot': data.contract.robot if data.contract else None,
        'rate': data.rate,
        'cameras': list(data.files.cameras),
        'revision': told,
        'edits': [command.words() for command in read_commands(root)],
        'episodes': episodes,
    }


def recordings_overview(recordings: Sequence[Recording]) -> dict[str, Any]:
    """The same of recordings, as far as it is known without reading them: no shares and no flag but 'short', 'long' and
    'failed'; besides, of each its name, MB and problem ('' where it can be opened).
    """
    found = [_recording(number, recording) for number, recording in enumerate(recordings)]
    for each, odd in zip(found, odd_lengths([round(1e3 * each['seconds']) for each in found]), strict=True):
        each['flags'] = _flags(odd, False, 0.0, each['success'])
    robots = [each.pop('robot') for each in found]
    return {
        'kind': RECORDINGS,
        'robot': next((robot for robot in robots if robot), None),
        'revision': hashlib.sha256(repr([(each['name'], each['MB']) for each in found]).encode()).hexdigest()[:16],
        'edits': [],
        'episodes': found,
    }


def _recording(number: int, recording: Recording) -> dict[str, Any]:
    told: dict[str, Any] = {'number': number, 'name': recording.name, 'goal': '', 'success': None, 'problem': ''}
    told |= {'seconds': round(recording.seconds(), 3), 'driven': None, 'idle': None, 'robot': None, 'MB': None}
    if not isinstance(recording, BagRecording):
        return told
    told['MB'] = round(sum(path.stat().st_size for path in storage_files(recording.path)) / 1e6, 3)
    try:
        with open_bag(recording.path) as bag:
            if bag.episode is not None:
                told |= {'goal': bag.episode.goal, 'success': bag.episode.success}
                told |= {'robot': bag.episode.contract(recording.name).robot}
            told['problem'] = bag.torn
    except (BagProblem, UserError) as error:
        told['problem'] = str(error)
    return told


def _flags(length: str | None, jerky: bool, idle: float, success: bool | None) -> list[str]:
    found = [length] if length else []
    found += ['jerky'] if jerky else []
    found += ['idle'] if idle > IDLE_SHARE else []
    return found + (['failed'] if success is False else [])


def _delta_and_floor(data: Dataset) -> tuple[NDArray[np.bool_], Sequence[float]]:
    size = data.actions.shape[1]
    if data.contract is not None and len(data.contract.dimensions) == size:
        return data.contract.delta_mask, action_floor(data.contract)
    return np.zeros(size, bool), tuple(float(each) for each in RANGE_SHARE * np.ptp(data.actions, axis=0))
