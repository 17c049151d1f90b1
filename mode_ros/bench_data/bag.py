"""A bag for the benchmarks of conversion and loading: moving pictures with a camera's noise, joints and commands."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rosbags.rosbag2 import StoragePlugin, Writer
from rosbags.typesys import Stores, get_typestore

from mode_ros.control.contract import NANOSECONDS
from mode_ros.recording.episode import Episode

CAMERAS = ('static', 'wrist')
JOINTS = tuple(f'joint_{number}' for number in range(7))
CAMERA_RATE, JOINT_RATE = 30, 100
# Standard deviation of the noise, in grey levels: without it, a video codec has nearly nothing to do.
NOISE = 3.0
# Different pictures; they repeat after that.
PICTURES = 90
_START = 1_700_000_000 * NANOSECONDS
_TICKS = 300  # per second: where the two rates meet

_CONTRACT = """
robot: bench
rate: 30.0
observation:
  cameras:
    - {{name: static, topic: static/image, width: {width}, height: {height}, max_age: 0.3}}
    - {{name: wrist, topic: wrist/image, width: {width}, height: {height}, max_age: 0.3}}
  states:
    - name: joints
      topic: joint_states
      type: joint_state
      names: [joint_0, joint_1, joint_2, joint_3, joint_4, joint_5, joint_6]
      unit: rad
      max_age: 0.2
action:
  - name: arm
    kind: absolute
    dimensions: [{{name: joint_0, unit: rad, lower: -3.0, upper: 3.0}}]
    output: {{adapter: forward_command, topic: arm/command}}
"""


def write_bag(path: Path, seconds: float, width: int, height: int) -> int:
    """Writes the bag and returns its size in bytes."""
    types = get_typestore(Stores.ROS2_JAZZY)
    maker = _Messages(types, width, height)
    writer = Writer(path, version=8, storage_plugin=StoragePlugin.MCAP)
    episode = Episode(contract_text=_CONTRACT.format(width=width, height=height), goal='do nothing', success=True)
    for key, value in episode.to_custom_data().items():
        writer.set_custom_data(key, value)
    with writer:

        def connect(topic: str, kind: str) -> Any:
            return writer.add_connection(topic, kind, typestore=types)

        cameras = [connect(f'/{name}/image', 'sensor_msgs/msg/Image') for name in CAMERAS]
        joints = connect('/joint_states', 'sensor_msgs/msg/JointState')
        commands = connect('/arm/command', 'std_msgs/msg/Float64MultiArray')
        for tick in range(round(seconds * _TICKS)):
            time = _START + tick * NANOSECONDS // _TICKS
            if tick % (_TICKS // CAMERA_RATE) == 0:
                picture = tick // (_TICKS // CAMERA_RATE)
                for shift, connection in enumerate(cameras):
                    writer.write(connection, time, maker.image(time, picture + shift * PICTURES // 3))
                writer.write(commands, time, maker.command())
            if tick % (_TICKS // JOINT_RATE) == 0:
                writer.write(joints, time, maker.joints(time, tick / _TICKS))
    return sum(item.stat().st_size for item in path.iterdir())


class _Messages:
    def __init__(self, types: Any, width: int, height: int) -> None:
        self._types, self._width, self._height = types, width, height
        self._pictures = list(pictures(PICTURES, width, height))

    def _make(self, kind: str, **fields: Any) -> Any:
        return self._types.types[kind](**fields)

    def _write(self, kind: str, **fields: Any) -> Any:
        return self._types.serialize_cdr(self._make(kind, **fields), kind)

    def _header(self, time: int) -> Any:
        stamp = self._make('builtin_interfaces/msg/Time', sec=time // NANOSECONDS, nanosec=time % NANOSECONDS)
        return self._make('std_msgs/msg/Header', stamp=stamp, frame_id='')

    def image(self, time: int, number: int) -> Any:
        return self._write(
            'sensor_msgs/msg/Image',
            header=self._header(time),
            height=self._height,
            width=self._width,
            encoding='rgb8',
            is_bigendian=0,
            step=3 * self._width,
            data=self._pictures[number % PICTURES].reshape(-1),
        )

    def joints(self, time: int, seconds: float) -> Any:
        nothing = np.zeros(0)
        position = np.sin(seconds + np.arange(len(JOINTS)))
        return self._write(
            'sensor_msgs/msg/JointState',
            header=self._header(time),
            name=list(JOINTS),
            position=position,
            velocity=nothing,
            effort=nothing,
        )

    def command(self) -> Any:
        layout = self._make('std_msgs/msg/MultiArrayLayout', dim=[], data_offset=0)
        return self._write('std_msgs/msg/Float64MultiArray', layout=layout, data=np.array([0.1]))


def pictures(count: int, width: int, height: int) -> Iterator[NDArray[np.uint8]]:
    """`count` RGB pictures [height, width, 3] of a moving pattern, each with the noise of a camera."""
    noise = np.random.default_rng(0).normal(0, NOISE, (height, width, 3))
    return (_picture(number, width, height, noise) for number in range(count))


def _picture(number: int, width: int, height: int, noise: NDArray[np.float64]) -> NDArray[np.uint8]:
    y, x = np.mgrid[0:height, 0:width]
    waves = 128 + 60 * np.sin((x + 3 * number) / 60)
    base = np.stack([(x * 0.2 + number) % 256, y * 0.4 % 256, waves], axis=-1)
    return np.clip(base + np.roll(noise, number * 37, axis=1), 0, 255).astype(np.uint8)
