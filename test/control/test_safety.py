"""What stops the robot, that it stays stopped, and what lets it go on: on clocks that the test turns."""

import numpy as np
import pytest
from support.contracts import ABSOLUTE_TEXT, DELTA_TEXT, absolute_contract, delta_contract, parse_contract

from mode_ros.control.chunk import make_chunk
from mode_ros.control.controller import Controller
from mode_ros.control.safety import (
    NANOSECONDS,
    ClockWatch,
    FrozenWatch,
    SafetySettings,
    as_data,
    clock_limit,
    tracking_limits,
)
from mode_ros.control.takeover import TeleopCommand, TeleopRefused
from mode_ros.control.tick import Phase

START = 100 * NANOSECONDS
MS = 1_000_000


class Robot:
    """A controller whose policy goes on and on, and joints that follow what is commanded, or do not."""

    def __init__(self, contract=None, **settings):
        self.contract = contract or absolute_contract()
        self.controller = Controller(self.contract, 10.0, safety=SafetySettings(**settings))
        self.now = self.wall = START
        self.controller.activate(self.now, self.wall)
        self.joints, self.follows, self.ahead, self.step = np.zeros(2), True, 0, 0.01
        self.last = None

    def tick(self, periods=1, policy=True, measures=True):
        for number in range(periods):
            if measures:
                noise = 1e-9 * (number % 3) if self.follows else 0.0
                self.controller.measure('joints', self.now + self.ahead, self.joints + noise)
            tick = self.controller.tick(self.now, self.wall)
            if self.follows and 'arm' in tick.commands and self.contract.action[0].kind == 'absolute':
                self.joints = tick.commands['arm'][::-1].copy()  # the state names b first
            if policy and tick.request is not None and tick.request.not_before <= self.now:
                start = np.zeros(len(self.contract.dimensions))
                if self.contract.action[0].kind == 'absolute':
                    start[:2] = tick.commands['arm']
                    rows = start + self.step * np.arange(1, 9)[:, None] * [1.0, 0.0]
                else:
                    rows = np.tile([0.02, 0.0, 0.0, 0.0], (8, 1))
                chunk = make_chunk(self.contract, self.now, rows, tick.request.identity)
                self.controller.accept(chunk, self.now)
            self.now += self.contract.period
            self.wall += self.contract.period
            self.last = tick
        return self.last

    @property
    def check(self):
        return self.controller.breach.problem.name if self.controller.breach else ''

    def release(self):
        return self.controller.release(self.now, self.wall)


def test_a_stalled_motor_stops_the_policy_before_the_target_runs_away():
    robot = Robot(
        parse_contract(ABSOLUTE_TEXT.replace('feedback: joints', 'feedback: joints\n    max_tracking_error: 0.2'), 'c')
    )
    robot.tick(3)
    robot.follows = False
    robot.step = 0.05
    led = []
    for number in range(40):
        robot.controller.measure('joints', robot.now, robot.joints + 1e-9 * (number % 2))
        tick = robot.tick(measures=False)
        led.append(np.abs(tick.commands['arm'] - robot.joints[::-1]).max() if 'arm' in tick.commands else 0.0)
    assert robot.check == 'tracking'
    assert 'a is 0.2' in robot.controller.breach.problem.reason
    assert max(led) < 0.2 + 2 * 0.1
    assert tick.phase is Phase.STOPPED
    assert 'arm' not in tick.commands, 'at rest no target is sent any more'
    assert robot.release() == ''
    assert np.abs(robot.tick(policy=False).commands['arm'] - robot.joints[::-1]).max() < 1e-6, 'from where it is'


def test_tracking_limits_are_half_a_second_at_the_largest_step_or_a_tenth_of_the_range():
    assert tracking_limits(absolute_contract()).tolist() == pytest.approx([0.5, 0.4])
    assert np.isinf(tracking_limits(delta_contract())).all(), 'nothing measures a displacement'


def test_frozen_states_stop_it_though_their_stamps_are_fresh():
    robot = Robot(delta_contract())
    robot.follows = False
    robot.tick(80)
    assert robot.check == 'frozen'
    assert robot.controller.breach.problem.reason.startswith('joints: the same numbers for 1')


def test_what_was_frozen_must_change_before_a_release():
    robot = Robot(delta_contract())
    robot.follows = False
    robot.tick(80)
    assert robot.check == 'frozen'
    assert 'joints: the same numbers since before the stop' in robot.release()
    robot.tick(40)
    assert 'move it by hand' in robot.release(), 'however long it stands'
    robot.joints = robot.joints + 1e-6
    robot.tick()
    assert robot.release() == ''


def test_a_driver_that_was_started_anew_is_believed():
    robot = Robot(delta_contract())
    robot.follows = False
    robot.tick(80)
    robot.tick(6, measures=False)  # longer than its max_age
    assert 'last message' in robot.release()
    robot.tick()
    assert robot.release() == ''


def test_frozen_states_are_under_suspicion_whatever_stopped_the_robot():
    robot = Robot(delta_contract())
    robot.follows = False
    robot.tick(12)
    robot.controller.set_estop(True)
    robot.tick(3)
    robot.controller.set_estop(False)
    robot.tick()
    assert 'the same numbers since before the stop' in robot.release()
    robot.controller.activate(robot.now, robot.wall, keep_breach=True)
    robot.tick()
    assert 'the same numbers since before the stop' in robot.release(), 'a lifecycle manager does not know better'


class Blind(Robot):
    """A robot whose arm goes on following while its states stay as at `freeze`; a person may hold a stick."""

    def freeze(self):
        self.seen = self.joints.copy()

    def period(self, stick=None, policy=False, measures=True):
        """stick: where the person wants the first joint; NaN: held, and still."""
        if stick is not None:
            action = np.full(len(self.contract.dimensions), np.nan)
            action[0] = stick
            try:
                self.controller.drive(TeleopCommand(self.now, self.contract.action_names, action), self.now)
                self.refused = ''
            except TeleopRefused as error:
                self.refused = error.check
        if self.follows:
            return self.tick(policy=policy, measures=measures)
        self.controller.measure('joints', self.now, self.seen)
        tick = self.tick(policy=policy, measures=False)
        if 'arm' in tick.commands:
            assert np.abs(tick.commands['arm'][::-1] - self.joints).max() <= 0.1 + 1e-6, 'max_step'
            self.joints = tick.commands['arm'][::-1].copy()
        return tick

    def latch(self):
        self.controller.set_estop(True)
        self.tick(2, policy=False)
        self.controller.set_estop(False)
        self.tick(12, policy=False)


def test_a_person_does_not_drive_from_frozen_states_either():
    robot = Blind()
    robot.step = 0.05
    robot.tick(20)
    robot.freeze()
    robot.follows = False
    while not robot.check:
        robot.period(policy=True)
    for _ in range(12):
        robot.period()
    assert robot.joints[1] > robot.seen[1] + 0.3, 'it is far from where it is measured'
    tick = robot.period(np.nan)
    assert (tick.phase, tick.problems, tick.commands) == (Phase.STOPPED, ('frozen',), {})
    assert 'the same numbers since before the stop' in tick.reason
    robot.follows = True
    for _ in range(15):
        tick = robot.period()
    assert robot.period(np.nan).phase is Phase.TELEOP


def test_a_stopped_robot_that_is_driven_and_stopped_again_waits_until_the_person_lets_go():
    robot = Blind()
    robot.tick(3)
    robot.latch()
    for _ in range(3):
        assert robot.period(0.5).phase is Phase.TELEOP
    for _ in range(8):
        robot.period(0.5, measures=False)
    for _ in range(3):
        assert robot.period(0.5).phase is Phase.STOPPED
        assert robot.refused == 'held'
    for _ in range(12):
        robot.period()
    assert robot.period(0.5).phase is Phase.TELEOP


def test_states_that_freeze_while_a_stopped_robot_is_driven_are_under_suspicion():
    robot = Blind()
    robot.tick(3)
    robot.latch()
    for _ in range(3):
        robot.period(2.0)
    robot.freeze()
    robot.follows = False
    while robot.period(2.0).phase is Phase.TELEOP:
        pass
    for _ in range(30):
        assert robot.period(2.0).phase is Phase.STOPPED
    for _ in range(12):
        robot.period()
    assert 'the same numbers since before the stop' in robot.release()
    assert robot.period(2.0).problems == ('frozen',)


@pytest.mark.parametrize('how', ['reset', 'activated again'])
def test_neither_a_reset_nor_an_activation_starts_from_states_that_have_frozen(how):
    robot = Blind()
    robot.step = 0.05
    robot.tick(10)
    robot.freeze()
    robot.follows = False
    for _ in range(7):
        robot.period(policy=True)
    assert not robot.check, 'nothing has found it yet'
    if how == 'activated again':
        while robot.controller.stopping or robot.last.phase is not Phase.STOPPED:
            robot.last = robot.controller.stop(robot.now, 'deactivated')
            robot.joints = robot.last.commands['arm'][::-1].copy()
    robot.controller.activate(robot.now, robot.wall, keep_breach=how != 'reset')
    tick = robot.period()
    assert (tick.phase, tick.problems) == (Phase.HOLDING, ('frozen',))
    robot.follows = True
    assert robot.period().phase is Phase.WAITING


def test_states_that_never_changed_at_rest_are_under_no_suspicion():
    robot = Robot(delta_contract())
    robot.follows = False
    robot.tick(100, policy=False)
    robot.controller.set_estop(True)
    robot.tick(3)
    robot.controller.set_estop(False)
    robot.tick()
    assert robot.release() == ''


def test_a_robot_that_stands_may_measure_the_same_for_ever():
    watch = FrozenWatch(absolute_contract())
    for number in range(100):
        watch.measured('joints', START + number * 100 * MS, np.zeros(2))
        watch.commanded(np.zeros(2))
    assert watch.problem(START + 10_000 * MS) == ''


@pytest.mark.parametrize(
    ('jump', 'words'),
    [(-5000, 'set back by 4.9 s'), (-250, 'set back by 0.15 s'), (60_000, 'ahead within')],
)
def test_a_clock_that_jumps_stops_it(jump, words):
    robot = Robot()
    robot.tick(6)
    before = robot.last.commands['arm']
    robot.now += jump * MS
    tick = robot.tick()
    assert robot.check == 'clock'
    assert words in robot.controller.breach.problem.reason
    assert np.abs(tick.commands['arm'] - before).max() <= 0.01 + 1e-9, 'a ramp, no jump'
    robot.tick(10)
    assert robot.last.phase is Phase.STOPPED
    assert robot.release() == ''


def test_a_clock_that_was_set_back_within_a_period_is_found_though_it_has_gone_on_by_the_next():
    robot = Robot()
    robot.tick(6)
    for after in (10, 20, 30):  # of a period of 100 ms
        robot.controller.read_clock(robot.now + after * MS)
    robot.controller.read_clock(robot.now + (40 - 100) * MS)  # and then the period's end, which lies ahead
    robot.now += 1 * MS
    robot.tick()
    assert robot.check == 'clock'
    assert robot.controller.breach.problem.reason == 'the clock was set back by 0.09 s'
    robot.tick(3)
    assert robot.release() == '', 'told once'


def test_readings_of_one_period_may_lag_by_rounding():
    robot = Robot()
    robot.tick(6)
    for after in (10.0, 9.5, 20.0, 19.2):
        robot.controller.read_clock(robot.now + round(after * MS))
    robot.now += 20 * MS
    robot.tick()
    assert robot.check == ''


def test_a_clock_at_five_times_speed_is_not_followed():
    robot = Robot()
    robot.tick(3)
    for _ in range(20):
        robot.wall -= robot.contract.period * 4 // 5
        robot.tick()
    assert robot.check == 'clock'
    allowed = Robot(max_clock_speed=0.0)
    for _ in range(20):
        allowed.wall -= allowed.contract.period * 4 // 5
        allowed.tick()
    assert allowed.check == ''


def test_the_watch_lets_a_slow_clock_and_one_that_lags_by_rounding_pass():
    watch = ClockWatch(2.0)
    assert all(watch.problem(START + n * 10 * MS, START + n * 100 * MS) == '' for n in range(100))
    assert watch.problem(START + 99 * 10 * MS - 500_000, START + 10_000 * MS) == ''


def test_a_clock_that_stands_still_stops_it_on_wall_time():
    robot = Robot()
    robot.tick(6)
    assert robot.controller.stall(robot.now, robot.wall) is None
    steps = []
    for number in range(30):
        tick = robot.controller.stall(robot.now, robot.wall + (1000 + 50 * number) * MS)
        if tick is not None:
            steps.append(tick)
    assert robot.check == 'clock'
    assert 'the clock stands still' in steps[0].reason
    assert not robot.controller.stopping


def step_of(tick, before):
    return float(np.abs(tick.commands['arm'] - before.commands['arm']).max())


def test_after_a_silence_the_arm_stands_at_its_last_target():
    robot = Robot(clock_seconds=10.0)
    robot.step = 0.05  # more than the largest change of it
    before = robot.tick(6)
    assert step_of(before, robot.tick()) > 0
    before = robot.last
    robot.controller.set_estop(True)
    robot.controller._wall = robot.wall  # the periods came, but nothing was sent after this one for
    robot.wall += 350 * MS
    tick = robot.controller.stall(robot.now, robot.wall)
    assert step_of(tick, before) == 0.0, 'no ramp from a speed that it no longer has'


def test_a_silence_is_counted_from_when_the_last_command_was_sent():
    sent_late, sent_at_once = Robot(), Robot()
    for robot, late in ((sent_late, 200), (sent_at_once, 0)):
        robot.step = 0.05  # more than the largest change of it
        robot.tick(6)
        robot.before = robot.last
        robot.controller.sent(robot.wall - robot.contract.period + late * MS)
        robot.wall += 250 * MS
        robot.now += 250 * MS
        robot.controller.set_estop(True)
        robot.stopping = robot.tick()
    assert step_of(sent_late.stopping, sent_late.before) > 0, 'it still moves, and is braked'
    assert step_of(sent_at_once.stopping, sent_at_once.before) == 0.0, 'it has come to rest by itself'


def test_an_emergency_stop_does_not_wait_for_the_clock():
    robot = Robot()
    robot.tick(6)
    robot.controller.set_estop(True)
    tick = robot.controller.stall(robot.now, robot.wall + 300 * MS)
    assert tick.phase is Phase.STOPPED
    assert robot.check == 'estop'


def test_states_of_another_clock_stop_it_even_within_their_freshness():
    robot = Robot()  # max_age is 0.2 s, the period 0.1 s
    robot.tick(3)
    robot.ahead = 199 * MS
    robot.tick(2)
    assert robot.check == ''
    robot.ahead = 201 * MS
    robot.tick(1)
    assert robot.check == 'stale'
    assert 'ahead of the clock' in robot.controller.breach.problem.reason


def test_a_breach_outlasts_its_cause_and_tells_both():
    robot = Robot()
    robot.tick(6)
    robot.controller.permission.set_crowd('2 publishers of states')
    robot.tick(3)
    assert robot.release() == '2 publishers of states'
    robot.controller.permission.set_crowd('')
    tick = robot.tick(3)
    assert (tick.phase, tick.reason, tick.request) == (Phase.STOPPED, '2 publishers of states', None)
    told = as_data(robot.controller.breach, tick.reason)
    assert (told['stopped'], told['latched'], told['check']) == (True, True, 'publishers')
    assert robot.release() == ''
    assert robot.tick(3).phase is Phase.EXECUTING


def test_what_is_wrong_before_anything_moved_passes_by_itself():
    robot = Robot()
    robot.controller.permission.set_crowd('2 publishers of states')
    assert robot.tick(3).phase is Phase.HOLDING
    robot.controller.permission.set_crowd('')
    robot.tick(3)
    assert robot.last.phase is Phase.EXECUTING


def test_the_deadman_must_be_held_and_its_word_grows_old():
    robot = Robot(deadman_seconds=0.25)
    assert robot.tick(3).reason == 'the deadman is not held'
    for _ in range(5):
        robot.controller.permission.signs.deadman(True, robot.wall)
        robot.tick()
    assert robot.last.phase is Phase.EXECUTING
    robot.tick(4)
    assert (robot.last.phase, robot.check) == (Phase.HOLDING, '')
    robot.controller.permission.signs.deadman(True, robot.wall)
    robot.controller.permission.signs.deadman(False, robot.wall)
    assert robot.tick().phase is Phase.HOLDING


def test_the_emergency_stop_may_have_to_beat():
    robot = Robot(heartbeat_seconds=0.35)
    assert robot.tick(2).phase is Phase.HOLDING
    for _ in range(6):
        robot.controller.permission.signs.heartbeat(robot.wall)
        robot.tick()
    assert robot.last.phase is Phase.EXECUTING
    robot.tick(5)
    assert robot.check == 'heartbeat'


def test_a_goal_is_not_pursued_for_ever():
    robot = Robot(goal_seconds=1.0)
    robot.tick(8)
    assert robot.check == ''
    robot.tick(6)
    assert (robot.check, robot.controller.breach.problem.reason) == ('goal', 'the goal has been pursued for 1 s')
    assert robot.release() == ''
    robot.tick(3)
    assert robot.last.phase is Phase.EXECUTING


def test_a_policy_that_is_silent_is_told_as_none():
    robot = Robot(policy_seconds=0.5)
    assert robot.tick(4, policy=False).reason == 'no chunk'
    assert robot.tick(4, policy=False).reason.startswith('no policy: no chunk for 0.')


def test_what_has_latched_outlasts_a_deactivation():
    robot = Robot()
    robot.tick(4)
    robot.controller.set_estop(True)
    robot.tick(6)
    robot.controller.set_estop(False)
    robot.controller.activate(robot.now, robot.wall, keep_breach=True)
    robot.tick(5)
    assert (robot.check, robot.last.phase) == ('estop', Phase.STOPPED)
    assert robot.release() == ''
    robot.tick(5)
    assert robot.last.phase is Phase.EXECUTING


def test_nothing_is_released_while_the_clock_stands():
    robot = Robot()
    robot.tick(4)
    for _ in range(30):
        robot.wall += robot.contract.period
        robot.controller.stall(robot.now, robot.wall)
    assert robot.check == 'clock'
    assert robot.release().startswith('no control period for 3.')
    robot.tick()
    assert robot.release() == ''


def test_nothing_is_released_while_the_clock_runs_fast():
    robot = Robot()
    robot.tick(4)
    refused = []
    for _ in range(200):
        robot.wall -= robot.contract.period * 4 // 5
        robot.tick()
        refused += [robot.release()] if robot.check else []
    assert len(refused) > 100
    assert all(refused), 'not even between two findings'
    assert 'must keep time for 1 s' in refused[-1]
    robot.tick(12)
    assert robot.release() == ''


def test_a_slow_contract_is_no_clock_that_stands():
    text = DELTA_TEXT.replace('rate: 20.0', 'rate: 0.5').replace('max_age: 0.2', 'max_age: 5.0')
    robot = Robot(parse_contract(text, 'slow.yaml'))
    robot.tick(3)
    assert robot.controller.stall(robot.now, robot.wall) is None
    assert robot.controller.stall(robot.now, robot.wall + 3 * robot.contract.period).phase is Phase.STOPPED


def test_after_a_gap_before_anything_has_moved_it_starts_from_where_the_arm_is_then():
    robot = Robot()
    robot.follows = False
    robot.tick(3, policy=False)
    assert robot.last.commands['arm'].tolist() == [0.0, 0.0]
    robot.tick(5, policy=False, measures=False)
    assert robot.last.phase is Phase.HOLDING
    assert 'arm' not in robot.last.commands
    robot.joints = np.array([0.3, 0.2])  # brought there by hand; b, a
    robot.tick(policy=False)
    assert robot.last.commands['arm'].tolist() == [0.2, 0.3]


def test_what_is_not_a_number_is_not_measured():
    robot = Robot()
    robot.joints = np.array([0.0, np.nan])
    robot.tick(3)
    assert robot.last.reason == 'joints: no message yet'
    assert robot.last.commands == {}


def test_a_pause_is_no_time_without_a_policy():
    robot = Robot()
    robot.tick(2, policy=False)
    robot.controller.permission.paused = True
    robot.tick(100, policy=False)
    robot.controller.permission.paused = False
    robot.tick(policy=False)
    assert robot.last.reason == 'no chunk'


TEMPERATURE = '    - {name: heat, topic: heat, type: temperature, names: [t], unit: K, max_age: 9.0}\naction:'
FINGERS = "unit: '1', lower: -1.0, upper: 1.0}\n    feedback: fingers"
FINGER_STATE = (
    '    - {name: fingers, topic: fingers, type: joint_state, names: [grip], unit: rad, max_age: 9.0}\naction:'
)


@pytest.mark.parametrize(
    ('text', 'frozen'),
    [
        (DELTA_TEXT, True),
        (DELTA_TEXT.replace('action:', TEMPERATURE), True),
        (DELTA_TEXT.replace('type: joint_state, names: [a, b]', 'type: temperature, names: [t]'), False),
        (DELTA_TEXT.replace("unit: '1', lower: -1.0, upper: 1.0}", FINGERS).replace('action:', FINGER_STATE), True),
    ],
    ids=['joints', 'joints beside a temperature', 'a temperature alone', 'joints beside moving fingers'],
)
def test_only_positions_that_the_displacements_move_tell_that_they_are_frozen(text, frozen):
    contract = parse_contract(text, 'frozen.yaml')
    watch = FrozenWatch(contract)
    other = np.zeros(1)
    for number in range(40):
        now = START + number * contract.period
        for state in contract.observation.states:
            watch.measured(state.name, now, other + number if state.name != 'joints' else np.zeros(len(state.names)))
        watch.commanded(np.array([0.02, 0.0, 0.0, 0.0]))
    assert bool(watch.problem(now)) == frozen


def test_a_stop_that_may_take_no_longer_ends_with_no_displacement():
    contract = parse_contract(DELTA_TEXT.replace('max_step_change: 0.01', 'max_step_change: 0.001'), 'heavy.yaml')
    robot = Robot(contract)
    row = np.array([0.0, 0.03, 0.0, 0.0])
    request = robot.tick(policy=False).request
    robot.controller.accept(make_chunk(contract, robot.now, np.tile(row, (60, 1)), request.identity), robot.now)
    for number in range(40):
        robot.joints = np.full(2, 1e-6 * number)
        robot.tick(policy=False)
    assert robot.controller.stop(robot.now, 'over').commands['arm'][1] == pytest.approx(0.029)
    assert robot.controller.halt(robot.now, 'over').commands['arm'].tolist() == [0.0, 0.0, 0.0]
    assert not robot.controller.stopping


def test_a_clock_may_stand_for_as_long_as_a_state_may_be_silent_and_longer_in_a_simulation():
    contract = absolute_contract()  # 10 Hz, max_age 0.2
    assert clock_limit(contract, simulated=False) == pytest.approx(0.4), 'four periods'
    fast = parse_contract(ABSOLUTE_TEXT.replace('rate: 10.0', 'rate: 50.0'), 'c')
    assert clock_limit(fast, simulated=False) == pytest.approx(0.2)
    assert clock_limit(fast, simulated=True) == 1.0
