"""A whole robot of mocks after its contract: a driver for every group, and whatever else the contract wants to hear."""

import numpy as np
from rclpy.node import Node
from support.mock_drivers import (
    MockCartesianController,
    MockForwardCommandController,
    MockJointTrajectoryController,
    MockServo,
)

from mode_ros.messages.states import MESSAGE_TYPES, encode_joint_state


def middle(group):
    return np.array([(dimension.lower + dimension.upper) / 2 for dimension in group.dimensions])


def mock_driver(contract, group):
    """The driver of a group as a node; None for a gripper's action, which is no topic."""
    topic = group.output.topic
    place, name = ('/' + topic).rsplit('/', 2)[:2]
    options = {'name': name, 'namespace': place or '/', 'joint_states': None}
    if group.output.adapter == 'joint_trajectory':
        good = {'interpolate_from_desired_state': True}
        return MockJointTrajectoryController(list(group.names), good, middle(group), **options)
    if group.output.adapter == 'forward_command':
        return MockForwardCommandController(list(group.names), **options)
    if group.output.adapter == 'twist':
        fit = {'command_in_type': 'speed_units', 'scale.linear': 1.0, 'scale.rotational': 2.0}
        return MockServo({f'moveit_servo.{key}': value for key, value in fit.items()}, **options)
    if group.output.adapter == 'pose':
        return MockCartesianController(group.output.frame_id, topic=topic)  # which says where the hand is
    return None


class Broadcaster(Node):
    """The robot's state, a message for each stream: joints where their drivers have them, all else standing still."""

    def __init__(self, contract, drivers, grippers):
        """grippers: by group, whatever has `positions`, filled when controller_node is configured."""
        super().__init__('joint_state_broadcaster')
        self.reports, self.grippers = [], grippers
        by_topic = {}
        posed = {contract.state(group.feedback).topic for group in contract.action if group.output.adapter == 'pose'}
        for state in contract.observation.states:
            if state.topic in posed:
                continue  # the Cartesian controller reports it itself
            sources = {
                name: (drivers[group.name].model if drivers[group.name] is not None else group.name, index)
                for group in contract.action
                if group.feedback == state.name
                for index, name in enumerate(group.names)
            }
            own = by_topic.setdefault(state.topic, [])
            if len(own) < state.publishers:
                own.append(self.create_publisher(MESSAGE_TYPES[state.type], state.topic, 10))
            self.reports.append((own[-1], state, sources))
        self.create_timer(0.01, self.report)

    def report(self):
        now = self.get_clock().now().nanoseconds
        for publisher, state, sources in self.reports:
            values = np.array([self.position(sources.get(name)) for name in state.names])
            publisher.publish(encode_joint_state(state.names, values, 0 * values, now))

    def position(self, source):
        if source is None:
            return 0.0
        model, index = source
        if isinstance(model, str):
            return self.grippers[model].positions[index] if model in self.grippers else 0.0
        return (model.joints.positions if hasattr(model, 'joints') else model.positions)[index]

    def close(self):
        """As the nodes of mode_ros have it."""
