"""`mode_ros contract new`: what is seen becomes a contract that can be read, and what cannot be seen is asked."""

import numpy as np
import pytest
import rclpy
from rclpy.qos import DurabilityPolicy, QoSProfile
from std_msgs.msg import String
from support.driver_bench import DriverBench
from support.mock_drivers import MockForwardCommandController, MockJointTrajectoryController

from mode_ros.cli.contract import asker
from mode_ros.cli.main import build_parser
from mode_ros.control.contract import load_contract, parse_contract
from mode_ros.drivers.contract_text import contract_text, write_contract
from mode_ros.drivers.draft import draft_contract
from mode_ros.drivers.live import LiveGraph
from mode_ros.drivers.offer import Command, Survey
from mode_ros.drivers.survey import survey
from mode_ros.drivers.urdf import joint_limits
from mode_ros.errors import UserError
from mode_ros.messages.images import encode_image

URDF = """<?xml version="1.0"?>
<robot name="arm">
  <joint name="a" type="revolute"><limit lower="-2.0" upper="1.5" velocity="2.0" effort="1"/></joint>
  <joint name="b" type="continuous"><limit velocity="1.0" effort="1"/></joint>
  <joint name="finger" type="prismatic"><limit lower="0" upper="0.04" velocity="0.2" effort="1"/></joint>
  <joint name="finger_2" type="prismatic"><mimic joint="finger"/><limit lower="0" upper="0.04"/></joint>
  <joint name="odd" type="revolute"><limit lower="nan" upper="x" velocity="-1"/></joint>
  <joint name="mount" type="fixed"/>
</robot>
"""
JTC = Command('joint_trajectory', '/jtc/joint_trajectory', '/jtc', joints=('a', 'b'))
FORWARD = Command('forward_command', '/fwd/commands', '/fwd', joints=('a', 'b'), interface='position')
VELOCITY = Command('forward_command', '/vel/commands', '/vel', joints=('a', 'b'), interface='velocity')
GRIP = Command('gripper_command', '/grip/gripper_cmd', '/grip', joints=('finger',), action_type='GripperCommand')
SERVO = Command('twist', '/servo_node/delta_twist_cmds', '/servo_node')
POSE = Command('pose', '/target_pose', '/crisp', frame='base')


def seen(*commands, **changes):
    values = {
        'cameras': {
            '/cam/image_raw': 'raw',
            '/cam/image_raw/compressed': 'compressed',
            '/w/image/compressed': 'compressed',
        },
        'joints': {'/joint_states': ('b', 'a', 'finger', 'finger_2')},
        'commands': commands or (JTC, GRIP),
        'limits': joint_limits(URDF),
    }
    return Survey(**{**values, **changes})


def drafted(found, **answers):
    draft = draft_contract(found, asker('tester', '20', True, None))
    return parse_contract(contract_text(draft), 'drafted'), draft


def test_limits_of_a_description():
    limits = joint_limits(URDF)
    assert (limits['a'].lower, limits['a'].upper, limits['a'].velocity, limits['a'].unit) == (-2.0, 1.5, 2.0, 'rad')
    assert (limits['b'].lower, limits['b'].upper) == (None, None)
    assert (limits['finger'].unit, limits['finger_2'].mimics) == ('m', 'finger')
    assert (limits['odd'].lower, limits['odd'].upper, limits['odd'].velocity) == (None, None, None)
    assert 'mount' not in limits


@pytest.mark.parametrize(('text', 'words'), [('<robot', 'no XML'), ('<sdf/>', '<sdf>, not <robot>'), ('', 'no XML')])
def test_descriptions_that_are_none(text, words):
    with pytest.raises(UserError) as caught:
        joint_limits(text)
    assert words in str(caught.value)


def test_what_is_seen_becomes_a_contract():
    contract, draft = drafted(seen())
    assert (contract.robot, contract.rate) == ('tester', 20.0)
    assert [(camera.name, camera.topic, camera.transport) for camera in contract.observation.cameras] == [
        ('static', 'cam/image_raw', 'raw'),
        ('wrist', 'w/image/compressed', 'compressed'),
    ]
    assert contract.state('joints').names == ('b', 'a')
    assert contract.state('sliders').names == ('finger',), 'what mimics another is no state of its own'
    arm, gripper = contract.action
    assert (arm.feedback, arm.names, arm.output.topic) == ('joints', ('a', 'b'), 'jtc/joint_trajectory')
    assert (arm.dimensions[0].lower, arm.dimensions[0].upper) == (-2.0, 1.5)
    assert arm.dimensions[0].max_step == pytest.approx(0.3 * 2.0 / 20)
    assert (gripper.output.action, gripper.feedback) == ('grip/gripper_cmd', 'sliders')
    assert any('bounds of b are a guess' in note for note in draft.notes)


def test_joints_with_several_controllers_get_one():
    contract, _ = drafted(seen(VELOCITY, FORWARD, JTC, SERVO))
    assert [group.output.adapter for group in contract.action] == ['joint_trajectory']


def test_the_answers_count():
    answers = iter(['my_arm', '30', 'n', 'y', '', 'front', '-'])
    draft = draft_contract(seen(JTC, FORWARD), asker(None, None, False, lambda question: next(answers)))
    contract = parse_contract(contract_text(draft), 'drafted')
    assert (contract.robot, contract.rate) == ('my_arm', 30.0)
    assert [group.output.adapter for group in contract.action] == ['forward_command']


def test_an_answer_that_is_none_is_asked_again(capsys):
    answers = iter(['perhaps', 'n'])
    ask = asker(None, None, False, lambda question: next(answers))
    assert ask('Command?', 'y', ('y', 'n')) == 'n'
    assert 'please one of' in capsys.readouterr().out


def test_hands_by_twists_and_by_poses():
    contract, _ = drafted(seen(SERVO))
    assert contract.action[0].output.frame_id == 'base_link'
    assert contract.action[0].kind == 'delta'
    contract, draft = drafted(seen(POSE, poses=('/current_pose', '/target_pose')))
    assert contract.action[0].feedback == 'hand'
    assert contract.action[0].output.max_speed == 0.1
    assert any('box of the hand' in note for note in draft.notes)
    with pytest.raises(UserError, match='nobody publishes where the hand is'):
        drafted(seen(POSE))


def test_without_a_description_bounds_are_guesses_and_said_to_be():
    _, draft = drafted(seen(JTC, limits={}))
    assert len([note for note in draft.notes if 'are a guess' in note]) == 2


def test_a_topic_whose_joints_all_come_on_another_is_left_out():
    contract, _ = drafted(seen(JTC, joints={'/joint_states': ('a', 'b', 'c'), '/arm/joint_states': ('a', 'b')}))
    assert [state.topic for state in contract.observation.states] == ['joint_states']


@pytest.mark.parametrize(
    ('changes', 'words'),
    [
        ({'joints': {}}, 'start the robot first'),
        ({'commands': ()}, 'start the controllers first'),
        ({'commands': (), 'unknown': {'/arm/cmd': ['/odd']}}, '/odd to /arm/cmd listens and is none of them'),
        ({'commands': (), 'unknown': {'/arm/cmd': ['/left/sim_node']}}, 'has its contract'),
        ({'commands': (VELOCITY,)}, 'No way to command the robot was chosen'),
    ],
)
def test_graphs_of_which_no_contract_can_be_made(changes, words):
    with pytest.raises(UserError) as caught:
        drafted(Survey(**{**seen().__dict__, **changes}))
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ('robot', 'rate', 'words'),
    [('7of9', '20', "'7of9'"), ('a b', '20', "'a b'"), ('arm', 'fast', "'fast'"), ('arm', '-1', "'-1'")],
)
def test_names_and_rates_that_cannot_be_used(robot, rate, words):
    with pytest.raises(UserError) as caught:
        draft_contract(seen(), asker(robot, rate, True, None))
    assert words in str(caught.value)


def test_leaving_out():
    contract, _ = drafted(seen(JTC, FORWARD).without(['/jtc/joint_trajectory', '/w/image/compressed']))
    assert contract.action[0].output.adapter == 'forward_command'
    assert len(contract.observation.cameras) == 1
    with pytest.raises(UserError, match='/nothing was not seen'):
        seen().without(['/nothing'])


def test_a_file_that_is_there_is_kept(tmp_path):
    target = tmp_path / 'mine.yaml'
    target.write_text('mine')
    arguments = build_parser().parse_args(['contract', 'new', str(target)])
    with pytest.raises(UserError, match='--force'):
        arguments.run(arguments)
    assert target.read_text() == 'mine'
    for flags, words in ((['--wait', '0'], '--wait 0'), (['--size', '3'], '--size 3')):
        arguments = build_parser().parse_args(['contract', 'new', str(tmp_path / 'new.yaml'), *flags])
        with pytest.raises(UserError, match=words):
            arguments.run(arguments)
    with pytest.raises(UserError, match='cannot be written'):
        write_contract(draft_contract(seen(), asker('a', '20', True, None)), target / 'below' / 'a.yaml')


def test_a_topic_with_two_publishers_says_so():
    contract, draft = drafted(seen(publishers={'/joint_states': 2}))
    assert [state.publishers for state in contract.observation.states] == [2, 2]
    assert any('2 nodes publish on /joint_states' in note for note in draft.notes)
    contract, draft = drafted(seen())
    assert [state.publishers for state in contract.observation.states] == [1, 1]
    assert not any('publish on' in note for note in draft.notes)


def test_who_only_looks_on_is_no_driver():
    """The recorder beside the controller in record.launch.py, `ros2 topic echo` and displays listen to commands too."""
    rclpy.init()
    nodes = [rclpy.create_node(name) for name in ('recorder_node', '_ros2cli_7', 'rosbag2_recorder', 'my_driver')]
    try:
        for node in nodes:
            node.create_subscription(String, 'command', lambda message: None, 1)
        with LiveGraph(nodes[0]) as graph:
            graph.wait_until(lambda: bool(graph.listeners('/command')), 5.0)
            assert graph.listeners('/command') == ['/my_driver']
            assert graph.publishers('/command') == 0
    finally:
        for node in nodes:
            node.destroy_node()
        rclpy.shutdown()


def test_from_a_graph_that_runs(tmp_path):
    """Mocks of two controllers, a camera and a description; the contract is read, and its robot activated."""
    rclpy.init()
    bench = DriverBench()
    try:
        bench.add(MockJointTrajectoryController(['a', 'b'], {'interpolate_from_desired_state': True}))
        bench.add(MockForwardCommandController(['finger'], name='gripper_controller'))
        latched = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
        bench.node.create_publisher(String, 'robot_description', latched).publish(String(data=URDF))
        camera = bench.node.create_publisher(
            type(encode_image(np.zeros((2, 2, 3), np.uint8), 0, '')), 'cam/image_raw', 1
        )
        asking = rclpy.create_node('asking')
        found = survey(asking, 2.0)
        asking.destroy_node()
        assert camera.topic_name in found.cameras
        assert set(found.joints['/joint_states']) == {'a', 'b', 'finger'}
        assert found.publishers == {'/joint_states': 2}
        assert found.unknown == {}
        target = tmp_path / 'found.yaml'
        write_contract(draft_contract(found, asker('found', '20', True, None)), target)
        contract = load_contract(target)
        assert {state.publishers for state in contract.observation.states} == {2}, 'else the first look would stop it'
        assert [(group.name, group.output.topic) for group in contract.action] == [
            ('arm', 'joint_trajectory_controller/joint_trajectory'),
            ('gripper', 'gripper_controller/commands'),
        ]
        assert contract.action[1].dimensions[0].upper == 0.04
        _, active = bench.configure(tmp_path, target.read_text())
        assert active
    finally:
        bench.close()
        rclpy.shutdown()


def test_the_help_says_what_is_taken_where_nothing_is_given(capsys):
    given = build_parser().parse_args(['contract', 'new', 'a.yaml'])
    with pytest.raises(SystemExit):
        build_parser().parse_args(['contract', '--help'])
    told = ' '.join(capsys.readouterr().out.split())
    assert f'(default {given.size})' in told
    assert f'(default {given.wait:g})' in told
