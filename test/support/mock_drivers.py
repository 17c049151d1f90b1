"""The models of `ros2_control` as real nodes: their topics, parameters and services, updated a hundred times a second.

Each keeps what it rejected in `rejected`. A driver's node reports its joints or its hand where the contract listens.
"""

import time

import numpy as np
from geometry_msgs.msg import PoseStamped, TwistStamped
from rclpy.node import Node
from sensor_msgs.msg import JointState
from std_msgs.msg import Float64MultiArray
from std_srvs.srv import SetBool
from support.ros2_control import ForwardCommandController, JointTrajectoryController, Servo
from trajectory_msgs.msg import JointTrajectory

from mode_ros.messages.states import encode_joint_state, encode_pose

UPDATE_SECONDS = 0.01


class MockDriver(Node):
    """A model with the parameters of its driver, a command topic, and joint states unless another node reports them."""

    def __init__(self, name, model, message_type, topic, joint_states='joint_states', namespace=None):
        super().__init__(name, namespace=namespace)
        self.model, self.rejected, self.taken = model, [], []
        for parameter, value in model.parameters.items():
            self.declare_parameter(parameter, value)
        self.began = time.monotonic()
        self.create_subscription(message_type, topic, self._on_command, 10)
        self.states = self.create_publisher(JointState, joint_states, 10) if joint_states else None
        self.create_timer(UPDATE_SECONDS, self._update)

    def clock_seconds(self):
        return self.get_clock().now().nanoseconds * 1e-9

    def _on_command(self, message):
        reason = self.model.take(message, self.clock_seconds())
        (self.rejected if reason else self.taken).append(reason or message)

    def _update(self):
        if not self.model.now:
            self.model.now = self.clock_seconds()
        self.model.update(self.clock_seconds())
        self.report()

    def report(self):
        """Publishes where the robot is."""

    def tell(self, names, positions):
        if self.states is not None:
            now = self.get_clock().now().nanoseconds
            self.states.publish(encode_joint_state(names, positions, 0 * positions, now))

    def close(self):
        """As the nodes of mode_ros have it."""


class MockJointTrajectoryController(MockDriver):
    def __init__(self, joints, parameters=None, start=None, name='joint_trajectory_controller', **options):
        model = JointTrajectoryController(joints, parameters, start)
        super().__init__(name, model, JointTrajectory, '~/joint_trajectory', **options)

    def report(self):
        positions = self.model.joints.positions
        self.tell(self.model.parameters['joints'], positions)


class MockForwardCommandController(MockDriver):
    def __init__(self, joints, interface_name='position', name='forward_position_controller', **options):
        model = ForwardCommandController(joints, interface_name)
        super().__init__(name, model, Float64MultiArray, '~/commands', **options)

    def report(self):
        positions = self.model.positions
        self.tell(self.model.parameters['joints'], positions)


class MockServo(MockDriver):
    """switch_command_type has the type of SetBool here (true: twists), since moveit_msgs is on no registry."""

    def __init__(self, parameters=None, paused=True, name='servo_node', **options):
        super().__init__(name, Servo(parameters, paused), TwistStamped, '~/delta_twist_cmds', **options)
        self.create_service(SetBool, '~/switch_command_type', self._on_switch)
        self.create_service(SetBool, '~/pause_servo', self._on_pause)

    def _on_switch(self, request, response):
        self.model.kind = 1 if request.data else 2
        response.success = True
        return response

    def _on_pause(self, request, response):
        self.model.paused = request.data
        response.success = True
        return response

    def report(self):
        # The arm's joints are not modelled; the contract only wants to hear that they are alive.
        self.tell(['a', 'b'], np.zeros(2))


class MockCartesianController(MockDriver):
    """CRISP's: the newest pose is the target, followed with a lag."""

    def __init__(self, base_frame='base', name='cartesian_impedance_controller', topic='target_pose', **options):
        super().__init__(name, _PoseModel(base_frame), PoseStamped, topic, joint_states=None, **options)
        self.poses = self.create_publisher(PoseStamped, 'current_pose', 10)

    def report(self):
        model, now = self.model, self.get_clock().now().nanoseconds
        self.poses.publish(encode_pose(model.position, model.quaternion, now, model.parameters['base_frame']))


class _PoseModel:
    def __init__(self, base_frame):
        self.parameters = {'joints': ['a'], 'end_effector_frame': 'tool', 'base_frame': base_frame}
        self.position, self.quaternion = np.array([0.4, 0.0, 0.5]), np.array([1.0, 0.0, 0.0, 0.0])
        self.target = self.position.copy()
        self.now = 0.0

    def take(self, message, now):
        point, orientation = message.pose.position, message.pose.orientation
        self.target = np.array([point.x, point.y, point.z])
        self.quaternion = np.array([orientation.x, orientation.y, orientation.z, orientation.w])
        return ''

    def update(self, now):
        dt, self.now = now - self.now, now
        self.position = self.position + (self.target - self.position) * (1 - np.exp(-dt / 0.08))
