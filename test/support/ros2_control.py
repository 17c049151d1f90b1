"""Models of the drivers, on a clock that the test turns: what their documentation says they do with a message, a
parameter and a silence. Each has `take(message, now)` -> why it was rejected, or '', and `update(now)`; seconds.

joint_trajectory_controller, forward_command_controller: ros2_controllers' parameters and user documentation. MoveIt
Servo: moveit_servo's parameters. Gripper: the actions' definitions and gripper_controllers' parameters.
"""

from itertools import pairwise
from typing import ClassVar

import numpy as np

TINY = 1e-9


def seconds(stamp):
    return stamp.sec + stamp.nanosec * 1e-9


class Joints:
    """Joints that follow where they are sent with a lag of first order, as position-controlled arms do."""

    def __init__(self, positions, lag=0.08):
        self.positions = np.array(positions, float)
        self.lag = lag

    def follow(self, targets, dt):
        self.positions += (targets - self.positions) * (1 - np.exp(-dt / self.lag))


class JointTrajectoryController:
    """One trajectory at a time; a new one replaces the rest."""

    DEFAULTS: ClassVar = {
        'interpolate_from_desired_state': False,
        'allow_partial_joints_goal': False,
        'allow_nonzero_velocity_at_trajectory_end': False,
        'interpolation_method': 'splines',
        'cmd_timeout': 0.0,
    }

    def __init__(self, joints, parameters=None, start=None, lag=0.08):
        self.parameters = {'joints': list(joints), **self.DEFAULTS, **(parameters or {})}
        self.joints = Joints(np.zeros(len(joints)) if start is None else start, lag)
        self.desired = self.joints.positions.copy()
        self.velocity = np.zeros_like(self.desired)
        self.now = 0.0
        self._points = []  # (time, positions, velocities or None)

    def take(self, message, now):
        names, own = list(message.joint_names), self.parameters['joints']
        if any(name not in own for name in names):
            return 'a joint that is not controlled'
        if set(names) != set(own) and not self.parameters['allow_partial_joints_goal']:
            return 'joints are missing'
        if not message.points:
            return 'no points'
        times = [seconds(point.time_from_start) for point in message.points]
        if any(after <= before for before, after in pairwise(times)):
            return 'times do not rise'
        last = list(message.points[-1].velocities)
        if any(abs(v) > TINY for v in last) and not self.parameters['allow_nonzero_velocity_at_trajectory_end']:
            return 'the last velocity is not zero'
        from_desired = self.parameters['interpolate_from_desired_state']
        start = self.desired if from_desired else self.joints.positions
        places = [names.index(name) if name in names else None for name in own]

        def row(values, otherwise):
            return np.array([otherwise[i] if place is None else values[place] for i, place in enumerate(places)])

        self._points = [(now, start.copy(), self.velocity.copy() if from_desired else np.zeros(len(own)))]
        for time, point in zip(times, message.points, strict=True):
            velocities = row(point.velocities, np.zeros(len(own))) if len(point.velocities) else None
            self._points.append((now + time, row(point.positions, start), velocities))
        return ''

    def update(self, now):
        dt, self.now = now - self.now, now
        self.desired, self.velocity = self._sample(now)
        self.joints.follow(self.desired, dt)

    def _sample(self, now):
        if not self._points:
            return self.desired, np.zeros_like(self.desired)
        for (t0, p0, v0), (t1, p1, v1) in pairwise(self._points):
            if now <= t1:
                span = t1 - t0
                u = np.clip((now - t0) / span, 0.0, 1.0)
                if v1 is None or v0 is None:
                    return p0 + (p1 - p0) * u, (p1 - p0) / span
                return _cubic(p0, v0, p1, v1, u, span)
        return self._points[-1][1], np.zeros_like(self.desired)


def _cubic(p0, v0, p1, v1, u, span):
    a, b = 2 * (p0 - p1) + span * (v0 + v1), 3 * (p1 - p0) - span * (2 * v0 + v1)
    position = ((a * u + b) * u + span * v0) * u + p0
    return position, ((3 * a * u + 2 * b) * u + span * v0) / span


class ForwardCommandController:
    """Numbers in, numbers out, in the order of its joints."""

    def __init__(self, joints, interface_name='position'):
        self.parameters = {'joints': list(joints), 'interface_name': interface_name}
        self.positions = np.zeros(len(joints))
        self.command = None
        self.now = 0.0

    def take(self, message, now):
        values = np.asarray(message.data, float)
        if not np.isfinite(values).all():
            return 'not finite'
        if len(values) != len(self.positions):
            return 'the size does not match the interfaces'
        self.command = values
        return ''

    def update(self, now):
        dt, self.now = now - self.now, now
        if self.command is None:
            return
        if self.parameters['interface_name'] == 'position':
            self.positions = self.command.copy()
        else:
            self.positions = self.positions + self.command * dt  # for as long as nobody says otherwise


class Servo:
    """Twists or poses, only of the kind it was switched to, only while it is not paused, only while they are fresh."""

    DEFAULTS: ClassVar = {
        'moveit_servo.command_in_type': 'unitless',
        'moveit_servo.incoming_command_timeout': 0.1,
        'moveit_servo.pose_command_in_topic': '~/pose_target_cmds',
        'moveit_servo.apply_twist_commands_about_ee_frame': True,
        'moveit_servo.publish_period': 0.01,
        'moveit_servo.scale.linear': 0.4,
        'moveit_servo.scale.rotational': 0.8,
    }
    HALT_SECONDS = 0.05

    def __init__(self, parameters=None, paused=False):
        self.parameters = {**self.DEFAULTS, **(parameters or {})}
        self.kind = None  # 1: twists, 2: poses
        self.paused = paused
        self.position, self.velocity = np.zeros(3), np.zeros(3)
        self.halts = 0
        self.now = 0.0
        self._stamp = None
        self._wanted = np.zeros(3)

    def take(self, message, now):
        if self.paused:
            return 'paused'
        if self.kind != 1:
            return 'the command type has not been set'
        if not message.header.frame_id:
            return 'no frame'
        linear = message.twist.linear
        wanted = np.array([linear.x, linear.y, linear.z])
        largest = self.parameters['moveit_servo.scale.linear']
        if self.parameters['moveit_servo.command_in_type'] == 'unitless':
            wanted = wanted * largest
        elif largest > 0 and np.linalg.norm(wanted) > largest:
            wanted = wanted * largest / np.linalg.norm(wanted)
        self._stamp, self._wanted = seconds(message.header.stamp), wanted
        return ''

    def update(self, now):
        dt, self.now = now - self.now, now
        if self._stamp is None:
            return
        if now - self._stamp >= self.parameters['moveit_servo.incoming_command_timeout']:
            was_moving = np.linalg.norm(self.velocity) > TINY
            self.velocity = self.velocity * max(0.0, 1 - dt / self.HALT_SECONDS)
            if np.linalg.norm(self.velocity) < 1e-4:
                self.velocity = np.zeros(3)
                self.halts += was_moving
        else:
            self.velocity = self._wanted
        self.position = self.position + self.velocity * dt


class Gripper:
    """Moves at a constant speed to its goal, and stalls where something is in the way."""

    def __init__(self, position=0.08, speed=0.1, obstacle=None, goal_tolerance=0.01):
        self.position, self.speed, self.obstacle, self.goal_tolerance = position, speed, obstacle, goal_tolerance
        self.goal = None
        self.now = 0.0

    def start(self, goal):
        self.goal = goal

    def update(self, now):
        """Returns 'moving', 'reached' or 'stalled'."""
        dt, self.now = now - self.now, now
        if self.goal is None:
            return 'reached'
        step = np.clip(self.goal - self.position, -self.speed * dt, self.speed * dt)
        if self.obstacle is not None and self.position + step < self.obstacle <= self.position:
            self.position = self.obstacle
            return 'stalled'
        self.position += step
        return 'reached' if abs(self.goal - self.position) <= self.goal_tolerance else 'moving'
