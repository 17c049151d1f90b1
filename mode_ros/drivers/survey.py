"""Looks at a running graph for what a contract needs."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import JointState
from std_msgs.msg import String

from mode_ros.control.kinematics import DESCRIPTION_TOPIC
from mode_ros.drivers import forward_command, joint_trajectory, pose, servo
from mode_ros.drivers.graph import that_are_set
from mode_ros.drivers.gripper import GRAPH_TYPES
from mode_ros.drivers.live import LiveGraph
from mode_ros.drivers.offer import Command, Survey
from mode_ros.drivers.urdf import joint_limits

_IMAGES = {'sensor_msgs/msg/Image': 'raw', 'sensor_msgs/msg/CompressedImage': 'compressed'}
# Topics that carry pictures of another kind than the contract's.
_NO_COLOUR = ('depth', 'infra', 'mask', 'compressedDepth', 'theora', 'disparity', 'confidence')


def survey(node: Node, seconds: float, description_topic: str = DESCRIPTION_TOPIC) -> Survey:
    """Listens for `seconds` of wall time. node: asks, and must not be spun by anybody else meanwhile."""
    heard: dict[str, list[str]] = {}
    descriptions: list[str] = []
    with LiveGraph(node) as graph:
        latched = QoSProfile(
            depth=1, reliability=ReliabilityPolicy.RELIABLE, durability=DurabilityPolicy.TRANSIENT_LOCAL
        )
        graph.listen(
            String, graph.resolve(description_topic), lambda message: descriptions.append(message.data), latched
        )
        listening: set[str] = set()
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            for topic, types in graph.topics().items():
                if 'sensor_msgs/msg/JointState' in types and topic not in listening and graph.publishers(topic):
                    listening.add(topic)
                    graph.listen(JointState, topic, _collector(heard, topic))
            graph.wait_until(lambda: False, min(0.2, seconds))
        topics = graph.topics()
        commands, unknown = _commands(graph, topics)
        found = Survey(
            cameras={
                topic: _IMAGES[types[0]]
                for topic, types in topics.items()
                if types[0] in _IMAGES and graph.publishers(topic) and not any(word in topic for word in _NO_COLOUR)
            },
            joints={topic: tuple(names) for topic, names in sorted(heard.items())},
            poses=tuple(
                topic
                for topic, types in topics.items()
                if 'geometry_msgs/msg/PoseStamped' in types and graph.publishers(topic)
            ),
            commands=(*commands, *_grippers(graph)),
            limits=joint_limits(descriptions[-1]) if descriptions else {},
            publishers={topic: count for topic in heard if (count := graph.publishers(topic)) > 1},
            unknown=unknown,
        )
    return found


def _collector(heard: dict[str, list[str]], topic: str) -> Any:
    def collect(message: JointState) -> None:
        known = heard.setdefault(topic, [])
        known.extend(name for name in message.name if name not in known)

    return collect


def _commands(graph: LiveGraph, topics: Mapping[str, tuple[str, ...]]) -> tuple[list[Command], dict[str, list[str]]]:
    """The drivers that were recognised, and by topic the nodes that were not."""
    kinds = {
        'trajectory_msgs/msg/JointTrajectory': 'joint_trajectory',
        'std_msgs/msg/Float64MultiArray': 'forward_command',
        'geometry_msgs/msg/TwistStamped': 'twist',
        'geometry_msgs/msg/PoseStamped': 'pose',
    }
    found: list[Command] = []
    unknown: dict[str, list[str]] = {}
    for topic, types in topics.items():
        adapter = kinds.get(types[0])
        for listener in graph.listeners(topic) if adapter is not None else ():
            command = _recognised(adapter, topic, listener, that_are_set(graph.parameters(listener)))
            if command is not None:
                found.append(command)
            else:
                unknown.setdefault(topic, []).append(listener)
    return found, unknown


def _recognised(adapter: str | None, topic: str, node: str, parameters: Mapping[str, Any]) -> Command | None:
    if adapter == 'joint_trajectory' and joint_trajectory.recognises(parameters):
        return Command(adapter, topic, node, joints=tuple(parameters['joints']))
    if adapter == 'forward_command' and forward_command.recognises(parameters) and 'joints' in parameters:
        interface = str(parameters.get('interface_name', ''))
        return Command(adapter, topic, node, joints=tuple(parameters['joints']), interface=interface)
    if adapter in ('twist', 'pose') and servo.recognises(parameters):
        return Command(adapter, topic, node)
    if adapter == 'pose' and pose.recognises(parameters):
        frame = parameters.get('base_frame') or parameters.get('robot_base_link') or ''
        return Command(adapter, topic, node, frame=str(frame))
    return None


def _grippers(graph: LiveGraph) -> list[Command]:
    found = []
    for name, kind in graph.all_actions().items():
        if kind in GRAPH_TYPES:
            node = name.rsplit('/', 1)[0]
            parameters = graph.parameters(node) or {}
            joints = (str(parameters['joint']),) if parameters.get('joint') else ()
            found.append(Command('gripper_command', name, node, joints=joints, action_type=kind.rsplit('/', 1)[1]))
    return found
