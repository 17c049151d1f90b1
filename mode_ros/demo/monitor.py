"""A node that only listens: what the demo shows comes from topics, as any other observer would see it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from diagnostic_msgs.msg import DiagnosticArray
from numpy.typing import NDArray
from rclpy.node import Node
from rclpy.parameter import Parameter
from sensor_msgs.msg import CompressedImage, Image
from std_msgs.msg import Bool, String
from trajectory_msgs.msg import JointTrajectory

from mode_ros.control.contract import NANOSECONDS, Camera, Contract
from mode_ros.control.depth import as_rgb
from mode_ros.control.observation import Unusable
from mode_ros.messages.images import decode_image, image_class
from mode_ros.messages.stamps import to_nanoseconds
from mode_ros.nodes.goal_speaker import GoalSpeaker
from mode_ros.nodes.qos import COMMAND, LATCHED, SENSOR

Frame = dict[str, NDArray[np.uint8]]


@dataclass
class Seen:
    """What has been seen so far. frames: camera name to RGB image, one dictionary per image of the first camera."""

    goal: str = ''
    success: bool = False
    first_chunk: int | None = None
    chunks: int = 0
    frames: list[Frame] = field(default_factory=list)
    diagnostics: dict[str, dict[str, str]] = field(default_factory=dict)
    messages: dict[str, str] = field(default_factory=dict)


class Monitor(Node):
    """Subscribes to the contract's cameras, the goal, chunks, success and /diagnostics."""

    def __init__(self, contract: Contract) -> None:
        super().__init__('demo_monitor', parameter_overrides=[Parameter('use_sim_time', value=True)])
        self.seen = Seen()
        self.filming = True
        self._latest: Frame = {}
        self._cameras = [camera.name for camera in contract.observation.cameras]
        for camera in contract.observation.cameras:
            self.create_subscription(image_class(camera), camera.topic, self._on_image(camera), SENSOR)
        self.goals = GoalSpeaker(self, contract.goal_topic)
        self.create_subscription(String, contract.goal_topic, self._on_goal, LATCHED)
        self.create_subscription(JointTrajectory, 'action_chunk', self._on_chunk, COMMAND)
        self.create_subscription(Bool, 'success', self._on_success, LATCHED)
        self.create_subscription(DiagnosticArray, '/diagnostics', self._on_diagnostics, 10)

    @property
    def episode_seconds(self) -> float:
        """Seconds on the ROS clock since the first chunk's observation, 0 before."""
        if self.seen.first_chunk is None:
            return 0.0
        return float(self.get_clock().now().nanoseconds - self.seen.first_chunk) / NANOSECONDS

    def value(self, node: str, key: str) -> str:
        """The newest value of a diagnostic, '' before the first."""
        return self.seen.diagnostics.get(node, {}).get(key, '')

    def _on_image(self, camera: Camera) -> Callable[[Image | CompressedImage], None]:
        def take(message: Image | CompressedImage) -> None:
            try:
                self._latest[camera.name] = as_rgb(decode_image(message, camera))
            except Unusable:
                return
            complete = len(self._latest) == len(self._cameras)
            begun = self.seen.first_chunk is not None
            if self.filming and camera.name == self._cameras[0] and complete and begun:
                # In the contract's order, whichever camera was heard first.
                self.seen.frames.append({name: self._latest[name] for name in self._cameras})

        return take

    def _on_goal(self, message: String) -> None:
        self.seen.goal = message.data

    def _on_chunk(self, message: JointTrajectory) -> None:
        self.seen.chunks += 1
        if self.seen.first_chunk is None:
            self.seen.first_chunk = to_nanoseconds(message.header.stamp)

    def _on_success(self, message: Bool) -> None:
        self.seen.success = message.data

    def _on_diagnostics(self, message: DiagnosticArray) -> None:
        for status in message.status:
            name = status.name.rsplit('/', 1)[-1]
            self.seen.diagnostics[name] = {item.key: item.value for item in status.values}
            self.seen.messages[name] = status.message
