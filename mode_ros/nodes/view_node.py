"""Shows what the robot is about to do: the planned path for RViz, an annotated camera image for rqt and RViz.

A process of its own that only listens, so that looking does not slow the control; what nobody looks at is not drawn.
"""

from __future__ import annotations

import importlib
import os
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from diagnostic_msgs.msg import DiagnosticArray
from numpy.typing import NDArray
from rclpy.clock import Clock, ClockType
from rclpy.node import Node
from rclpy.serialization import deserialize_message
from sensor_msgs.msg import CompressedImage, Image
from std_msgs.msg import String
from trajectory_msgs.msg import JointTrajectory

from mode_ros.ahead.drawing import PAST_SECONDS, Row, Scene, draw
from mode_ros.ahead.path import Measured, Paths
from mode_ros.ahead.schedule import History, Schedule
from mode_ros.control.chunk import ChunkRejected, check_chunk
from mode_ros.control.contract import NANOSECONDS, ActionGroup, Camera, Contract, State
from mode_ros.control.depth import as_rgb
from mode_ros.control.kinematics import DESCRIPTION_TOPIC, RobotModel
from mode_ros.control.observation import Unusable
from mode_ros.errors import UserError
from mode_ros.messages import commands, states
from mode_ros.messages.chunks import decode_request
from mode_ros.messages.images import decode_image, encode_compressed_image, encode_image, image_class
from mode_ros.messages.states import concerns, decode_state
from mode_ros.nodes.parameters import parameter, read_parameters
from mode_ros.nodes.process import run_node
from mode_ros.nodes.qos import COMMAND, LATCHED, SENSOR, subscribe_latched
from mode_ros.nodes.serialized import decode_serialized_chunk
from mode_ros.page.told import Told, read_object
from mode_ros.robots import load_named_contract

MARKERS_MISSING = (
    'visualization_msgs is not installed, so the planned path is not shown; the image is. Type: '
    'sudo apt install ros-$ROS_DISTRO-visualization-msgs, or pip install ros-jazzy-visualization-msgs'
)


@dataclass(frozen=True)
class ViewParameters:
    contract: str = parameter('', 'Robot contract: a name in config/robots, or the path of a YAML file.')
    camera: str = parameter('', "Which of the contract's cameras; empty: the first.")
    link: str = parameter('', "Of joints: the link whose path is drawn, where the contract's box names none.")
    rate: float = parameter(10.0, 'Pictures and paths per second at most.', unit='Hz', minimum=0.2, maximum=60.0)
    controller: str = parameter('controller_node', 'The controller whose diagnostics are read.')


class ViewNode(Node):
    """Node `view_node`."""

    def __init__(self, **options: Any) -> None:
        super().__init__('view_node', automatically_declare_parameters_from_overrides=True, **options)
        self.parameters = given = read_parameters(self, ViewParameters)
        self._contract: Contract = load_named_contract(given.contract)[0]
        self._camera = _find_camera(self._contract, given.camera)
        self._schedule = Schedule(self._contract.period)
        self._paths = Paths(self._contract, given.link)
        self._history = History(len(self._contract.dimensions), round(PAST_SECONDS * NANOSECONDS))
        self._measured: dict[str, Measured] = {}
        self._told = Told({'controller': given.controller})
        self._goal, self._picture, self._missing = '', b'', ''
        self._safety: Mapping[str, Any] = {}
        # As image_transport has it: the compressed one is a twentieth of the bytes.
        self._image = self.create_publisher(Image, '~/image', 1)
        self._compressed = self.create_publisher(CompressedImage, '~/image/compressed', 1)
        self._markers, self._path = _markers(), None
        if self._markers is None:
            self.get_logger().warning(MARKERS_MISSING)
        else:
            self._path = self.create_publisher(self._markers.MESSAGE_TYPE, '~/path', 1)
        self._listen()
        self.create_timer(1.0 / given.rate, self._show, clock=Clock(clock_type=ClockType.STEADY_TIME))

    # ---- what is heard ----------------------------------------------------------------------------------------

    def _listen(self) -> None:
        contract = self._contract
        self.create_subscription(JointTrajectory, 'chunk_request', self._on_request, COMMAND)
        self.create_subscription(JointTrajectory, 'action_chunk', self._on_chunk, COMMAND, raw=True)
        self.create_subscription(DiagnosticArray, '/diagnostics', self._on_diagnostics, 10)
        self.create_subscription(String, 'safety_state', self._on_safety, LATCHED)
        subscribe_latched(self, String, contract.goal_topic, self._on_goal)
        for topic, groups in contract.outputs.items():
            kind = commands.MESSAGE_TYPES[groups[0].output.adapter]
            self.create_subscription(kind, topic, partial(self._on_command, groups), SENSOR)
        by_topic: dict[tuple[str, str], list[State]] = defaultdict(list)
        for state in contract.observation.states:
            by_topic[state.topic, state.type].append(state)
        for (topic, type_name), streams in by_topic.items():
            self.create_subscription(states.MESSAGE_TYPES[type_name], topic, partial(self._on_state, streams), SENSOR)
        if self._camera is not None:
            # As bytes: only those that are drawn are made into pictures.
            self.create_subscription(image_class(self._camera), self._camera.topic, self._on_image, SENSOR, raw=True)
        if self._paths.needs_description:
            subscribe_latched(self, String, DESCRIPTION_TOPIC, self._on_description)

    def _on_request(self, message: JointTrajectory) -> None:
        try:
            self._schedule.request(decode_request(message))
        except UserError as error:
            self.get_logger().warning(str(error), throttle_duration_sec=5.0)

    def _on_chunk(self, data: bytes) -> None:
        contract = self._contract
        try:
            chunk = decode_serialized_chunk(data, contract.max_chunk_length, len(contract.action_names))
            check_chunk(chunk, contract)
        except ChunkRejected:
            return  # the controller says so
        if not self._safety.get('stopped'):
            self._schedule.chunk(chunk, self._now())

    def _on_diagnostics(self, message: DiagnosticArray) -> None:
        self._told.hear(message, time.monotonic(), self.get_namespace())

    def _on_safety(self, message: String) -> None:
        self._safety = read_object(message.data) or {}
        if self._safety.get('stopped'):
            self._schedule.clear()

    def _on_goal(self, message: String) -> None:
        self._goal = message.data

    def _on_command(self, groups: Sequence[ActionGroup], message: Any) -> None:
        for group in groups:
            try:
                values = commands.decode_command(message, group, self._contract.period_seconds)
            except Unusable:
                continue  # of other joints
            self._history.add(self._now(), self._contract.group_slices[group.name], values)

    def _on_state(self, streams: Sequence[State], message: Any) -> None:
        for state in streams:
            if not concerns(message, state):
                continue
            try:
                frame = message.header.frame_id if state.type == 'pose' else ''
                self._measured[state.name] = Measured(decode_state(message, state), frame)
            except Unusable:
                self._measured.pop(state.name, None)

    def _on_image(self, data: bytes) -> None:
        self._picture = data

    def _on_description(self, message: String) -> None:
        folders = [f'{prefix}/share' for prefix in os.environ.get('AMENT_PREFIX_PATH', '').split(os.pathsep) if prefix]
        try:
            self._paths.model = RobotModel(message.data, folders)
        except UserError as error:
            self.get_logger().warning(f'{error} The path of joints is not shown.')

    # ---- what is shown ----------------------------------------------------------------------------------------

    def _show(self) -> None:
        now = self._now()
        planned = self._schedule.planned
        ahead: NDArray[np.float64] = np.zeros((0, len(self._contract.dimensions)))
        decided = 0
        if planned is not None:
            ahead, decided = planned.ahead(now)
        told = self._told.now(time.monotonic())['controller']
        if self._path is not None and self._path.get_subscription_count() > 0:
            self._show_path(ahead, decided, told, now)
        wanted = {each: each.get_subscription_count() > 0 for each in (self._image, self._compressed)}
        if any(wanted.values()):
            drawn, frame = draw(self._scene(ahead, decided, told, now)), self._camera.name if self._camera else 'view'
            if wanted[self._image]:
                self._image.publish(encode_image(drawn, now, frame))
            if wanted[self._compressed]:
                self._compressed.publish(encode_compressed_image(drawn, now, frame))

    def _show_path(self, ahead: NDArray[np.float64], decided: int, told: Mapping[str, Any], now: int) -> None:
        paths = self._paths.of(ahead, decided, self._measured) if len(ahead) else []
        missing = '; '.join(f'{group}: {what}' for group, what in self._paths.missing.items())
        if missing != self._missing:
            self._missing = missing
            if missing:
                self.get_logger().warning(f'no path of {missing}')
        words = f'{self._goal}\n{_words(told["values"])}'
        assert self._markers is not None
        assert self._path is not None
        markers = [
            marker
            for path in paths
            for marker in self._markers.encode_path(path.group, path.frame, path.points, path.decided, words, now)
        ]
        self._path.publish(self._markers.encode_paths(markers))

    def _scene(self, ahead: NDArray[np.float64], decided: int, told: Mapping[str, Any], now: int) -> Scene:
        times, past = self._history.since(now - round(PAST_SECONDS * NANOSECONDS))
        rows = [
            Row(dimension.name, dimension.unit, dimension.lower, dimension.upper, past[:, place], ahead[:, place])
            for place, dimension in enumerate(self._contract.dimensions)
        ]
        picture, camera = self._decoded()
        stopped = str(self._safety.get('reason') or 'no reason told') if self._safety.get('stopped') else ''
        seconds = (times - now) / NANOSECONDS
        period = self._contract.period_seconds
        well = told['level'] == 'ok'
        words = _words(told['values'])
        return Scene(picture, camera, self._goal, told['words'], well, words, stopped, rows, seconds, period, decided)

    def _decoded(self) -> tuple[NDArray[np.uint8] | None, str]:
        """The newest image, or why there is none."""
        camera = self._camera
        if camera is None:
            return None, 'the contract has no camera'
        if not self._picture:
            return None, f'{camera.topic}: no image yet'
        try:
            return as_rgb(decode_image(deserialize_message(self._picture, image_class(camera)), camera)), ''
        except Exception as error:  # noqa: BLE001 - whatever was sent as an image
            return None, f'{camera.topic}: {error}'

    def _now(self) -> int:
        return int(self.get_clock().now().nanoseconds)


def _markers() -> Any:
    """The module that makes markers, None where visualization_msgs is missing."""
    try:
        return importlib.import_module('mode_ros.messages.markers')
    except ModuleNotFoundError:
        return None


def _find_camera(contract: Contract, name: str) -> Camera | None:
    """Raises UserError for a name that is none of the contract's."""
    cameras = {camera.name: camera for camera in contract.observation.cameras}
    if not name:
        return next(iter(cameras.values()), None)
    if name not in cameras:
        raise UserError(f'The contract has no camera {name!r}, which view_node is to show; it has {sorted(cameras)}.')
    return cameras[name]


def _words(values: Mapping[str, str]) -> str:
    """Mode, delay, reserve, prefix, held share and seams, of the controller's diagnostics."""
    if not values:
        return ''
    delay, reserved = values.get('delay p50 (periods)') or '?', values.get('reserved (periods)') or '?'
    return (
        f'{values.get("mode", "?")} | delay {delay} of {reserved} reserved periods | prefix '
        f'{values.get("prefix (actions)", "?")} | held {values.get("held share (%)") or "?"} % | late '
        f'{values.get("chunks late", "?")}'
    )


def main() -> None:
    """Entry point of the executable `view_node`."""
    run_node(ViewNode)


if __name__ == '__main__':
    main()
