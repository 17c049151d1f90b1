"""policy_node as a process of its own, with a robot's streams around it: start-up, chunk times, and its memory.

What a policy takes inside of another program says little about a robot: rclpy, DDS, cameras and the state buffers are
in the process too. Here all of it runs, and this process plays the robot and the controller.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rclpy.context import Context
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from std_msgs.msg import String
from trajectory_msgs.msg import JointTrajectory

from mode_ros.bench.memory import loads, peak_resident, resident
from mode_ros.bringup.nodes import NodeSpec
from mode_ros.bringup.processes import Processes, isolated
from mode_ros.control.contract import Contract, parse_contract
from mode_ros.control.request import ChunkRequest
from mode_ros.errors import UserError
from mode_ros.messages.chunks import decode_chunk, encode_request
from mode_ros.messages.images import encode_compressed_image, encode_image
from mode_ros.messages.states import MESSAGE_TYPES, encode_joint_state, encode_pose
from mode_ros.nodes.qos import COMMAND, LATCHED, SENSOR
from mode_ros.paths import share_folder
from mode_ros.policy.checkpoint_info import read_info
from mode_ros.policy.folder import CONTRACT, read_text
from mode_ros.policy.runtimes.choose import RunSettings, make_graph_where_it_serves

# Until the first chunk: torch's import and the weights from a slow disk.
START_SECONDS = 180.0
ANSWER_SECONDS = 30.0
_PLAYED = ('joint_state', 'pose')


@dataclass(frozen=True)
class Running:
    """What one policy_node took; seconds, bytes."""

    runtime: str
    ready: float  # from the start of its process to the first chunk
    chunks: tuple[float, ...]  # from a request to its chunk, messages and waiting for a picture included
    resident: int  # at the end
    peak: int
    torch: bool  # whether its process has torch in memory

    def row(self) -> str:
        """Of the table."""
        p50, p99 = (1000 * float(np.percentile(self.chunks, percent)) for percent in (50, 99))
        return (
            f'| {self.runtime} | {self.ready:.1f} | {p50:.0f} | {p99:.0f} | {self.resident / 1e6:.0f} | '
            f'{self.peak / 1e6:.0f} | {"yes" if self.torch else "no"} |'
        )


HEAD = (
    '| runtime | first chunk after (s) | request to chunk p50 | p99 (ms) | memory (MB) | at most (MB) | torch |\n'
    '|---|' + '--:|' * 5 + '---|'
)


def measure_nodes(checkpoint: Path, runtimes: Sequence[str], chunks: int, logs: Path) -> list[Running]:
    """policy_node with each runtime, one after the other, `chunks` chunks each. A graph that is missing is made before.

    Raises UserError for a contract whose streams cannot be played, and for a node that ends or does not answer.
    """
    contract = parse_contract(read_text(checkpoint / CONTRACT), f'{checkpoint}/contract.yaml')
    check_played(contract)
    if 'onnxruntime' in runtimes and (reason := make_graph_where_it_serves(checkpoint, RunSettings('cpu'), say=print)):
        raise UserError(f'A static graph cannot be measured: {reason}.')
    os.environ.update(isolated(os.environ))
    context = Context()
    context.init(args=[])
    try:
        return [_measure(contract, checkpoint, runtime, chunks, logs, context) for runtime in runtimes]
    finally:
        context.try_shutdown()


def check_played(contract: Contract) -> None:
    """Raises UserError for a contract with a stream that is not played here."""
    for camera in contract.observation.cameras:
        if camera.is_depth or camera.transport == 'ffmpeg':
            raise UserError(
                f'The camera {camera.name!r} gives depth or video, and this measurement plays colours, raw or '
                'compressed, alone: measure with a policy for another robot.'
            )
    for state in contract.observation.states:
        if state.type not in _PLAYED:
            raise UserError(
                f'The state {state.name!r} is of type {state.type}, and this measurement plays joint states and poses '
                'alone: measure with a policy for another robot.'
            )


def _measure(contract: Contract, checkpoint: Path, runtime: str, chunks: int, logs: Path, context: Context) -> Running:
    parameters = {
        'contract': str((checkpoint / CONTRACT).absolute()),
        'checkpoint': str(checkpoint.absolute()),
        'device': 'cpu',
        'runtime': runtime,
        'seed': 0,
    }
    goals = read_info(checkpoint).goals or ('open the drawer',)
    robot = _Robot(contract, goals[0], context)
    executor = SingleThreadedExecutor(context=context)
    executor.add_node(robot)
    taken = []
    try:
        begin = time.monotonic()
        with Processes(
            [NodeSpec('policy_node', parameters)], share_folder() / 'config' / 'nodes.yaml', logs / runtime
        ) as processes:

            def alive() -> None:
                if ended := processes.ended():
                    raise UserError(f'policy_node ended with status {ended["policy_node"]}: {_last(processes)}')

            _answer(robot, executor, 'first', START_SECONDS, alive)
            ready = time.monotonic() - begin
            for number in range(chunks):
                start = time.monotonic()
                _answer(robot, executor, f'{number}', ANSWER_SECONDS, alive)
                taken.append(time.monotonic() - start)
            pid = processes.pid('policy_node')
            return Running(runtime, ready, tuple(taken), resident(pid), peak_resident(pid), loads(pid, 'libtorch'))
    finally:
        executor.shutdown()
        robot.destroy_node()


def _answer(
    robot: _Robot, executor: SingleThreadedExecutor, identity: str, seconds: float, alive: Callable[[], None]
) -> None:
    """Ask for a chunk, again and again as a controller does, until it is there."""
    deadline = time.monotonic() + seconds
    again = 0.0
    while identity not in robot.answered:
        now = time.monotonic()
        if now > deadline:
            raise UserError(f'policy_node gave no chunk within {seconds:.0f} s: its log is beside the results.')
        if now > again:
            alive()
            robot.ask(identity)
            again = now + 0.5
        executor.spin_once(0.01)


def _last(processes: Processes) -> str:
    lines = processes.log('policy_node').read_text(encoding='utf-8', errors='replace').split('\n')
    return next((line for line in reversed(lines) if line.strip()), 'it said nothing')


class _Robot(Node):
    """Publishes every stream of a contract at its rate, noisy; says a goal, and asks for chunks."""

    def __init__(self, contract: Contract, goal: str, context: Context) -> None:
        super().__init__('bench_robot', context=context)
        self._contract = contract
        self._random = np.random.default_rng(0)
        self.answered: set[str] = set()
        self._sending: list[tuple[Any, Callable[[int], Any]]] = []
        for camera in contract.observation.cameras:
            encode = encode_compressed_image if camera.transport == 'compressed' else encode_image
            picture = self._random.integers(0, 256, (camera.height, camera.width, 3), dtype=np.uint8)
            publisher = self.create_publisher(type(encode(picture, 0, camera.name)), camera.topic, SENSOR)
            self._sending.append((publisher, partial(self._image, encode, picture, camera.name)))
        joints: dict[str, list[str]] = {}
        for state in contract.observation.states:
            if state.type == 'joint_state':
                joints.setdefault(state.topic, []).extend(state.names)
            else:
                self._sending.append((self.create_publisher(MESSAGE_TYPES['pose'], state.topic, SENSOR), self._pose))
        for topic, names in joints.items():
            publisher = self.create_publisher(MESSAGE_TYPES['joint_state'], topic, SENSOR)
            self._sending.append((publisher, partial(self._joints, names)))
        self._asking = self.create_publisher(JointTrajectory, 'chunk_request', COMMAND)
        self.create_publisher(String, contract.goal_topic, LATCHED).publish(String(data=goal))
        self.create_subscription(JointTrajectory, 'action_chunk', self._hear, COMMAND)
        self.create_timer(1 / contract.rate, self._send)

    def ask(self, identity: str) -> None:
        """For a chunk."""
        request = ChunkRequest(identity, self.get_clock().now().nanoseconds)
        self._asking.publish(encode_request(request, tuple(self._contract.action_names)))

    def _send(self) -> None:
        stamp = self.get_clock().now().nanoseconds
        for publisher, message in self._sending:
            publisher.publish(message(stamp))

    def _hear(self, message: Any) -> None:
        self.answered.add(decode_chunk(message).identity)

    def _image(self, encode: Callable[..., Any], picture: NDArray[np.uint8], name: str, stamp: int) -> Any:
        # Another one every time: a camera that shows the same one is taken for frozen.
        return encode(np.roll(picture, int(self._random.integers(1, picture.shape[1])), axis=1), stamp, name)

    def _joints(self, names: Sequence[str], stamp: int) -> Any:
        positions = self._random.normal(0.0, 1e-3, len(names))
        return encode_joint_state(names, positions, np.zeros(len(names)), stamp)

    def _pose(self, stamp: int) -> Any:
        position = self._random.normal(0.0, 1e-3, 3)
        return encode_pose(position, np.array([0.0, 0.0, 0.0, 1.0]), stamp, 'base')
