"""The controller keeps the robot where it may be: stops before, latches, and lets a person bring it back."""

import numpy as np
from support.contracts import DELTA_TEXT
from support.controller_bench import SECOND

from mode_ros.control.chunk import make_chunk
from mode_ros.control.contract import parse_contract
from mode_ros.control.controller import Controller
from mode_ros.control.takeover import TeleopCommand
from mode_ros.control.tick import Phase

BOXED = DELTA_TEXT.replace(
    'action:\n',
    '    - {name: hand, topic: hand, type: pose, names: [x, y, z, qx, qy, qz, qw], unit: m, max_age: 1.0}\naction:\n',
).replace('    dimensions:', '    box: {state: hand, lower: [-1, -1, 0.1], upper: [1, 1, 1]}\n    dimensions:', 1)


class Arm:
    """A controller and a hand that does what it is told."""

    def __init__(self, height, text=BOXED):
        self.contract = parse_contract(text, 'boxed.yaml')
        self.now = 100 * SECOND
        self.controller = Controller(self.contract, max_chunk_age=10.0)
        self.controller.activate(self.now)
        self.hand = np.array([0.0, 0.0, height, 0.0, 0.0, 0.0, 1.0])
        self.lowest = height

    def tick(self):
        self.controller.measure('hand', self.now, self.hand.copy())
        self.controller.measure('joints', self.now, np.zeros(2))
        tick = self.controller.tick(self.now)
        self.hand[:3] += tick.commands['arm']
        self.lowest = min(self.lowest, self.hand[2])
        self.now += self.contract.period
        return tick

    def play(self, z, periods=30):
        tick = self.tick()
        assert tick.request is not None
        actions = np.tile([0.0, 0.0, z, 0.0], (periods, 1))
        self.controller.accept(make_chunk(self.contract, self.now, actions, tick.request.identity), self.now)

    def drive(self, z):
        action = np.array([0.0, 0.0, z, np.nan])
        self.controller.drive(TeleopCommand(self.now, self.contract.action_names, action), self.now)


def test_the_robot_is_stopped_before_it_leaves_its_box_and_latched():
    arm = Arm(0.2)
    arm.play(-0.02)
    for _ in range(20):
        tick = arm.tick()
    assert arm.lowest >= 0.1 - 1e-3
    assert arm.lowest < 0.13, 'it came near'
    assert tick.phase is Phase.STOPPED
    assert 'arm would leave its box: z' in tick.reason
    assert arm.controller.breach.problem.name == 'workspace'
    assert arm.controller.release(arm.now) == ''
    arm.play(0.02)
    for _ in range(5):
        tick = arm.tick()
    assert arm.hand[2] > arm.lowest, 'away from the bound it may go'


def test_with_a_limited_acceleration_the_stop_itself_ends_inside():
    for more in ('max_step_change: 0.002', 'max_step_change: 0.002, max_jerk: 50.0'):
        arm = Arm(0.5, BOXED.replace('max_step: 0.02', f'max_step: 0.02, {more}'))
        arm.play(-0.02, periods=60)
        for _ in range(60):
            arm.tick()
        assert 0.1 - 1e-3 <= arm.lowest < 0.15, more
        assert arm.controller.breach.problem.name == 'workspace'


def test_a_person_is_held_at_the_bound_and_may_drive_back():
    arm = Arm(0.115)
    arm.tick()
    for _ in range(5):
        arm.drive(-0.02)
        tick = arm.tick()
    assert arm.lowest >= 0.1 - 1e-3
    assert tick.phase is Phase.HOLDING
    assert arm.controller.breach is None
    for _ in range(5):
        arm.drive(0.02)
        tick = arm.tick()
    assert tick.phase is Phase.TELEOP
    assert arm.hand[2] > 0.15


def test_an_emergency_stop_between_two_periods_latches():
    arm = Arm(0.5)
    arm.play(0.01)
    arm.tick()
    arm.controller.set_estop(True)
    arm.controller.set_estop(False)
    for _ in range(5):
        tick = arm.tick()
    assert tick.phase is Phase.STOPPED
    assert arm.controller.breach.problem.name == 'estop'
    assert arm.controller.release(arm.now) == ''
