"""The contract file: what is accepted, what is refused with which words, and where two contracts differ."""

import pytest
from support.contracts import ABSOLUTE_TEXT, AXES_TEXT, DELTA_TEXT, VECTOR_TEXT, absolute_contract, delta_contract

from mode_ros.control.contract import differences, load_contract, parse_contract
from mode_ros.errors import UserError
from mode_ros.robots import find_contract, known_robots, load_named_contract


@pytest.mark.parametrize('robot', known_robots())
def test_every_contract_that_ships_is_valid(robot):
    contract, _ = load_named_contract(robot)
    assert contract.robot == robot
    assert len(contract.action_names) == len(contract.delta_mask)


def test_three_robots_ship():
    assert {'metaworld_sawyer', 'libero_panda', 'ros2_control_arm'} <= set(known_robots())


def test_order_of_the_action_vector():
    contract = delta_contract()
    assert contract.action_names == ('x', 'y', 'z', 'grip')
    assert contract.delta_mask.tolist() == [True, True, True, False]
    assert contract.group_slices == {'arm': slice(0, 3), 'gripper': slice(3, 4)}
    assert contract.period == 50_000_000


@pytest.mark.parametrize(
    ('old', 'new', 'words'),
    [
        ('rate: 20.0', 'rate: 0.0', 'rate'),
        ('rate: 20.0', 'rate: .nan', 'rate'),
        ('rate: 20.0', 'rate: 20.0\nrate: 30.0', 'written twice'),
        ('topic: static/image,', 'topc: static/image,', 'observation.cameras.0.topc: unknown key, did you mean topic?'),
        ('topic: static/image,', 'topic: "static image",', 'topic'),
        ('width: 32', 'width: 8', 'width'),
        ('max_age: 0.3', 'max_age: 0.0', 'max_age'),
        ('type: joint_state', 'type: pose', 'a pose has the names'),
        ('names: [a, b]', 'names: [a, a]', "repeat ['a']"),
        ('name: static', 'name: joints', "streams repeat ['joints']"),
        ('{name: x, unit: m, lower: -0.04', '{name: x, unit: m, lower: 0.05', 'must be below upper'),
        ('{name: x, unit: m, lower: -0.04', '{name: x, unit: m, lower: 0.01', 'excludes 0'),
        ('{name: x, unit: m', '{name: x, unit: rad', "is in 'm'"),
        ('{name: x, unit: m', '{name: w, unit: m', 'a twist has the dimensions'),
        ('name: y,', 'name: x,', 'a twist has the dimensions'),
        ('unit: rad, max_age', 'unit: rad, message_unit: mm, max_age', "'mm' is a length and 'rad' a angle"),
        ('unit: rad, max_age', 'unit: rad, message_unit: deg, scale: 2, max_age', 'either message_unit, or scale'),
        ('unit: rad, max_age', 'unit: rad, message_unit: grad, max_age', "the unit 'grad' is not known by name"),
        ('unit: rad, max_age', 'unit: rad, scale: 0, max_age', 'scale 0 makes every number the same'),
        ('unit: rad, max_age', 'unit: rad, lower: 1, upper: -1, max_age', 'must be below upper'),
        ('{name: x, unit: m,', '{name: x, unit: m, offset: 0.1,', 'a displacement, which has a scale and no offset'),
        ('kind: delta', 'kind: delta\n    initial: [0, 0, 0]', 'needs no initial'),
        ('kind: absolute', 'kind: absolute\n    initial: [0, 0]', 'initial has 2 numbers for'),
        ('kind: absolute', 'kind: absolute\n    initial: [2]', 'is beyond -1.0 to 1.0'),
        ('kind: delta', 'kind: absolute', "its kind is 'delta'"),
        ('kind: absolute', 'kind: delta', "its kind is 'absolute'"),
        ('lower: -1.0, upper: 1.0}', 'lower: -1.0, upper: 1.0, max_step: 0.1}', 'needs feedback'),
        (
            'topic: joint_states',
            'topic: /static/image',
            "'/static/image' is sensor_msgs/msg/Image for camera 'static' and",
        ),
        (
            'topic: joint_states',
            'topic: static/image',
            "and sensor_msgs/msg/JointState for state 'joints'; a topic has one",
        ),
        (
            'topic: joint_states',
            'topic: goal',
            "'goal' is std_msgs/msg/String for goal_topic and sensor_msgs/msg/Joint",
        ),
        ('topic: joint_states', 'topic: success', "'success' is std_msgs/msg/Bool for the nodes and sensor_msgs/msg/J"),
        (
            'topic: gripper/command',
            'topic: arm/twist',
            "is geometry_msgs/msg/TwistStamped for action group 'arm' and std",
        ),
        ('rate: 20.0', 'rate: 1.0e-300', 'rate'),
        ('rate: 20.0', 'rate: 0.0001', 'rate'),
        ('rate: 20.0', 'rate: 20.0\ncontrol_rate: 50.0', 'control_rate 50.0 Hz is not a multiple of rate 20.0 Hz'),
        ('rate: 20.0', 'rate: 20.0\ncontrol_rate: 10.0', 'control_rate 10.0 Hz is not a multiple'),
        ('rate: 20.0', 'rate: 20.0\nmax_chunk_length: 0', 'max_chunk_length'),
        ('max_step: 0.02', 'max_step: 0.02, max_jerk: 5.0', "'z' limits its jerk, so it needs max_step and"),
        ('kind: delta', 'kind: delta\n    max_tracking_error: 0.1', 'so the group needs feedback'),
        ('max_age: 0.3', 'max_age: 0.3, delay: -0.1', 'delay'),
        ('robot: tester', '- robot', 'mapping'),
        ('robot: tester', 'robot: [', 'not valid YAML'),
    ],
)
def test_refuses(old, new, words):
    assert old in DELTA_TEXT
    text = new if words == 'mapping' else DELTA_TEXT.replace(old, new, 1)
    with pytest.raises(UserError) as caught:
        parse_contract(text, 'mine.yaml')
    assert words in str(caught.value)
    assert 'mine.yaml' in str(caught.value)


@pytest.mark.parametrize('unit', ['rad/s', 'deg/s', 'rpm', 'Nm', 'N·m'])
@pytest.mark.parametrize('adapter', ['joint_trajectory', 'forward_command'])
def test_what_a_stop_cannot_hold_is_refused(unit, adapter):
    text = ABSOLUTE_TEXT.replace('adapter: joint_trajectory', f'adapter: {adapter}')
    with pytest.raises(UserError, match=f'in {unit!r}.*a speed or a force would go on'):
        parse_contract(text.replace('unit: rad, lower', f'unit: {unit}, lower'), 'mine.yaml')


def test_one_topic_can_be_several_streams():
    line = '    - {name: joints, topic: joint_states, type: joint_state, names: [a, b], unit: rad, max_age: 0.2}\n'
    more = line.replace('name: joints', 'name: speeds').replace('unit: rad', 'unit: rad/s, field: velocity')
    contract = parse_contract(DELTA_TEXT.replace(line, line + more), 'mine.yaml')
    assert [state.topic for state in contract.observation.states] == ['joint_states'] * 2


def test_two_arms_may_have_the_same_joint_names():
    two = ABSOLUTE_TEXT + ABSOLUTE_TEXT.partition('action:')[2].replace('name: arm', 'name: other').replace(
        'arm/trajectory', 'other/trajectory'
    )
    contract = parse_contract(two, 'mine.yaml')
    assert contract.action_names == ('arm.a', 'arm.b', 'other.a', 'other.b')
    assert contract.action[1].names == ('a', 'b'), 'messages carry the plain names'
    with pytest.raises(UserError, match=r"dimensions of the action group 'arm' repeat \['a'\]"):
        parse_contract(ABSOLUTE_TEXT.replace('name: b, unit', 'name: a, unit'), 'mine.yaml')


def test_units_by_name_and_by_numbers():
    text = DELTA_TEXT.replace('unit: rad, max_age', 'unit: rad, message_unit: deg, max_age')
    assert parse_contract(text, 'mine.yaml').state('joints').conversion == (pytest.approx(0.0174533), 0.0)
    text = DELTA_TEXT.replace("unit: '1', lower", "unit: '1', scale: 0.02, offset: -1.0, lower")
    assert parse_contract(text, 'mine.yaml').dimensions[3].conversion == (0.02, -1.0)


def test_refuses_feedback_in_another_unit():
    other = ABSOLUTE_TEXT.replace('names: [b, a], unit: rad', 'names: [b, a], unit: deg')
    with pytest.raises(UserError, match="'a' of the action group 'arm' is commanded in 'rad', and its feedback 'joints'"
                       " is in 'deg': give both one unit"):  # fmt: skip
        parse_contract(other, 'mine.yaml')
    both = other.replace('unit: deg', 'unit: rad, message_unit: deg')
    assert parse_contract(both, 'mine.yaml').state('joints').unit == 'rad'


HAND = '    - {name: hand, topic: hand, type: pose, names: [x, y, z, qx, qy, qz, qw], unit: m, max_age: 0.2}\naction:'
BOX = '    box: {state: hand, lower: [-1, -1, 0], upper: [1, 1, 1]}\n    output: {adapter: twist'


@pytest.mark.parametrize('unit', ['mm', 'cm', 'rad', 'metres'])
@pytest.mark.parametrize(
    ('text', 'use'),
    [
        (VECTOR_TEXT, "the pose 'hand' is the feedback of the pose 'arm'"),
        (AXES_TEXT, "the pose 'hand' is the feedback of the pose 'arm'"),
        (
            DELTA_TEXT.replace('action:', HAND).replace('    output: {adapter: twist', BOX),
            "the pose 'hand' measures the box of the action group 'arm'",
        ),
    ],
)
def test_refuses_a_pose_in_another_unit_where_metres_are_meant(text, use, unit):
    """400 of them would be 400 m to a Cartesian controller, and outside of no box."""
    assert parse_contract(text, 'mine.yaml').state('hand').unit == 'm'
    other = text.replace('qw], unit: m,', f'qw], unit: {unit},')
    with pytest.raises(UserError, match=f"{use}, which is in 'm', and its own unit is '{unit}': give it unit 'm'"):
        parse_contract(other, 'mine.yaml')
    messages = text.replace('qw], unit: m,', 'qw], unit: m, message_unit: mm,')
    assert parse_contract(messages, 'mine.yaml').state('hand').conversion == (0.001, 0.0)


def test_refuses_feedback_that_does_not_measure():
    with pytest.raises(UserError, match='no state'):
        parse_contract(ABSOLUTE_TEXT.replace('feedback: joints', 'feedback: other'), 'mine.yaml')
    with pytest.raises(UserError, match="does not measure \\['b'\\]"):
        parse_contract(ABSOLUTE_TEXT.replace('names: [b, a]', 'names: [c, a]'), 'mine.yaml')


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(UserError, match=r'nowhere\.yaml'):
        load_contract(tmp_path / 'nowhere.yaml')


def test_a_misspelt_robot_suggests_the_near_one():
    with pytest.raises(UserError, match="did you mean 'metaworld_sawyer'"):
        find_contract('metaworld_sawyr')
    with pytest.raises(UserError, match='No robot contract'):
        find_contract('')


def test_a_path_is_taken_before_a_name(tmp_path):
    path = tmp_path / 'mine.yaml'
    path.write_text(DELTA_TEXT)
    contract, text = load_named_contract(str(path))
    assert contract == delta_contract()
    assert text == DELTA_TEXT


def test_differences_name_the_field():
    ours = delta_contract()
    assert differences(ours, delta_contract()) == []
    theirs = parse_contract(DELTA_TEXT.replace('max_step_change: 0.01', 'max_step_change: 0.02'), 'b')
    assert differences(ours, theirs) == ['action.arm.dimensions.y.max_step_change: 0.01, not 0.02']


def test_differences_of_whole_parts_and_of_order():
    text = DELTA_TEXT.replace(
        '    - {name: static', '    - {name: extra, topic: e, width: 32, height: 32, max_age: 1}\n    - {name: static'
    )
    assert differences(delta_contract(), parse_contract(text, 'b')) == [
        'observation.cameras.extra: absent, not present'
    ]
    swapped = DELTA_TEXT.replace('name: y,', 'name: t,').replace('name: x,', 'name: y,').replace('name: t,', 'name: x,')
    text = swapped.replace('twist,', 'twist,')
    with pytest.raises(UserError, match='a twist has the dimensions'):
        parse_contract(text, 'b')
    joints = ABSOLUTE_TEXT.replace('names: [b, a]', 'names: [a, b]')
    found = differences(absolute_contract(), parse_contract(joints, 'b'))
    assert found == ["observation.states.joints.names: ['b', 'a'], not ['a', 'b']"]


def test_the_order_of_named_parts_matters():
    contract = absolute_contract()
    group = contract.action[0]
    turned = contract.model_copy(update={'action': (group.model_copy(update={'dimensions': group.dimensions[::-1]}),)})
    assert differences(contract, turned) == ["action.arm.dimensions: the order ['a', 'b'], not ['b', 'a']"]


def test_how_actions_become_commands_may_change_after_a_training():
    text = ABSOLUTE_TEXT.replace('rate: 10.0', 'rate: 10.0\ncontrol_rate: 50.0\nmax_chunk_length: 20')
    text = text.replace('feedback: joints', 'feedback: joints\n    max_tracking_error: 0.2')
    text = text.replace('max_step_change: 0.03', 'max_step_change: 0.03, max_jerk: 9.0')
    text = text.replace('topic: arm/trajectory', 'topic: arm/trajectory, delay: 0.1')
    changed = parse_contract(text, 'mine.yaml')
    assert (changed.commands_per_action, changed.command_seconds) == (5, pytest.approx(0.02))
    assert differences(changed, absolute_contract()) == []
    late = parse_contract(ABSOLUTE_TEXT.replace('max_age: 0.2', 'max_age: 0.2, delay: 0.1'), 'mine.yaml')
    assert differences(late, absolute_contract()) == ['observation.states.joints.delay: 0.1, not 0.0']


@pytest.mark.parametrize(
    ('ours', 'theirs', 'recorded', 'running'),
    [
        # What only says how recordings become data: a policy that runs sees the same.
        ('    kind: absolute\n', '    kind: absolute\n    initial: [1.0]\n', True, False),
        ('unit: rad, max_age', 'unit: rad, lower: -3.0, upper: 3.0, max_age', True, False),
        # Two ways to write one conversion are one; another conversion shows the policy other numbers.
        ('unit: rad, max_age', 'unit: rad, scale: 1.0, max_age', False, False),
        ('unit: rad, max_age', 'unit: rad, message_unit: rad, max_age', False, False),
        ('unit: rad, max_age', 'unit: rad, message_unit: deg, max_age', True, True),
        ('unit: rad, max_age', 'unit: rad, offset: 0.1, max_age', True, True),
        ("unit: '1', lower", "unit: '1', scale: 0.5, lower", True, True),
        # When a message counts is part of what is seen.
        ('unit: rad, max_age', 'unit: rad, stamps: reception, max_age', True, True),
        # How a command leaves is not learned.
        ('topic: gripper/command}', 'topic: gripper/command, joints: [grip]}', False, False),
    ],
)
def test_which_keys_a_policy_may_differ_in(ours, theirs, recorded, running):
    assert ours in DELTA_TEXT
    before, after = delta_contract(), parse_contract(DELTA_TEXT.replace(ours, theirs, 1), 'other')
    for one, other in ((before, after), (after, before)):
        assert bool(differences(one, other)) is recorded
        assert bool(differences(one, other, running=True)) is running
