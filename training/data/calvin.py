"""CALVIN's episodes: a numbered npz file per control period, and the spans that people described in words.

robot_obs has the gripper's position, its Euler angles, its width, and the arm's seven joints; rel_actions are fractions
of the largest step, and become metres and radians. CALVIN's gripper is 1 when open; here it is 1 when closed.
"""

from __future__ import annotations

import hashlib
import pickle
import zipfile
import zlib
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import IO, Any

import numpy as np

from mode_ros.control.contract import Contract, load_contract, read_contract_text
from mode_ros.errors import in_words
from mode_ros.training.data.foreign import (
    PICTURE,
    Floats,
    Shape,
    check_array,
    check_same_robot,
    make_observation,
    one_sign,
    quaternion_from_euler,
)
from mode_ros.training.data.frames import Frame, LeftOut
from mode_ros.training.data.recordings import About, Progress, Recording, RecordingProblem

_CONTRACT = Path(__file__).with_name('calvin_panda.yaml')
_SPANS, _WORDS = 'ep_start_end_ids.npy', Path('lang_annotations/auto_lang_ann.npy')
_ACTION_SCALE = np.array([0.02, 0.02, 0.02, 0.05, 0.05, 0.05, -1.0])
_NEEDED: dict[str, Shape] = {'rgb_static': PICTURE, 'rgb_gripper': PICTURE, 'robot_obs': (None,), 'rel_actions': (7,)}
_LEAST_OF_ROBOT = 14


def is_calvin(path: Path) -> bool:
    """Whether the folder holds numbered episode files with their index."""
    return path.is_dir() and (path / _SPANS).is_file() and next(path.glob('episode_*.npz'), None) is not None


def calvin_recordings(path: Path) -> list[Recording]:
    """A recording per described span; without descriptions, one per episode, whose goal the user gives."""
    try:
        if (path / _WORDS).is_file():
            notes = _load_words(path / _WORDS)
            words, spans = notes['language']['ann'], notes['info']['indx']
        else:
            spans = np.load(path / _SPANS, allow_pickle=False)
            words = [''] * len(spans)
        named = list(zip(words, spans, strict=True))
        return [CalvinRecording(path, int(first), int(last), str(text)) for text, (first, last) in named]
    except (OSError, ValueError, KeyError, TypeError, EOFError, pickle.UnpicklingError) as error:
        return [CalvinRecording(path, 0, -1, '', f'its index cannot be read: {in_words(error)}')]


class CalvinRecording(Recording):
    """The periods `first` to `last`, both included."""

    def __init__(self, path: Path, first: int, last: int, words: str, problem: str = '') -> None:
        self.path, self.name = path, f'{path.name}#{first}-{last}'
        self._first, self._last, self._words, self._problem = first, last, words, problem

    def key(self) -> str:
        """As in Recording: the words, the numbers, and the ends of the span."""
        digest = hashlib.sha256(f'{self._first} {self._last} {self._words}\0'.encode())
        for number in (self._first, self._last):
            path = self._file(number)
            if path.is_file():
                digest.update(path.read_bytes())
        return digest.hexdigest()[:24]

    def seconds(self) -> float:
        """As in Recording."""
        return (self._last + 1 - self._first) / self._own.rate

    def contract(self) -> tuple[Contract, str]:
        """As in Recording."""
        return self._own, read_contract_text(_CONTRACT)

    @cached_property
    def _own(self) -> Contract:
        return load_contract(_CONTRACT)

    def _file(self, number: int) -> Path:
        return self.path / f'episode_{number:07d}.npz'

    def read(self, contract: Contract, goal: str, about: About, progress: Progress) -> Iterator[Frame | LeftOut]:
        """As in Recording."""
        if self._problem:
            raise RecordingProblem(self._problem)
        check_same_robot(contract, self._own)
        goal = goal or self._words
        if not goal:
            raise RecordingProblem('nobody described it in words; give a goal with --goal')
        yield from one_sign(self._frames(contract, goal, progress), 'end_effector')

    def _frames(self, contract: Contract, goal: str, progress: Progress) -> Iterator[Frame]:
        for row, number in enumerate(range(self._first, self._last + 1)):
            yield self._frame(contract, row, number, goal)
            progress(1.0 / contract.rate)

    def _frame(self, contract: Contract, row: int, number: int, goal: str) -> Frame:
        path = self._file(number)
        try:
            with np.load(path, allow_pickle=False) as archive:
                part = {name: archive[name] for name in _NEEDED}
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error) as error:
            raise RecordingProblem(f'{path.name} cannot be read: {in_words(error)}') from error
        for name, shape in _NEEDED.items():
            check_array(f'{path.name}: {name}', part[name], shape)
        if len(part['robot_obs']) < _LEAST_OF_ROBOT:
            raise RecordingProblem(f'{path.name}: robot_obs has {len(part["robot_obs"])} numbers, and not 15')
        robot = part['robot_obs'].astype(np.float64)
        states: dict[str, Floats] = {
            'joints': robot[7:14],
            'end_effector': np.concatenate([robot[:3], quaternion_from_euler(robot[3:6])]),
            'opening': robot[6:7],
        }
        images = {'static': part['rgb_static'], 'wrist': part['rgb_gripper']}
        action = part['rel_actions'].astype(np.float64) * _ACTION_SCALE
        if not np.isfinite(action).all():
            raise RecordingProblem(f'{path.name}: its action is not finite')
        return Frame(make_observation(contract, row, images, states), action, goal, intervention=False)


class _OnlyArrays(pickle.Unpickler):
    """CALVIN keeps its words as a pickled object. Nothing but arrays and plain values is made from it: a file from
    outside must not run code.
    """

    def find_class(self, module: str, name: str) -> Any:
        allowed = {
            ('multiarray', '_reconstruct'): np.empty(0).__reduce__()[0],
            ('multiarray', 'scalar'): np.float64(0).__reduce__()[0],
            ('numpy', 'ndarray'): np.ndarray,
            ('numpy', 'dtype'): np.dtype,
        }
        short = module.rpartition('.')[2]
        if module.partition('.')[0] == 'numpy' and (short, name) in allowed:
            return allowed[short, name]
        raise pickle.UnpicklingError(f'it asks for {module}.{name}, which is no array')


def _load_words(path: Path) -> Any:
    with path.open('rb') as file:
        _skip_header(file)
        loaded = _OnlyArrays(file).load()
    return loaded.item()


def _skip_header(file: IO[bytes]) -> None:
    version = np.lib.format.read_magic(file)
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    read(file)
