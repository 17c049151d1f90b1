"""The adapters pose and gripper_command: what they send, and that it is read back from recordings."""

import numpy as np
import pytest
from geometry_msgs.msg import PoseStamped
from sensor_msgs.msg import JointState
from support.contracts import AXES_TEXT, GRIPPER_TEXT, VECTOR_TEXT

from mode_ros.control.contract import parse_contract
from mode_ros.control.observation import Unusable
from mode_ros.control.poses import pose_vector, quaternion_of_vector
from mode_ros.errors import UserError
from mode_ros.messages.commands import decode_command, encode_command
from mode_ros.messages.stamps import to_nanoseconds
from mode_ros.recording.topics import recorded_topics

STAMP = 12_345_678_901


@pytest.mark.parametrize('text', [VECTOR_TEXT, AXES_TEXT], ids=['rotation vector', 'two axes'])
def test_a_pose_is_read_back(text):
    group = parse_contract(text, 'posed.yaml').action[0]
    values = pose_vector(np.array([0.1, 0.2, 0.3]), quaternion_of_vector(np.array([3.3, 0.1, 0.2])), group)
    message = encode_command(values, group, 0.05, STAMP)
    assert isinstance(message, PoseStamped)
    assert message.header.frame_id == 'base'
    assert to_nanoseconds(message.header.stamp) == STAMP
    assert decode_command(message, group, 0.05) == pytest.approx(values)
    message.pose.orientation.x *= -1
    message.pose.orientation.y *= -1
    message.pose.orientation.z *= -1
    message.pose.orientation.w *= -1
    assert decode_command(message, group, 0.05) == pytest.approx(values), 'q and -q are one rotation'


def test_poses_that_cannot_be_read():
    group = parse_contract(VECTOR_TEXT, 'posed.yaml').action[0]
    message = PoseStamped()
    message.pose.orientation.w = 0.0
    with pytest.raises(Unusable, match='a quaternion of length 0'):
        decode_command(message, group, 0.05)
    message.pose.orientation.w = float('nan')
    with pytest.raises(Unusable, match='nan'):
        decode_command(message, group, 0.05)
    message.header.frame_id = 'world'
    with pytest.raises(Unusable, match="in the frame 'world', expected 'base'"):
        decode_command(message, group, 0.05)


def test_what_a_gripper_is_told_is_recorded_and_read_back():
    contract = parse_contract(GRIPPER_TEXT, 'gripping.yaml')
    group = contract.action[0]
    message = encode_command(np.array([0.02]), group, 0.05, STAMP)
    assert isinstance(message, JointState)
    assert (list(message.name), list(message.position)) == (['finger_joint'], [0.02])
    assert to_nanoseconds(message.header.stamp) == STAMP
    assert decode_command(message, group, 0.05).tolist() == [0.02]
    recorded = {topic.name: topic.type for topic in recorded_topics(contract)}
    assert recorded['gripper/commanded'] == 'sensor_msgs/msg/JointState'
    with pytest.raises(Unusable, match='expected'):
        decode_command(JointState(name=['other'], position=[0.0]), group, 0.05)
    with pytest.raises(Unusable, match='0 positions'):
        decode_command(JointState(name=['finger_joint']), group, 0.05)


@pytest.mark.parametrize(
    ('old', 'new', 'words'),
    [
        ('action: gripper/gripper_cmd, ', '', "the adapter 'gripper_command' needs action"),
        ('tolerance: 0.002', 'max_effort: 5.0', "the adapter 'gripper_command' needs action"),
        ('tolerance: 0.002', 'tolerance: 0.0', 'tolerance'),
        ('tolerance: 0.002', 'tolerance: 0.002, max_effort: -1.0', 'max_effort'),
        ('tolerance: 0.002', 'tolerance: 0.002, action_type: Gripper', 'action_type'),
        ('adapter: gripper_command', 'adapter: forward_command', 'action is for the adapter gripper_command'),
        ('kind: absolute', 'kind: delta', "its kind is 'absolute'"),
    ],
)
def test_gripper_contracts_that_are_refused(old, new, words):
    assert old in GRIPPER_TEXT
    with pytest.raises(UserError) as caught:
        parse_contract(GRIPPER_TEXT.replace(old, new), 'gripping.yaml')
    assert words in str(caught.value)
