"""Recording: two raw 640x480 cameras at 30 Hz and joints at 100 Hz, over DDS, into the real recorder_node."""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mode_ros.bench_data.outcome import Outcome
from mode_ros.bench_data.transport import with_transport
from mode_ros.errors import UserError
from mode_ros.with_parent import ending_with_us

NAME = 'record'
HELP = 'messages lost by the recorder with two raw 640x480 cameras at 30 Hz and joints at 100 Hz'

START_SECONDS = 30.0

CONTRACT = """
robot: bench
rate: 30.0
observation:
  cameras:
    - {name: camera_0, topic: bench/camera_0, width: 640, height: 480, max_age: 1.0}
    - {name: camera_1, topic: bench/camera_1, width: 640, height: 480, max_age: 1.0}
  states:
    - name: joints
      topic: bench/joint_states
      type: joint_state
      names: [joint_0, joint_1, joint_2, joint_3, joint_4, joint_5, joint_6]
      unit: rad
      max_age: 1.0
action:
  - name: arm
    kind: absolute
    dimensions: [{name: joint_0, unit: rad, lower: -3.0, upper: 3.0}]
    output: {adapter: forward_command, topic: bench/command}
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the benchmark's own options."""
    parser.add_argument('--seconds', type=float, default=60.0, help='how long to record (default 60)')
    parser.add_argument(
        '--reliability', choices=('reliable', 'best_effort'), default='reliable', help='of the cameras and joints'
    )
    parser.add_argument(
        '--transport',
        choices=('large', 'default'),
        default='large',
        help="shared memory of the publisher: config/fastdds.xml, or Fast DDS's own (default: large)",
    )
    parser.add_argument('--folder', type=Path, help='where to record, 55 MB/s (default: a temporary folder)')
    parser.add_argument('--keep', action='store_true', help='keep the bag')


@dataclass(frozen=True)
class _Stream:
    """What the bag holds of a topic. lost: numbers missing between the first and the last."""

    messages: int
    lost: int


def measure(arguments: argparse.Namespace) -> Outcome:
    """Records, and reads the bag to see what is missing."""
    if not 1.0 <= arguments.seconds <= 3600.0:
        raise UserError(f'--seconds {arguments.seconds:g} is out of range; give 1 to 3600.')
    with _folder(arguments) as folder:
        answer, cpu, robot = _record(arguments, folder)
        bag = folder / 'recordings' / 'episode_000000'
        if not bag.exists():
            raise UserError(f'The recorder finished no episode: {answer}')
        streams, told = _read(bag)
        size = sum(path.stat().st_size for path in bag.iterdir())
        if arguments.keep:
            print(f'the bag is {bag}')
    lost = sum(stream.lost for stream in streams.values())
    rows = [
        (topic, f'{stream.messages} recorded, {stream.messages / arguments.seconds:.1f} Hz, {stream.lost} lost')
        for topic, stream in streams.items()
    ]
    rows += [
        ('recorder said', answer),
        ('rate', f'{size / 1e6 / arguments.seconds:.1f} MB/s, {size / 1e6:.0f} MB'),
        ('CPU of the recorder', f'{100 * cpu / arguments.seconds:.0f} % of one core'),
        (
            'robot',
            f'{arguments.reliability}, at most {robot["latest (ms)"]} ms late, {sum(robot["skipped"])} frames not made',
        ),
    ]
    numbers = {
        'seconds': arguments.seconds,
        'reliability': arguments.reliability,
        'transport': arguments.transport,
        'recorded': {topic: stream.messages for topic, stream in streams.items()},
        'lost': {topic: stream.lost for topic, stream in streams.items()},
        'lost as counted by the recorder': told,
        'MB/s': round(size / 1e6 / arguments.seconds, 1),
        'recorder CPU (share of a core)': round(cpu / arguments.seconds, 3),
        'robot': robot,
    }
    return Outcome(tuple(rows), numbers, reached=lost == 0)


@contextlib.contextmanager
def _folder(arguments: argparse.Namespace) -> Iterator[Path]:
    parent = arguments.folder
    if parent is not None:
        parent.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix='mode_ros_bench_', dir=parent))
    try:
        need = (60e6 * arguments.seconds + 1.1e9) / 1e9
        free = shutil.disk_usage(folder).free / 1e9
        if free < need:
            raise UserError(f'{folder.parent} has {free:.1f} GB left and {need:.1f} are needed; give another --folder.')
        yield folder
    finally:
        if not arguments.keep:
            shutil.rmtree(folder, ignore_errors=True)


def _record(arguments: argparse.Namespace, folder: Path) -> tuple[str, float, Mapping[str, Any]]:
    """What the recorder said in the end, its CPU seconds while it recorded, and what the robot says of itself."""
    import rclpy
    from rclpy.signals import SignalHandlerOptions

    from mode_ros.bringup.nodes import NodeSpec
    from mode_ros.bringup.processes import Processes, isolated
    from mode_ros.paths import share_folder

    environment = {**os.environ, **isolated(os.environ)}
    contract = folder / 'contract.yaml'
    contract.write_text(CONTRACT)
    recorder = NodeSpec(
        'recorder_node',
        {'contract': str(contract), 'folder': str(folder / 'recordings'), 'require_goal': False},
    )
    settings = share_folder() / 'config'
    os.environ.update(environment)
    rclpy.init(args=[], signal_handler_options=SignalHandlerOptions.NO)
    try:
        with (
            Processes([recorder], settings / 'nodes.yaml', folder / 'logs', environment) as processes,
            _robot(arguments, environment) as robot,
        ):
            answer, cpu = _episode(arguments.seconds, processes)
            robot.send_signal(signal.SIGINT)
            return answer, cpu, json.loads(robot.communicate(timeout=10.0)[0])
    finally:
        rclpy.try_shutdown()


@contextlib.contextmanager
def _robot(arguments: argparse.Namespace, environment: Mapping[str, str]) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [sys.executable, '-m', 'mode_ros.bench_data.publisher', '--reliability', arguments.reliability],
        env=ending_with_us(with_transport(environment, arguments.transport == 'large')),
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def _episode(seconds: float, processes: Any) -> tuple[str, float]:
    import rclpy
    from std_srvs.srv import Trigger

    node = rclpy.create_node('bench_operator')

    # Both found before the start: finding a service takes half a second.
    clients = {name: node.create_client(Trigger, f'recorder_node/{name}') for name in ('start', 'stop')}

    def call(name: str) -> Any:
        future = clients[name].call_async(Trigger.Request())
        rclpy.spin_until_future_complete(node, future, timeout_sec=90.0)
        return future.result()

    try:
        if not all(client.wait_for_service(START_SECONDS) for client in clients.values()):
            raise UserError(f'The recorder did not start:\n{processes.log("recorder_node").read_text()}')
        deadline = time.monotonic() + START_SECONDS
        while not (answer := call('start')).success:
            if time.monotonic() > deadline:
                raise UserError(f'The recorder did not start: {answer.message}')
            time.sleep(0.5)
        before = _cpu_seconds(processes.pid('recorder_node'))
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            if sys.stdout.isatty():
                print(f'\rrecording, {left:3.0f} s to go ', end='', flush=True)
            time.sleep(min(left, 1.0))
        if sys.stdout.isatty():
            print('\r\x1b[K', end='', flush=True)
        answer = call('stop')
        return answer.message, _cpu_seconds(processes.pid('recorder_node')) - before
    finally:
        node.destroy_node()


def _cpu_seconds(process: int) -> float:
    # The name, in parentheses, may hold anything; user and system time are the 12th and 13th field behind it.
    fields = Path(f'/proc/{process}/stat').read_text().rpartition(')')[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf('SC_CLK_TCK')


def _read(bag: Path) -> tuple[dict[str, _Stream], Mapping[str, int]]:
    from rosbags.rosbag2 import Reader

    from mode_ros.recording.episode import Episode

    numbers: dict[str, list[int]] = {}
    with Reader(bag) as reader:
        episode = Episode.from_custom_data(reader.storage.metadata.custom, str(bag))
        streams = [connection for connection in reader.connections if connection.topic.startswith('/bench/')]
        for connection, _, data in reader.messages(streams):
            numbers.setdefault(connection.topic, []).append(_number(data))
    found = {topic: _Stream(len(seen), max(seen) - min(seen) + 1 - len(set(seen))) for topic, seen in numbers.items()}
    return dict(sorted(found.items())), {} if episode is None else episode.drops


def _number(data: bytes) -> int:
    # Behind four bytes of byte order and eight of stamp: the length of frame_id, with its closing zero, and the text.
    (length,) = struct.unpack_from('<I', data, 12)
    return int(bytes(data[16 : 16 + length - 1]))
