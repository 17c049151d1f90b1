"""Hands to actions: what is held moves, what is not stands still, and nothing jumps. The test turns the clock."""

import numpy as np
import pytest
import yaml
from support.contracts import absolute_contract, delta_contract

from mode_ros.control.contract import load_contract
from mode_ros.control.limits import ActionLimiter
from mode_ros.control.teleop import JOYSTICK_SILENCE, KEY_HOLD, LEAD_PERIODS, Jogger, Joystick, Keyboard
from mode_ros.control.teleop_mapping import TeleopMapping, load_mapping
from mode_ros.errors import UserError
from mode_ros.paths import share_folder

TWIST = """
device: joystick
deadman: button0
motions:
  - {dimension: x, axis: axis0, speed: 0.2}
  - {dimension: y, axis: -axis1, speed: 0.2}
  - {dimension: rotation_z, axis: axis2, speed: 1.0, optional: true}
deadzone: 0.1
speeds: {faster: button1, slower: button2, steps: [0.5, 1.0], start: 1.0}
grippers: [{group: gripper, input: button3, open: lower, closed: upper}]
recorder: {start: button4, stop: button5, discard: button6, success: button7, failure: button8}
"""

JOINTS = """
device: keyboard
deadman: space
motions: [{dimension: selected, plus: up, minus: down, speed: 0.5}]
select: {next: right, previous: left}
speeds: {faster: '+', slower: '-', steps: [0.5, 1.0], start: 1.0}
"""


def mapping(text, **changes):
    return TeleopMapping.model_validate({**yaml.safe_load(text), **changes})


def buttons(*down):
    return [int(index in down) for index in range(9)]


NAN2 = np.full(2, np.nan)
NAN4 = np.full(4, np.nan)


class Pad:
    """A joystick that speaks at 20 Hz, and its jogger."""

    def __init__(self, text=TWIST, contract=None, **changes):
        self.device = Joystick(mapping(text, **changes))
        self.jogger = Jogger(contract or delta_contract(), self.device)
        self.now = 100.0
        self.send()

    def send(self, axes=(0.0, 0.0, 0.0), down=()):
        self.now += 0.05
        self.device.update(axes, buttons(*down), self.now)
        return self.device.engaged(self.now)

    def action(self, reference=NAN4):
        return self.jogger.action(reference, self.now)


def test_a_stick_becomes_displacements_of_one_period():
    pad = Pad()
    assert pad.send((1.0, 0.0, 0.0), (0,))
    assert pad.action()[:3].tolist() == [pytest.approx(0.2 / 20.0), 0.0, 0.0]
    pad.send((-1.0, 1.0, 0.0), (0,))
    assert pad.action()[:3].tolist() == pytest.approx([-0.01, -0.01, 0.0])
    pad.send((0.55, 0.0, 0.0), (0,))
    assert pad.action()[0] == pytest.approx(0.005), 'beyond the dead zone from 0 to 1'
    pad.send((0.09, -0.09, 1.0), (0,))
    assert pad.action()[:3].tolist() == [0.0, 0.0, 0.0]


def test_nothing_moves_without_the_deadman_or_with_a_silent_joystick():
    pad = Pad()
    assert not pad.send((1.0, 0.0, 0.0), ())
    assert pad.send((1.0, 0.0, 0.0), (0,))
    assert not pad.device.engaged(pad.now + JOYSTICK_SILENCE + 0.01)
    pad.now += 1.0
    assert not pad.send((1.0, 0.0, 0.0), (0,)), 'plugged in again, the deadman must be seen to go down'
    pad.send()
    assert pad.send((0.0, 0.0, 0.0), (0,))


def test_a_deadman_held_at_the_start_does_not_drive():
    device = Joystick(mapping(TWIST))
    device.update((1.0,), buttons(0), 1.0)
    assert not device.engaged(1.0)
    assert device.pressed() == [], 'nor is anything else pressed that was held before'


def test_a_pad_with_fewer_axes_and_strange_values_moves_nothing():
    pad = Pad()
    pad.send((float('nan'),), (0,))
    assert pad.action()[:3].tolist() == [0.0, 0.0, 0.0]
    pad.send((7.0, 0.0), (0,))
    assert pad.action()[0] == pytest.approx(0.01)


def test_speed_steps():
    pad = Pad()
    for down, expected in (((2,), 0.5), ((), 0.5), ((2,), 0.5), ((1,), 1.0), ((), 1.0), ((1,), 1.0)):
        pad.send((0, 0, 0), (0, *down))
        pad.jogger.handle(pad.device.pressed())
        assert pad.jogger.speed == expected
    pad.send((1.0, 0, 0), (0, 2))
    pad.jogger.handle(pad.device.pressed())
    assert pad.action()[0] == pytest.approx(0.005)


def test_recorder_buttons_work_whether_driving_or_not():
    pad = Pad()
    for down, word in ((4, 'start'), (5, 'stop'), (6, 'discard'), (7, 'success'), (8, 'failure')):
        pad.send(down=(down,))
        assert pad.jogger.handle(pad.device.pressed()) == [word]
        pad.send(down=(down,))
        assert pad.jogger.handle(pad.device.pressed()) == [], 'held, it is pressed once'
        pad.send()


def press(pad, *down):
    pad.send(down=(0, *down))
    pad.jogger.handle(pad.device.pressed())
    pad.send(down=(0,))


def test_the_gripper_is_left_alone_until_it_is_toggled():
    pad = Pad()
    press(pad)
    assert np.isnan(pad.action()[3])
    press(pad, 3)
    assert pad.action()[3] == 1.0
    press(pad, 3)
    assert pad.action()[3] == -1.0


def test_a_toggle_turns_round_what_the_gripper_was_last_told():
    pad = Pad()
    press(pad)
    closed = np.array([np.nan, np.nan, np.nan, 0.9])
    assert pad.action(closed)[3] == 0.9
    press(pad, 3)
    assert pad.action(closed)[3] == -1.0
    pad.jogger.release()
    # The policy has closed it meanwhile.
    press(pad)
    assert pad.action(closed)[3] == 0.9
    press(pad, 3)
    assert pad.action(closed)[3] == -1.0


def test_a_robot_without_a_gripper_needs_no_mapping_of_its_own():
    gripper = {'group': 'gripper', 'input': 'button3', 'open': 'lower', 'closed': 'upper', 'optional': True}
    motions = [{'dimension': 'a', 'axis': 'axis0', 'speed': 0.5}]
    changed = mapping(TWIST, grippers=[gripper], motions=motions)
    changed.check_fits(absolute_contract(), 'mine')
    pad = Pad(contract=absolute_contract(), grippers=[gripper], motions=motions)
    press(pad, 3)
    assert pad.action(np.zeros(2)).tolist() == [0.0, 0.0]


def test_a_gripper_button_touched_before_driving_does_nothing():
    pad = Pad()
    pad.send(down=(3,))
    pad.jogger.handle(pad.device.pressed())
    pad.send(down=(0,))
    assert np.isnan(pad.action()[3])


def test_a_held_gripper_closes_while_held_and_only_once_it_was():
    pad = Pad(grippers=[{'group': 'gripper', 'input': 'button3', 'mode': 'hold', 'open': -0.5, 'closed': 'upper'}])
    press(pad)
    assert np.isnan(pad.action()[3]), 'taking the deadman must not open the gripper'
    pad.send(down=(0, 3))
    pad.jogger.handle(pad.device.pressed())
    assert pad.action()[3] == 1.0
    pad.send(down=(0,))
    assert pad.action()[3] == -0.5


# ---- the keyboard, which tells no release ------------------------------------------------------------------------


class Keys:
    """A keyboard, its jogger, and the repetition of a terminal: 0.5 s, then 30 Hz."""

    def __init__(self, contract=None):
        self.device = Keyboard(mapping(JOINTS))
        self.contract = contract or absolute_contract()
        self.jogger = Jogger(self.contract, self.device)
        self.now = 50.0

    def press(self, key):
        self.device.press(key, self.now)
        self.jogger.handle(self.device.pressed())

    def hold(self, key, seconds):
        """Times at which a held key comes."""
        begin = self.now
        yield self.now
        self.now += 0.5
        while self.now < begin + seconds:
            yield self.now
            self.now += 1 / 30


def test_space_takes_over_and_gives_back_and_holding_it_does_not_flicker():
    keys = Keys()
    assert not keys.device.engaged(keys.now)
    for _ in keys.hold('space', 3.0):
        keys.press('space')
        assert keys.device.engaged(keys.now)
    keys.now += 1.0
    keys.press('space')
    assert not keys.device.engaged(keys.now)


def test_a_key_moves_while_it_repeats_and_stops_soon_after():
    keys = Keys()
    keys.press('space')
    zeros = np.zeros(2)
    for _ in keys.hold('up', 2.0):
        keys.press('up')
        assert keys.device.deflection('up', keys.now) == 1.0
    last = keys.now - 1 / 30
    assert keys.device.deflection('up', last + KEY_HOLD + 0.001) == 0.0
    assert keys.jogger.action(zeros, last + KEY_HOLD + 0.001).tolist() == [0.0, 0.0]
    assert KEY_HOLD > 1 / 20, 'slower repetitions must not stutter'


def test_without_taking_over_a_key_moves_nothing():
    keys = Keys()
    keys.press('up')
    assert not keys.device.engaged(keys.now)


def test_the_joint_is_chosen_in_a_ring():
    keys = Keys()
    assert keys.jogger.chosen == 'a'
    keys.press('right')
    assert keys.jogger.chosen == 'b'
    keys.now += 1.0
    keys.press('right')
    assert keys.jogger.chosen == 'a'
    keys.press('left')
    assert keys.jogger.chosen == 'b'


# ---- targets: nothing jumps --------------------------------------------------------------------------------------


class Arm:
    """A jogger that drives the real limiter; `reference` is what was last commanded, one period late."""

    def __init__(self, position):
        self.keys = Keys()
        self.limiter = ActionLimiter(self.keys.contract)
        self.limiter.start_from(np.array(position))
        self.commands = [np.array(position)]
        self.reference = np.array(position)

    def period(self, key=None):
        self.keys.now += 0.1
        if key:
            self.keys.press(key)
        wished = self.keys.jogger.action(self.reference, self.keys.now)
        self.reference = self.commands[-1]
        self.commands.append(self.limiter.apply(wished, pull_in=False)[0])
        return self.commands[-1]


@pytest.mark.parametrize('position', [(0.3, -0.7), (2.5, 0.0), (-2.0, 2.0)])
def test_taking_over_commands_what_was_commanded(position):
    """Where the arm is beyond a bound, too: (2.5, 0)."""
    arm = Arm(position)
    for _ in range(10):
        assert arm.period().tolist() == list(position)


def test_jogging_is_smooth_goes_on_and_stops_where_the_key_was_let_go():
    arm = Arm((0.3, -0.7))
    for _ in range(20):
        arm.period('up')
    moving = len(arm.commands)
    for _ in range(20):
        arm.period()
    a = np.array([command[0] for command in arm.commands])
    steps = np.diff(a)
    assert np.abs(np.diff(steps, prepend=0.0)).max() <= 0.03 + 1e-9, "the contract's change of step"
    assert steps[10:15].tolist() == pytest.approx([0.05] * 5), '0.5 rad/s at 10 Hz'
    assert a[-1] - a[moving - 1] <= LEAD_PERIODS * 0.05 + 1e-9, 'it comes to rest within the lead'
    assert steps[-5:].tolist() == pytest.approx([0.0] * 5, abs=1e-9)
    assert {command[1] for command in arm.commands} == {-0.7}, 'the other joint is not touched'


def test_turning_round_has_nothing_to_catch_up_on():
    arm = Arm((0.0, 0.0))
    for _ in range(30):
        arm.period('up')
    top = arm.commands[-1][0]
    periods = 0
    while arm.period('down')[0] >= top - 1e-9:
        periods += 1
        assert periods <= 2 * LEAD_PERIODS, 'it must turn round at once'


def test_a_target_that_cannot_be_reached_does_not_run_away():
    keys = Keys()
    stuck = np.array([0.3, 0.0])
    for _ in range(50):
        keys.now += 0.1
        keys.press('up')
        wished = keys.jogger.action(stuck, keys.now)
    assert wished[0] == pytest.approx(0.3 + LEAD_PERIODS * 0.05)
    keys.now += 1.0
    assert keys.jogger.action(stuck + 1.0, keys.now).tolist() == [1.3, 1.0], 'given up, where it has been moved since'


def test_bounds_end_the_motion():
    arm = Arm((1.9, 0.0))
    for _ in range(20):
        arm.period('up')
    assert arm.commands[-1][0] == pytest.approx(2.0)


def test_beyond_a_bound_it_can_only_be_driven_back():
    arm = Arm((2.5, 0.0))
    for _ in range(5):
        arm.period('up')
    assert arm.commands[-1][0] == 2.5
    arm.keys.now += 1.0
    for _ in range(10):
        arm.period('down')
    assert 1.9 < arm.commands[-1][0] < 2.4


def test_after_letting_go_the_next_hold_starts_from_where_the_robot_is():
    keys = Keys()
    keys.jogger.action(np.zeros(2), keys.now)
    keys.jogger.release()
    assert keys.jogger.action(np.array([1.0, -1.0]), keys.now).tolist() == [1.0, -1.0]


def test_where_nobody_knows_the_position_nothing_is_commanded():
    keys = Keys()
    keys.press('up')
    assert np.isnan(keys.jogger.action(NAN2, keys.now)).all()
    assert keys.jogger.action(np.zeros(2), keys.now).tolist() == pytest.approx([0.05, 0.0])


# ---- mappings ----------------------------------------------------------------------------------------------------

TELEOP = sorted((share_folder() / 'config' / 'teleop').glob('*.yaml'))
ROBOTS = {
    'gamepad_twist': ('metaworld_sawyer', 'libero_panda'),
    'keyboard_twist': ('metaworld_sawyer', 'libero_panda'),
    'game_controller_twist': ('metaworld_sawyer', 'libero_panda'),
    'gamepad_joints': ('ros2_control_arm',),
    'game_controller_joints': ('ros2_control_arm',),
    'keyboard_joints': ('ros2_control_arm',),
}


@pytest.mark.parametrize('path', TELEOP, ids=[path.stem for path in TELEOP])
def test_every_mapping_that_comes_along_fits_its_robots(path):
    for robot in ROBOTS[path.stem]:
        contract = load_contract(share_folder() / 'config' / 'robots' / f'{robot}.yaml')
        load_mapping(path).check_fits(contract, path.stem)
        gripper = load_mapping(path).grippers[0]
        assert (gripper.open == 'upper') == (robot == 'ros2_control_arm'), 'which bound is open'


# An Xbox-like pad's inputs by the drivers of ROS's package joy: joy_node, whose cross is two axes that are
# 1 to the left and up, and game_controller_node (numbers after its README).
JOY_NODE = {
    **{f'axis{n}': name for n, name in enumerate(('left x', 'left y', 'left trigger', 'right x', 'right y'))},
    **{
        f'axis{n}': name
        for n, name in ((5, 'right trigger'), (6, 'cross left|cross right'), (7, 'cross up|cross down'))
    },
    **{
        f'button{n}': name
        for n, name in enumerate(('A', 'B', 'X', 'Y', 'LB', 'RB', 'back', 'start', 'guide', 'LS', 'RS'))
    },
}
GAME_CONTROLLER = {
    **{f'axis{n}': name for n, name in enumerate(('left x', 'left y', 'right x', 'right y'))},
    **{f'axis{n}': name for n, name in ((4, 'left trigger'), (5, 'right trigger'))},
    **{
        f'button{n}': name
        for n, name in enumerate(('A', 'B', 'X', 'Y', 'back', 'guide', 'start', 'LS', 'RS', 'LB', 'RB'))
    },
    **{f'button{11 + n}': f'cross {name}' for n, name in enumerate(('up', 'down', 'left', 'right'))},
}


def under_the_fingers(name, driver):
    """A mapping's file with the inputs by their names."""
    found = load_mapping(share_folder() / 'config' / 'teleop' / f'{name}.yaml').model_dump()
    for motion in found['motions']:
        axis, plus, minus = (motion.pop(part) for part in ('axis', 'plus', 'minus'))
        motion['moved by'] = driver[axis] if axis else f'{driver[plus]}|{driver[minus]}'

    def named(value):
        if isinstance(value, dict):
            return {key: named(item) for key, item in value.items()}
        if isinstance(value, (list, tuple)):
            return [named(item) for item in value]
        return driver[value] if str(value).startswith(('axis', 'button')) else value

    return named(found)


@pytest.mark.parametrize('kind', ['twist', 'joints'])
def test_both_drivers_of_a_gamepad_put_the_same_under_the_same_finger(kind):
    theirs = under_the_fingers(f'gamepad_{kind}', JOY_NODE)
    assert under_the_fingers(f'game_controller_{kind}', GAME_CONTROLLER) == theirs
    assert theirs['deadman'] == 'LB'


@pytest.mark.parametrize(
    ('before', 'after', 'words'),
    [
        ('deadman: button0', 'deadman: axis0', "deadman: 'axis0' is no button such as button4"),
        ('axis: axis0', 'axis: button9', "axis of x: 'button9' is no axis"),
        ('axis: axis0', 'plus: button1', "'button1' is given to plus of x and to faster"),
        ('axis: axis0, ', '', "'x' is moved either by an axis or by plus and minus"),
        ('axis: -axis1', 'axis: -axis0', "'-axis0' is given to axis of x and to axis of y"),
        ('start: 1.0', 'start: 0.7', 'start 0.7 is none of the steps [0.5, 1.0]'),
        ('speed: 0.2', 'speed: -0.2', 'motions.0.speed'),
        ('deadzone', 'dead_zone', 'dead_zone: unknown key, did you mean deadzone?'),
        ('dimension: x', 'dimension: selected', "a motion of 'selected' needs select"),
        ('device: joystick', 'device: keyboard', 'is no key'),
    ],
)
def test_a_mapping_that_does_not_fit_names_the_key(tmp_path, before, after, words):
    path = tmp_path / 'mine.yaml'
    assert before in TWIST
    path.write_text(TWIST.replace(before, after, 1))
    with pytest.raises(UserError) as caught:
        load_mapping(path)
    assert words in str(caught.value)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize('content', [None, '[1, 2]', 'a: [', '\xff\x00'])
def test_a_file_that_is_no_mapping_is_named(tmp_path, content):
    path = tmp_path / 'mine.yaml'
    if content is not None:
        path.write_bytes(content.encode('latin-1'))
    with pytest.raises(UserError, match=r'mine\.yaml'):
        load_mapping(path)


@pytest.mark.parametrize(
    ('changes', 'words'),
    [
        ({'motions': [{'dimension': 'w', 'axis': 'axis0', 'speed': 1}]}, "moves 'w', which the contract of tester"),
        ({'grippers': [{'group': 'hand', 'input': 'button3', 'open': 0, 'closed': 1}]}, "the action group 'hand'"),
        ({'grippers': [{'group': 'arm', 'input': 'button3', 'open': 0, 'closed': 1}]}, 'moves by displacements'),
        ({'select': {'next': 'button9', 'previous': 'button10', 'group': 'leg'}}, "the action group 'leg'"),
    ],
)
def test_a_mapping_for_another_robot_says_what_the_contract_has_not(changes, words):
    with pytest.raises(UserError, match=words):
        mapping(TWIST, **changes).check_fits(delta_contract(), 'mine')
