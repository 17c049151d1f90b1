"""What a simulated robot tells on which topic, and which contracts it is refused for."""

import numpy as np
import pytest
from support.toy_simulator import JOINTS, ToySimulator

from mode_ros.control.contract import parse_contract
from mode_ros.control.observation import Unusable
from mode_ros.errors import UserError
from mode_ros.messages.states import MESSAGE_TYPES, decode_state, encode_joint_state
from mode_ros.robots import load_named_contract
from mode_ros.sim.metaworld_sim import SCENE_NAMES
from mode_ros.sim.simulator import Forces, RobotState
from mode_ros.simulated import Joints, Pose, Wrench, check_fits, state_readings, stream_values
from mode_ros.simulated_messages import encode_reading

CONTRACT, TEXT = load_named_contract('metaworld_sawyer_state')
FORCE, FORCE_TEXT = load_named_contract('metaworld_sawyer_state_force')


class Seer(ToySimulator):
    """A toy that tells a scene; every number that it measures is another one."""

    scene_names = SCENE_NAMES

    def state(self):
        return RobotState(JOINTS, np.arange(9.0), 10 + np.arange(9.0), np.full(3, 20.0), np.array([0, 0, 0, 1.0]), 0.1)

    def scene(self):
        return 30 + np.arange(17.0)


class Feeler(Seer):
    """And forces, and a scene that moves."""

    effort_names = JOINTS[-2:]

    def scene(self):
        return 30 + np.arange(17.0) + len(self.executed)

    def forces(self):
        return Forces(50 + np.arange(6.0), np.array([60.0, 61.0]))


def changed(old, new, text=TEXT):
    assert old in text
    return parse_contract(text.replace(old, new), 'changed')


def test_each_topic_has_its_own_reading():
    readings = state_readings(CONTRACT, Seer('reach'))

    assert list(readings) == ['joint_states', 'end_effector_pose', 'scene_state']
    joints, pose, scene = readings.values()
    assert isinstance(joints, Joints)
    assert joints.names == JOINTS
    assert (joints.positions[1], joints.velocities[1]) == (1, 11)
    assert isinstance(pose, Pose)
    assert pose.position.tolist() == [20, 20, 20]
    assert isinstance(scene, Joints)
    assert (scene.names, scene.positions.tolist()) == (SCENE_NAMES, list(range(30, 47)))


def test_values_are_found_by_name_and_are_those_of_the_messages():
    readings = state_readings(CONTRACT, Seer('reach'))
    fingers, scene = CONTRACT.state('fingers'), CONTRACT.state('scene')

    assert stream_values(readings['joint_states'], fingers).tolist() == [7, 8]
    turned = scene.model_copy(update={'names': ('goal_x', 'object_1_x')})
    assert stream_values(readings['scene_state'], turned).tolist() == [44, 30]
    told = readings['scene_state']
    message = encode_joint_state(told.names, told.positions, told.velocities, 5)
    assert decode_state(message, turned).tolist() == [44, 30]
    with pytest.raises(Unusable, match='velocity'):
        decode_state(message, turned.model_copy(update={'field': 'velocity'}))


def test_a_part_of_the_scene_will_do():
    contract = changed('        [object_1_x, object_1_y, object_1_z, object_1_q0', '        [object_1_q0')
    check_fits(contract, 'This', Seer('reach'))
    assert len(stream_values(state_readings(contract, Seer('reach'))['scene_state'], contract.state('scene'))) == 14


def test_a_simulator_that_does_not_tell_the_scene_refuses():
    check_fits(CONTRACT, 'This', Seer('reach'))
    with pytest.raises(UserError, match=r"'object_1_x' in the state 'scene'.* and nothing of the scene"):
        check_fits(CONTRACT, 'This', ToySimulator('reach'))


@pytest.mark.parametrize(
    ('old', 'new', 'told'),
    [
        ('goal_x, goal_y, goal_z]', 'goal_x, goal_y, goal_w]', r"'goal_w' .* and of the scene \['object_1_x'"),
        ('topic: scene_state', 'topic: joint_states', "'joint_states' has joints of the robot as well as the scene"),
        ('names: [r_close, l_close]', 'names: [r_close, goal_x]', 'well as the scene'),
        ('topic: scene_state\n      type: joint_state', 'topic: scene_state\n      type: joint_state\n      field: '
         'velocity', "'scene' is a velocity of the scene"),
        ('topic: scene_state\n      type: joint_state', 'topic: scene_state\n      type: joint_state\n      field: '
         'effort', "'scene' is an effort"),
    ],
)  # fmt: skip
def test_a_scene_that_is_not_told_is_refused(old, new, told):
    with pytest.raises(UserError, match=told):
        check_fits(changed(old, new), 'This', Seer('reach'))


def test_forces_and_the_first_scene_are_told_each_on_its_topic():
    simulator = Feeler('reach')
    simulator.step(np.zeros(4))
    check_fits(FORCE, 'This', simulator)
    readings = state_readings(FORCE, simulator)

    assert isinstance(readings['wrist/wrench'], Wrench)
    gripper = readings['gripper/joint_states']
    assert gripper.names == JOINTS[-2:], 'the driver of a gripper knows no other joints'
    assert (gripper.positions.tolist(), gripper.velocities.tolist()) == ([7, 8], [17, 18])
    assert readings['joint_states'].efforts.size == 0, 'nothing pulls at the arm alone'
    told = {state.name: stream_values(readings[state.topic], state).tolist() for state in FORCE.observation.states}
    assert (told['wrench'], told['grip']) == (list(range(50, 56)), [60, 61])
    assert (told['scene'], told['first_scene']) == (list(range(31, 48)), list(range(30, 47)))
    for state in FORCE.observation.states:
        message = encode_reading(readings[state.topic], 5)
        assert isinstance(message, MESSAGE_TYPES[state.type])
        assert message.header.stamp.nanosec == 5
        assert decode_state(message, state).tolist() == told[state.name], state.name


@pytest.mark.parametrize(
    ('simulator', 'old', 'new', 'told'),
    [
        (Seer, 'rate', 'rate', "'wrench' is a wrench, and no forces are simulated"),
        (Feeler, 'field: effort\n      names: [r_close, l_close]', 'field: effort\n      names: [r_close, right_j0]',
         r"'grip' is an effort of 'right_j0', and only those of \['r_close', 'l_close'\]"),
        (Feeler, 'gripper/joint_states', 'joint_states', "'joint_states' has efforts, which .* and 'right_j0' in the "),
        (Feeler, 'first_scene_state', 'scene_state', "'scene_state' has the scene of the reset as well as the scene"),
        (Feeler, 'first_goal_x', 'first_gaol_x', "'first_gaol_x' in the state 'first_scene'"),
        (Feeler, 'topic: first_scene_state', 'field: velocity\n      topic: first_scene_state',
         "'first_scene' is a velocity of the scene"),
    ],
)  # fmt: skip
def test_forces_that_are_not_told_are_refused(simulator, old, new, told):
    with pytest.raises(UserError, match=told):
        check_fits(changed(old, new, FORCE_TEXT), 'This', simulator('reach'))


def test_a_simulator_without_forces_says_so():
    with pytest.raises(UserError, match='tells no forces'):
        Seer('reach').forces()


def test_the_contract_of_forces_is_the_other_with_three_states_more():
    states = {state.name: state for state in FORCE.observation.states}
    assert [states[state.name] for state in CONTRACT.observation.states] == list(CONTRACT.observation.states)
    assert set(states) - {state.name for state in CONTRACT.observation.states} == {'wrench', 'grip', 'first_scene'}
    assert states['first_scene'].names == tuple(f'first_{name}' for name in SCENE_NAMES)
    assert (FORCE.action, FORCE.rate) == (CONTRACT.action, CONTRACT.rate)


def test_the_contract_is_metaworlds_arm_without_cameras():
    pictures = load_named_contract('metaworld_sawyer')[0]
    assert CONTRACT.observation.cameras == ()
    assert CONTRACT.observation.states[:3] == pictures.observation.states
    assert CONTRACT.state('scene').names == SCENE_NAMES
    assert (CONTRACT.action, CONTRACT.rate) == (pictures.action, pictures.rate)
