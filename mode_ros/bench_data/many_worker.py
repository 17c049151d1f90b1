"""The process that `bench-data --many` measures: recordings out of the air, converted, opened and edited."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from mode_ros.control.contract import Contract, parse_contract
from mode_ros.control.observation import Observation
from mode_ros.training.data.convert import Conversion
from mode_ros.training.data.dataset import open_dataset
from mode_ros.training.data.editing import edit
from mode_ros.training.data.recordings import About, Progress, Recording
from mode_ros.training.data.resample import Frame, LeftOut
from mode_ros.training.data.staging import Settings
from mode_ros.with_parent import end_with_parent

FRAMES = 12
CONTRACT = """
robot: bench
rate: 10.0
observation:
  states:
    - {name: joints, topic: joint_states, type: joint_state, names: [a, b], unit: rad, max_age: 0.2}
action:
  - name: arm
    kind: absolute
    dimensions:
      - {name: a, unit: rad, lower: -2.0, upper: 2.0}
      - {name: b, unit: rad, lower: -2.0, upper: 2.0}
    output: {adapter: joint_trajectory, topic: arm/trajectory}
"""


class Tiny(Recording):
    """A recording of a second. read_at: seconds of a core at which each was begun to be read."""

    def __init__(self, number: int, read_at: list[float]) -> None:
        self.name, self.path, self._number = f'recording_{number:06d}', Path(f'recording_{number:06d}'), number
        self._read_at = read_at

    def key(self) -> str:
        """Its number."""
        return f'{self._number:032x}'

    def seconds(self) -> float:
        """Its length."""
        return FRAMES / 10

    def contract(self) -> tuple[Contract, str] | None:
        """The benchmark's."""
        return parse_contract(CONTRACT, 'of the benchmark'), CONTRACT

    def read(self, contract: Contract, goal: str, about: About, progress: Progress) -> Iterator[Frame | LeftOut]:
        """Random numbers."""
        self._read_at.append(time.process_time())
        values = np.random.default_rng(self._number).normal(0, 0.3, (FRAMES, 2)).clip(-2, 2)
        for row, value in enumerate(values):
            yield Frame(
                Observation(row * contract.period, {}, {'joints': value}), value, f'task {self._number % 20}', False
            )


def main(count: int, folder: Path) -> dict[str, float]:
    """Milliseconds of a core per episode and step, and kilobytes per episode at the end.

    `stage` is the part of converting that reads a recording and writes its episodes, of the first and the last tenth.
    """
    folder.mkdir(parents=True)
    read_at: list[float] = []
    before, begin = _memory(), time.process_time()
    with Conversion(folder / 'data', Settings(CONTRACT), 'bench') as conversion:
        conversion.run([Tiny(number, read_at) for number in range(count)], 1, strict=True)
    converted = time.process_time()
    data = open_dataset(folder / 'data', 4)
    opened = time.process_time()
    after = _memory()
    assert len(data) == count * FRAMES
    edit(folder / 'data', drop=[0])
    edited = time.process_time()
    steps = {'convert': converted - begin, 'open': opened - converted, 'edit': edited - opened}
    tenth = count // 10
    parts = {'stage, first tenth': read_at[tenth] - read_at[0], 'stage, last tenth': read_at[-1] - read_at[-1 - tenth]}
    return {
        **{f'{name} (ms)': 1e3 * seconds / tenth for name, seconds in parts.items()},
        **{f'{name} (ms)': 1e3 * seconds / count for name, seconds in steps.items()},
        'memory (KB)': (after - before) / 1e3 / count,
    }


def _memory() -> int:
    """Bytes that this process has at the moment."""
    return int(Path('/proc/self/statm').read_text().split()[1]) * 4096


if __name__ == '__main__':
    end_with_parent()
    print(json.dumps(main(int(sys.argv[1]), Path(sys.argv[2]))))
