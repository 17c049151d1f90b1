"""LeRobotDataset v3.0 on disk: names of files, features and columns, in one place for writing and reading.

https://huggingface.co/docs/lerobot/lerobot-dataset-v3. Each episode has a file of its own in data/ and, per camera,
in videos/, which the format allows: adding episodes never rewrites one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mode_ros.control.depth import FARTHEST, NEAREST

VERSION = 'v3.0'
CHUNK_FILES = 1000
DATA_PATH = 'data/chunk-{chunk_index:03d}/file-{file_index:03d}.parquet'
VIDEO_PATH = 'videos/{video_key}/chunk-{chunk_index:03d}/file-{file_index:03d}.mp4'

INFO = Path('meta/info.json')
STATS = Path('meta/stats.json')
TASKS = Path('meta/tasks.parquet')
EPISODES = Path('meta/episodes/chunk-000/file-000.parquet')
CONTRACT = Path('meta/contract.yaml')
EXTRAS = Path('meta/mode_ros.json')
REPORT_PARTS = Path('meta/report')
REPORT_JSON = Path('report.json')
REPORT_PAGE = Path('report.html')

STATE = 'observation.state'
ACTION = 'action'
INTERVENTION = 'intervention'
IMAGE_PREFIX = 'observation.images.'


@dataclass(frozen=True)
class Layout:
    """What one row of a data set is made of.

    rate: rows per second; cameras: (name, width, height) each; streams: (name, names of its numbers) per state;
    groups: the same per group of the action; depth: nearest and farthest metres of those cameras
    that are of depth.
    """

    rate: float
    cameras: tuple[tuple[str, int, int], ...]
    streams: tuple[tuple[str, tuple[str, ...]], ...]
    groups: tuple[tuple[str, tuple[str, ...]], ...]
    depth: Mapping[str, tuple[float, float]] = field(default_factory=dict)

    @property
    def state_names(self) -> list[str]:
        """Names of the joined state vector, stream after stream."""
        return [f'{stream}.{name}' for stream, names in self.streams for name in names]

    @property
    def action(self) -> list[str]:
        """Names of the action's numbers, group after group."""
        return [name for _, names in self.groups for name in names]

    @property
    def fps(self) -> int | float:
        """The rate as LeRobot's info.json has it: whole where it can be."""
        return int(self.rate) if float(self.rate).is_integer() else self.rate

    def features(self, codec: str) -> dict[str, Any]:
        """info.json's `features`. codec: 'h264', 'av1' or 'png'."""
        found: dict[str, Any] = {}
        for name, width, height in self.cameras:
            if name in self.depth:
                found[IMAGE_PREFIX + name] = self._depth_feature(name, width, height)
                continue
            feature: dict[str, Any] = {
                'dtype': 'image' if codec == 'png' else 'video',
                'shape': [height, width, 3],
                'names': ['height', 'width', 'channels'],
            }
            if codec != 'png':
                feature['info'] = self._video_info(codec, width, height)
            found[IMAGE_PREFIX + name] = feature
        if self.streams:
            found[STATE] = _vector(self.state_names)
        found[ACTION] = _vector(self.action)
        found[INTERVENTION] = {'dtype': 'bool', 'shape': [1], 'names': None}
        found['timestamp'] = {'dtype': 'float32', 'shape': [1], 'names': None}
        for name in ('frame_index', 'episode_index', 'index', 'task_index'):
            found[name] = {'dtype': 'int64', 'shape': [1], 'names': None}
        return found

    def _depth_feature(self, name: str, width: int, height: int) -> dict[str, Any]:
        """Depth is kept in images whatever the codec: readers of videos give 8 bits of colours."""
        near, far = self.depth[name]
        return {
            'dtype': 'image',
            'shape': [height, width, 1],
            'names': ['height', 'width', 'channels'],
            'info': {'is_depth_map': True, 'near_m': near, 'far_m': far, 'codes': [NEAREST, FARTHEST]},
        }

    def _video_info(self, codec: str, width: int, height: int) -> dict[str, Any]:
        even = width % 2 == 0 and height % 2 == 0
        return {
            'video.height': height,
            'video.width': width,
            'video.codec': codec,
            'video.pix_fmt': 'yuv420p' if even else 'yuv444p',
            'video.is_depth_map': False,
            'video.fps': self.fps,
            'video.channels': 3,
            'has_audio': False,
        }


def _vector(names: Sequence[str]) -> dict[str, Any]:
    return {'dtype': 'float32', 'shape': [len(names)], 'names': list(names)}


def place(number: int) -> dict[str, int]:
    """Chunk and file of the episode with this number."""
    return {'chunk_index': number // CHUNK_FILES, 'file_index': number % CHUNK_FILES}
