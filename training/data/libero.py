"""LIBERO's demonstrations: an HDF5 file per task, a group data/demo_N per demonstration.

Images are stored upside down and are turned upright, as the simulator shows them. Actions are stored as fractions of
the controller's largest step and become metres and radians. Observations and actions are paired as they are stored.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from mode_ros.control.contract import Contract
from mode_ros.errors import UserError, in_words
from mode_ros.robots import load_named_contract
from mode_ros.training.data.bags import content_key
from mode_ros.training.data.foreign import (
    PICTURE,
    Floats,
    Shape,
    check_array,
    check_same_robot,
    make_observation,
    one_sign,
    quaternion,
)
from mode_ros.training.data.frames import Frame, LeftOut
from mode_ros.training.data.recordings import About, Progress, Recording, RecordingProblem

_MAGIC = b'\x89HDF\r\n\x1a\n'
_ROBOT = 'libero_panda'
# Metres and radians of a full step, and the gripper as it is.
_ACTION_SCALE = np.array([0.05, 0.05, 0.05, 0.5, 0.5, 0.5, 1.0])
# Both fingers of the benchmark's model slide along the same axis, in opposite directions; here both count outwards.
_FINGER_SIGNS = np.array([1.0, -1.0])
_ROWS = 64
_NEEDED: dict[str, Shape] = {
    'obs/agentview_rgb': (None, *PICTURE),
    'obs/eye_in_hand_rgb': (None, *PICTURE),
    'obs/joint_states': (None, 7),
    'obs/gripper_states': (None, 2),
    'obs/ee_pos': (None, 3),
    'obs/ee_ori': (None, 3),
    'actions': (None, 7),
}


def is_libero(path: Path) -> bool:
    """Whether the file is HDF5, which nothing else here is."""
    try:
        with path.open('rb') as file:
            return file.read(len(_MAGIC)) == _MAGIC
    except OSError:  # not to be read, or gone while a folder was searched
        return False


def libero_recordings(path: Path) -> list[Recording]:
    """A recording per demonstration; one that says what is wrong for a file that cannot be opened."""
    try:
        with _open(path) as file:
            demos = sorted(file['data'], key=lambda name: (len(name), name))
    except (OSError, KeyError, TypeError, RuntimeError) as error:
        return [LiberoRecording(path, '', f'it is no file of LIBERO demonstrations, or truncated: {in_words(error)}')]
    return [LiberoRecording(path, demo) for demo in demos]


def _open(path: Path) -> Any:
    try:
        import h5py
    except ImportError as error:
        raise UserError(
            f"{path} is HDF5, and reading it needs h5py: pip install 'mode_ros[training]' (or h5py)."
        ) from error
    return h5py.File(path, 'r')


class LiberoRecording(Recording):
    """One demonstration."""

    def __init__(self, path: Path, demo: str, problem: str = '') -> None:
        self.path, self.name = path, f'{path.name}#{demo}' if demo else path.name
        self._demo, self._problem = demo, problem

    def key(self) -> str:
        """As in Recording."""
        return hashlib.sha256(f'{content_key([self.path])} {self._demo}'.encode()).hexdigest()[:24]

    def seconds(self) -> float:
        """As in Recording; taken as a usual one's, to spare opening every demonstration twice."""
        return 10.0

    def contract(self) -> tuple[Contract, str]:
        """As in Recording."""
        return self._own

    @cached_property
    def _own(self) -> tuple[Contract, str]:
        return load_named_contract(_ROBOT)

    def read(self, contract: Contract, goal: str, about: About, progress: Progress) -> Iterator[Frame | LeftOut]:
        """As in Recording."""
        yield from one_sign(self._frames(contract, goal, about, progress), 'end_effector')

    def _frames(self, contract: Contract, goal: str, about: About, progress: Progress) -> Iterator[Frame]:
        if self._problem:
            raise RecordingProblem(self._problem)
        check_same_robot(contract, self._own[0])
        try:
            with _open(self.path) as file:
                demo = file['data'][self._demo]
                goal = goal or _goal(file['data'])
                length = _check(demo)
                if 'dones' in demo:
                    about.success = bool(np.asarray(demo['dones'][-1]))
                for start in range(0, length, _ROWS):
                    yield from _rows(demo, contract, goal, start, min(start + _ROWS, length))
                    progress(10.0 * _ROWS / length)
        except (OSError, KeyError, RuntimeError) as error:
            raise RecordingProblem(f'the file is damaged: {in_words(error)}') from error


def _check(demo: Any) -> int:
    """Rows of the demonstration; RecordingProblem for one without what is needed."""
    for name, shape in _NEEDED.items():
        if name not in demo:
            raise RecordingProblem(f'{name} is missing')
        check_array(name, demo[name], shape)
    lengths = {name: demo[name].shape[0] for name in _NEEDED}
    if len(set(lengths.values())) != 1:
        raise RecordingProblem(f'its parts differ in length: {lengths}')
    return int(demo['actions'].shape[0])


def _rows(demo: Any, contract: Contract, goal: str, start: int, stop: int) -> Iterator[Frame]:
    part = {name: np.asarray(demo[name][start:stop]) for name in _NEEDED}
    for row in range(stop - start):
        images = {
            'static': np.ascontiguousarray(part['obs/agentview_rgb'][row][::-1]),
            'wrist': np.ascontiguousarray(part['obs/eye_in_hand_rgb'][row][::-1]),
        }
        position, turn = (part[name][row].astype(np.float64) for name in ('obs/ee_pos', 'obs/ee_ori'))
        states: dict[str, Floats] = {
            'joints': part['obs/joint_states'][row].astype(np.float64),
            'end_effector': np.concatenate([position, quaternion(turn)]),
            'fingers': part['obs/gripper_states'][row] * _FINGER_SIGNS,
        }
        action = part['actions'][row] * _ACTION_SCALE
        if not np.isfinite(action).all():
            raise RecordingProblem(f'actions: row {start + row} has values that are not finite')
        yield Frame(make_observation(contract, start + row, images, states), action, goal, intervention=False)


def _goal(data: Any) -> str:
    try:
        words = json.loads(data.attrs['problem_info'])['language_instruction']
    except (KeyError, ValueError, TypeError) as error:
        raise RecordingProblem(f'it names no task ({error}); give one with --goal') from error
    return str(words if isinstance(words, str) else ' '.join(words)).strip('" \n')
