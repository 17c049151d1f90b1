"""A simulator without physics: a point that goes to a goal, behind the contract of Meta-World's arm."""

import numpy as np

from mode_ros.sim.simulator import RobotState, Simulator

JOINTS = (*(f'right_j{index}' for index in range(7)), 'r_close', 'l_close')


class ToySimulator(Simulator):
    """Solved when the point is within a centimetre of the goal. hopeless: seeds whose expert does nothing.

    executed: all actions since the reset, one per step.
    """

    robot = 'point of the tests'
    action_names = ('x', 'y', 'z', 'gripper')
    step_seconds = 0.0125
    step_limits = (0.01, 0.01, 0.01)
    hopeless: frozenset[int] = frozenset()

    def __init__(self, task, control_period=0.05):
        super().__init__(control_period)
        self.task, self.instruction, self.time_limit_steps = task, f'do {task}', 80
        self.reset(0)

    def state(self):
        joints = np.append(np.resize(self.position, 7), [0.0, 0.0])  # some that move with the hand
        return RobotState(JOINTS, joints, np.zeros(9), self.position.copy(), np.array([0.0, 0, 0, 1]), 0.1)

    def expert_action(self):
        if self.seed in self.hopeless:
            return np.zeros(4)
        return np.append(np.clip(0.5 * (self.goal - self.position), -0.04, 0.04), -1.0)

    def close(self):
        pass

    def _reset(self, seed):
        self.seed = seed
        self.position = np.zeros(3)
        self.goal = np.random.default_rng(seed).uniform(0.1, 0.3, 3)
        self.executed = []

    def _step(self, native):
        self.executed.append(native * self.action_limits)
        self.position = self.position + native[:3] * self.step_limits

    def _succeeds_now(self):
        return bool(np.linalg.norm(self.goal - self.position) < 0.01)

    def _render(self, camera, width, height):
        return np.full((height, width, 3), int(1000 * abs(self.position[0])) % 256, np.uint8)
