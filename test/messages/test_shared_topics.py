"""Groups that share a topic leave in one message, and are picked out of one by name."""

import numpy as np
import pytest

from mode_ros.control.contract import parse_contract
from mode_ros.errors import UserError
from mode_ros.messages.commands import decode_command, encode_command, encode_commands

HEAD = """
robot: shared
rate: 20.0
observation:
  states:
    - {name: joints, topic: joint_states, type: joint_state, names: [a, b, grip], unit: rad, max_age: 0.2}
action:
"""
GROUPS = """\
  - name: arm
    kind: absolute
    feedback: joints
    dimensions:
      - {name: a, unit: rad, lower: -3.0, upper: 3.0}
      - {name: b, unit: rad, lower: -3.0, upper: 3.0}
    output: OUTPUT
  - name: gripper
    kind: absolute
    dimensions:
      - {name: grip, unit: m, lower: 0.0, upper: 0.1, message_unit: mm}
    output: OUTPUT
"""
TRAJECTORY = HEAD + GROUPS.replace('OUTPUT', '{adapter: joint_trajectory, topic: command}')
ARRAY = HEAD + GROUPS.replace('OUTPUT', '{adapter: forward_command, topic: command, joints: [grip, b, a]}')
COMMANDS = {'arm': np.array([0.1, -0.2]), 'gripper': np.array([0.05])}


def sent(text, commands=COMMANDS, velocities=None):
    contract = parse_contract(text, 'here')
    return contract, [*encode_commands(commands, contract, 0.05, 7, velocities)]


def test_a_trajectory_of_all_joints():
    contract, ((topic, groups, message),) = sent(TRAJECTORY)
    assert topic == 'command'
    assert [group.name for group in groups] == ['arm', 'gripper']
    assert list(message.joint_names) == ['a', 'b', 'grip']
    assert list(message.points[0].positions) == pytest.approx([0.1, -0.2, 50.0])
    for group in contract.action:
        assert decode_command(message, group, 0.05) == pytest.approx(COMMANDS[group.name])


def test_velocities_where_all_groups_have_them():
    moving = {'arm': np.array([1.0, 0.0]), 'gripper': np.array([0.01])}
    _, ((_, _, message),) = sent(TRAJECTORY, velocities=moving)
    assert list(message.points[0].velocities) == pytest.approx([1.0, 0.0, 10.0])
    assert list(message.points[-1].velocities) == [0.0, 0.0, 0.0]
    _, ((_, _, message),) = sent(TRAJECTORY, velocities={'arm': moving['arm']})
    assert len(message.points) == 1
    assert not len(message.points[0].velocities)


def test_an_array_by_names():
    contract, ((_, _, message),) = sent(ARRAY)
    assert list(message.data) == pytest.approx([50.0, -0.2, 0.1])
    for group in contract.action:
        assert decode_command(message, group, 0.05) == pytest.approx(COMMANDS[group.name])


@pytest.mark.parametrize('text', [TRAJECTORY, ARRAY])
def test_nothing_leaves_before_all_have_a_command(text):
    assert sent(text, {'arm': COMMANDS['arm']})[1] == []


def test_groups_with_topics_of_their_own_leave_as_before():
    text = TRAJECTORY.replace('topic: command}', 'topic: other}', 1)
    contract, messages = sent(text)
    assert [(topic, message) for topic, _, message in messages] == [
        (group.output.topic, encode_command(COMMANDS[group.name], group, 0.05, 7)) for group in contract.action
    ]
    assert [topic for topic, _, _ in sent(text, {'gripper': COMMANDS['gripper']})[1]] == ['command']


@pytest.mark.parametrize(
    ('text', 'words'),
    [
        (ARRAY.replace(', joints: [grip, b, a]', ''), 'give both the same output.joints'),
        (ARRAY.replace('[grip, b, a]', '[grip, a, b]', 1), 'give both the same output.joints'),
        (ARRAY.replace('[grip, b, a]', '[grip, b, a, c]'), "no action group commands ['c']"),
        (ARRAY.replace('[grip, b, a]', '[b, a]'), "lacks the dimensions ['grip']"),
        (ARRAY.replace('[grip, b, a]', '[grip, b, a, a]'), "output.joints repeat ['a']"),
        (TRAJECTORY.replace('name: grip,', 'name: a,'), "which share the topic 'command', repeat ['a']"),
        (TRAJECTORY.replace('topic: command}', 'topic: command, joints: [a, b]}', 1), 'joints is for the adapter'),
        (
            HEAD + GROUPS.split('  - name: gripper')[1].join(['  - name: gripper', '  - name: other']).replace(
                'OUTPUT', '{adapter: gripper_command, topic: told, action: act, tolerance: 0.001}'
            ) + GROUPS.split('  - name: gripper')[1].replace('name: grip,', 'name: b,').replace(
                'OUTPUT', '{adapter: gripper_command, topic: told, action: act2, tolerance: 0.001}'
            ),
            'cannot be one message; give each a topic of its own',
        ),
    ],
)  # fmt: skip
def test_what_cannot_be_one_message_is_refused(text, words):
    with pytest.raises(UserError) as caught:
        parse_contract(text, 'here')
    assert words in str(caught.value)
