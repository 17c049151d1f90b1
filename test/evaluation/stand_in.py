"""Policies that are not learned, and a simulator that is not simulated: outcomes are known before."""

from types import SimpleNamespace

import numpy as np

from mode_ros.robots import load_named_contract
from mode_ros.sim.metaworld_sim import ARM_JOINTS, FINGER_JOINTS, SCENE_NAMES
from mode_ros.sim.simulator import RobotState, Simulator

CONTRACT, TEXT = load_named_contract('metaworld_sawyer')
STEPS = 4  # of the simulation in one control period


class PointSimulator(Simulator):
    """A hand that goes exactly where it is told; solved within 1 cm of a place that the seed chooses.

    Its pictures show, as grey levels, how many steps were taken when they were rendered.
    """

    robot = 'point of a test'
    action_names = ('x', 'y', 'z', 'gripper')
    step_seconds = 0.0125
    step_limits = (0.01, 0.01, 0.01)
    made = 0

    def __init__(self, task='reach', control_period=0.05, limit=500):
        super().__init__(control_period)
        type(self).made += 1
        self.task, self.instruction, self.time_limit_steps = task, f'{task} it', limit
        self.closed = False
        self.reset(0)

    def state(self):
        joints = ARM_JOINTS + FINGER_JOINTS
        zeros = np.zeros(len(joints))
        positions = np.append(
            np.resize(self.hand, len(ARM_JOINTS)), zeros[: len(FINGER_JOINTS)]
        )  # some that move with it
        return RobotState(joints, positions, zeros, self.hand.copy(), np.array([0.0, 0, 0, 1]), 0.1)

    def close(self):
        self.closed = True

    def expert_action(self):
        way = np.clip(self.target - self.hand, -0.04, 0.04)
        return np.append(way, 1.0)

    def _reset(self, seed):
        self.hand, self.gripper = np.zeros(3), 0.0
        self.target = np.array([0.1 + 0.02 * (seed % 50), 0.0, 0.1])
        self.rendered = []

    def _step(self, native):
        self.hand = self.hand + native[:3] * 0.01
        self.gripper = native[3]

    def _succeeds_now(self):
        return bool(np.linalg.norm(self.hand - self.target) < 0.01)

    def _render(self, camera, width, height):
        self.rendered.append((camera, self.steps))
        return np.full((height, width, 3), self.steps // STEPS % 256, np.uint8)


class SeeingSimulator(PointSimulator):
    """Tells its scene: the goal is the place, and the first object's x counts the steps."""

    scene_names = SCENE_NAMES

    def scene(self):
        return np.concatenate([[self.steps], np.zeros(13), self.target])


class Scripted:
    """Answers with the chunks of a list (the last one for ever), and remembers what it was shown."""

    def __init__(self, *chunks, state=()):
        self.chunks = [np.asarray(chunk, float) for chunk in chunks]
        self.config = SimpleNamespace(state_streams=tuple(state), cameras=())
        self.seen = []

    def predict(self, images, state, goal, generator, should_stop=None, on_stage=None, plan=None):
        self.seen.append((images, state, goal))
        return self.chunks[min(len(self.seen), len(self.chunks)) - 1]


class Expert:
    """Plans with the simulator's expert in a twin of the simulation, which is stepped as the robot must be.

    Had the robot waited, executed or skipped one period differently, the two would part: `parted` (m) tells how far.
    """

    def __init__(self, twin, robot, length, latency):
        self.twin, self.robot, self.length, self.latency = twin, robot, length, latency
        self.config = SimpleNamespace(state_streams=(), cameras=())
        self.parted = 0.0
        self.gripper = 0.0

    def predict(self, images, state, goal, generator, should_stop=None, on_stage=None, plan=None):
        ours, theirs = self.twin.state(), self.robot.state()
        self.parted = max(self.parted, np.abs(ours.joint_positions - theirs.joint_positions).max())
        self.parted = max(self.parted, np.abs(ours.end_effector_position - theirs.end_effector_position).max())
        for _ in range(self.latency):
            self._play(np.array([0, 0, 0, self.gripper]))
        chunk = []
        for _ in range(self.length):
            chunk.append(self.twin.expert_action())
            self._play(chunk[-1])
        self.gripper = chunk[-1][3]
        return np.array(chunk)

    def _play(self, action):
        for _ in range(STEPS):
            self.twin.step(action)
