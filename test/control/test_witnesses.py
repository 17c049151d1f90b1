"""Which frozen states stop an arm: its own, whatever else has noise; and not what may stand still while it moves."""

import numpy as np
import pytest
from support.contracts import ABSOLUTE_TEXT, DELTA_TEXT

from mode_ros.control.contract import parse_contract
from mode_ros.control.grippers import holds
from mode_ros.control.safety import FrozenWatch
from mode_ros.robots import known_robots, load_named_contract

START = 10**12


def frozen(contract, changing, moving, periods=60, every=1):
    """What is said when the states `changing` differ from message to message and the others repeat themselves, while
    the groups `moving` are commanded as far as they may go. every: periods from message to message.
    """
    watch = FrozenWatch(contract)
    largest = [d.max_step or (d.upper if delta else 0.05 * (d.upper - d.lower))
               for d, delta in zip(contract.dimensions, contract.delta_mask, strict=True)]  # fmt: skip
    step = np.zeros(len(largest))
    for name in moving:
        step[contract.group_slices[name]] = np.array(largest)[contract.group_slices[name]]
    for number in range(periods):
        now = START + number * contract.period
        for state in contract.observation.states if number % every == 0 else ():
            shown = 1e-6 * number if state.name in changing else 0.0
            watch.measured(state.name, now, np.full(len(state.names), shown))
        watch.commanded(step)
        if said := watch.problem(now):
            return said.partition(':')[0]
    return ''


def names(contract):
    return {state.name for state in contract.observation.states}


SHIPPED = [load_named_contract(robot)[0] for robot in known_robots()]


@pytest.mark.parametrize('contract', SHIPPED, ids=lambda contract: contract.robot)
def test_joints_of_a_shipped_arm_that_are_frozen_are_found_whatever_else_has_noise(contract):
    """In franka_fr3_servo the second finger, which nobody commands, spoke for the arm."""
    for group in contract.action:
        own = 'joints' if group.kind == 'delta' else group.feedback
        if own is not None and not holds(group):
            assert frozen(contract, names(contract) - {own}, {group.name}) == own


@pytest.mark.parametrize('contract', SHIPPED, ids=lambda contract: contract.robot)
def test_a_shipped_arm_that_moves_is_not_frozen_whatever_else_stands_still(contract):
    own = {'joints', *(g.feedback for g in contract.action if g.output.adapter != 'gripper_command')}
    assert frozen(contract, own, {group.name for group in contract.action}) == ''
    assert frozen(contract, set(), {'gripper'} & {group.name for group in contract.action}) == '', 'it holds something'


def states(*lines):
    return ''.join(f'    - {{{line}, max_age: 0.2}}\n' for line in lines)


def joints(name, count=6, more='', topic='', prefix='', unit='rad'):
    listed = ', '.join([*(f'{prefix or name}_{number}' for number in range(count)), *more.split()])
    return f'name: {name}, topic: {topic or name}, type: joint_state, names: [{listed}], unit: {unit}'


def pose(name):
    return f'name: {name}, topic: {name}, type: pose, names: [x, y, z, qx, qy, qz, qw], unit: m'


def twist(name='arm', topic='servo', box=''):
    bounds = ''.join(f'      - {{name: {axis}, unit: m, lower: -0.02, upper: 0.02}}\n' for axis in 'xyz')
    return (
        f'  - name: {name}\n    kind: delta\n    dimensions:\n{bounds}'
        + (f'    box: {{state: {box}, lower: [-1, -1, -1], upper: [1, 1, 1]}}\n' if box else '')
        + f'    output: {{adapter: twist, topic: {topic}, frame_id: base}}\n'
    )


def gripper(name='gripper', feedback='fingers', joint='finger'):
    told = f'    feedback: {feedback}\n' if feedback else ''
    return (
        f'  - name: {name}\n    kind: absolute\n{told}    dimensions:\n'
        f'      - {{name: {joint}, unit: rad, lower: 0.0, upper: 0.04}}\n'
        f'    output: {{adapter: forward_command, topic: {name}_commands}}\n'
    )


def contract(observed, *groups):
    text = f'robot: mine\nrate: 20.0\nobservation:\n  states:\n{observed}action:\n{"".join(groups)}'
    return parse_contract(text, 'mine.yaml')


TWO_FINGERS = joints('fingers', 0, 'finger other')


def test_a_second_finger_and_a_copy_of_it_do_not_speak_for_the_arm():
    copy = joints('copy', 0, 'other third')
    robot = contract(states(joints('arm_joints'), TWO_FINGERS, copy), twist(), gripper())
    assert frozen(robot, {'fingers', 'copy'}, {'arm'}) == 'arm_joints'
    assert frozen(robot, {'arm_joints'}, {'arm'}) == '', 'the gripper holds something'
    few = contract(states(joints('arm_joints', 2), TWO_FINGERS, copy), twist(), gripper())
    assert frozen(few, {'fingers', 'copy'}, {'arm'}) == 'arm_joints'


def test_two_grippers_with_one_feedback_do_not_speak_for_the_arm():
    both = joints('fingers', 0, 'left right')
    grippers = [gripper('left_gripper', joint='left'), gripper('right_gripper', joint='right')]
    robot = contract(states(joints('arm_joints', 2), both), twist(), *grippers)
    assert frozen(robot, {'fingers'}, {'arm'}) == 'arm_joints'
    assert frozen(robot, {'arm_joints'}, {'arm'}) == ''


def test_fingers_that_no_group_names_neither_speak_for_the_arm_nor_have_to_move():
    for unit in ('rad', 'm'):
        unnamed = joints('fingers', 2, unit=unit)
        robot = contract(states(joints('arm_joints'), unnamed), twist(), gripper(feedback=''))
        assert frozen(robot, {'fingers'}, {'arm'}) == 'arm_joints'
        assert frozen(robot, {'arm_joints'}, {'arm'}) == ''


def test_an_arms_joints_may_come_with_its_fingers():
    robot = contract(states(joints('all', 7, 'finger other'), pose('tag')), twist(), gripper(feedback='all'))
    assert frozen(robot, {'tag'}, {'arm'}) == 'all'
    assert frozen(robot, {'all'}, {'arm'}) == ''


def test_a_hand_of_many_joints_is_not_the_arm():
    hand = joints('fingers', 12, 'finger')
    robot = contract(states(joints('arm_joints'), hand), twist(), gripper())
    assert frozen(robot, {'fingers'}, {'arm'}) == 'arm_joints'
    assert frozen(robot, {'arm_joints'}, {'arm'}) == ''


def test_a_goal_and_a_tag_may_stand_still_and_the_pose_of_a_box_may_not():
    free = contract(states(joints('arm_joints'), pose('aim')), twist())
    assert frozen(free, {'arm_joints'}, {'arm'}) == ''
    boxed = contract(states(joints('arm_joints'), pose('hand'), pose('aim')), twist(box='hand'))
    assert frozen(boxed, {'arm_joints', 'aim'}, {'arm'}) == 'hand'
    assert frozen(boxed, {'hand', 'aim'}, {'arm'}) == 'arm_joints'
    assert frozen(boxed, {'hand', 'arm_joints'}, {'arm'}) == ''


def test_where_it_cannot_be_told_which_joints_are_the_arms_one_of_them_has_to_change():
    """Another arm that is only watched may stand still."""
    robot = contract(states(joints('arm_joints'), joints('watched')), twist())
    assert frozen(robot, {'arm_joints'}, {'arm'}) == ''
    assert frozen(robot, set(), {'arm'}) == 'arm_joints, watched'


@pytest.mark.parametrize('space', ['left/', ''])
def test_of_two_arms_one_does_not_speak_for_the_other(space):
    """Told apart by their namespaces, or else once both have moved; and the one that rests may."""
    observed = states(
        joints('left_joints', topic=f'{space}states'), joints('right_joints', topic='right/states'), pose('tag')
    )
    robot = contract(observed, twist('left', f'{space}servo'), twist('right', 'right/servo'))
    assert frozen(robot, {'right_joints', 'tag'}, {'left', 'right'}) == 'left_joints'
    assert frozen(robot, {'right_joints', 'tag'}, {'left'}) == ('left_joints' if space else '')
    assert frozen(robot, {'left_joints', 'tag'}, {'right'}) == 'right_joints'
    assert frozen(robot, {'left_joints'}, {'left'}) == '', 'the right one rests'
    assert frozen(robot, {'right_joints'}, {'right'}) == ''
    assert frozen(robot, {'left_joints', 'right_joints'}, {'left', 'right'}) == ''


def test_two_boxes_tell_two_arms_apart():
    robot = contract(states(pose('near'), pose('far')), twist('left', 'a', 'near'), twist('right', 'b', 'far'))
    assert frozen(robot, {'far'}, {'left'}) == 'near'
    assert frozen(robot, {'near'}, {'left'}) == ''
    assert frozen(robot, {'far'}, {'right'}) == ''


@pytest.mark.parametrize('text', [DELTA_TEXT, ABSOLUTE_TEXT])
def test_a_state_that_speaks_rarely_is_not_frozen_before_it_speaks(text):
    """Each of its messages is another one, and the arm goes far between two of them."""
    robot = parse_contract(text.replace('max_age: 0.2', 'max_age: 9.0'), 'mine.yaml')
    assert frozen(robot, {'joints'}, {'arm'}, periods=200, every=40) == ''
    assert frozen(robot, set(), {'arm'}, periods=200, every=40) == 'joints'


@pytest.mark.parametrize('adapter', ['joint_trajectory', 'forward_command'])
def test_a_gripper_holds_something_whatever_its_adapter(adapter):
    text = gripper().replace('adapter: forward_command', f'adapter: {adapter}')
    robot = contract(states(joints('arm_joints'), TWO_FINGERS), twist(), text)
    assert frozen(robot, {'arm_joints'}, {'arm', 'gripper'}) == ''


def test_an_arm_beside_a_base_of_displacements_is_found_frozen():
    """In one namespace with the base, as where a platform publishes all joints."""
    robot = contract(
        states(joints('joints', topic='platform/joint_states')),
        twist('base', 'platform/cmd_vel'),
        twist('arm', 'manipulators/servo'),
    )
    assert frozen(robot, set(), {'arm'}) == 'joints'
    assert frozen(robot, {'joints'}, {'arm', 'base'}) == ''


def test_what_is_measured_beside_an_arm_of_targets_does_not_move_with_a_base():
    bounds = ''.join(
        f'      - {{name: joints_{k}, unit: rad, lower: -2.0, upper: 2.0, max_step: 0.1}}\n' for k in range(3)
    )
    arm = (
        f'  - name: arm\n    kind: absolute\n    feedback: joints\n    dimensions:\n{bounds}'
        '    output: {adapter: joint_trajectory, topic: arm}\n'
    )
    robot = contract(states(joints('joints', 3, more='torso pan tilt'), pose('odometry')), arm, twist('base'))
    assert frozen(robot, {'odometry'}, {'base'}) == ''
    assert frozen(robot, {'odometry'}, {'base', 'arm'}) == 'joints', 'the feedback of its own targets'


def test_back_and_forth_does_not_add_up():
    """Targets that jitter below what the servos resolve."""
    watch = FrozenWatch(parse_contract(ABSOLUTE_TEXT, 'mine.yaml'))
    for number in range(400):
        watch.measured('joints', START + number * 100_000_000, np.zeros(2))
        watch.commanded(np.array([0.03, 0.0]) * (-1) ** number)
        assert watch.problem(START + number * 100_000_000) == ''
    watch.stopped()
    assert watch.unchanged() == ''
