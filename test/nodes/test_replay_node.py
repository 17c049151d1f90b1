"""An episode's commands once more: only on what is the simulator, and given back in the end."""

import numpy as np
import pytest
import rclpy
from geometry_msgs.msg import TwistStamped
from sensor_msgs.msg import Image, JointState
from std_msgs.msg import Bool, String
from std_srvs.srv import Trigger
from support.bench import wait_for
from trajectory_msgs.msg import JointTrajectory

from mode_ros.cli.main import build_parser
from mode_ros.errors import UserError
from mode_ros.nodes.qos import LATCHED
from mode_ros.nodes.replay_node import UNHEEDED_PERIODS, ReplayNode

ACTIONS = np.arange(4 * 30, dtype=float).reshape(30, 4) / 1000


@pytest.fixture
def replay(bench):
    """Makes the node under test beside the bench, which is no simulator."""

    def make(actions=ACTIONS, simulated=False, **options):
        node = ReplayNode(bench.contract, actions, simulated, **options)
        bench.under_test.append(node)
        bench.executor.add_node(node)
        return node

    return make


@pytest.fixture
def simulator(bench):
    """A node that sends what the simulator sends."""
    node = rclpy.create_node('sim_node')
    node.create_service(Trigger, 'sim_node/reset', lambda request, response: response)
    node.create_publisher(Image, 'static/image', 1)
    node.create_publisher(JointState, 'joint_states', 1)
    bench.executor.add_node(node)
    bench.under_test.append(node)
    return node


def commands(bench):
    """What is heard on teleop_command."""
    heard = []
    bench.node.create_subscription(JointTrajectory, 'teleop_command', heard.append, 100)
    return heard


def drives(bench, driven=True):
    bench.publish(Bool(data=driven), 'intervention', LATCHED)


def test_every_command_is_given_once_and_then_the_robot_is_given_back(bench, replay):
    heard = commands(bench)
    node = replay()
    wait_for(lambda: not node.refusal(), 'the controller')
    node.begin()
    drives(bench)

    wait_for(lambda: node.ended, 'the end')

    wait_for(lambda: len(heard) == 31, 'all commands')
    assert np.allclose([each.points[0].positions for each in heard[:-1]], ACTIONS)
    assert not heard[-1].points, 'let go'
    assert heard[0].joint_names == list(bench.contract.action_names)
    assert node.problem == ''


def test_what_the_controller_does_not_take_ends_with_its_reason(bench, replay):
    heard = commands(bench)
    node = replay()
    bench.publish(String(data='{"stopped": true, "reason": "estop: it is engaged"}'), 'safety_state', LATCHED)
    wait_for(lambda: not node.refusal(), 'the controller')
    node.begin()

    wait_for(lambda: node.ended, 'the end')

    assert node.problem == 'The controller does not take the commands: estop: it is engaged.'
    wait_for(lambda: len(heard) == UNHEEDED_PERIODS + 1, 'letting go')


def test_a_moment_of_letting_go_is_no_end(bench, replay):
    commands(bench)
    node = replay(np.zeros((200, 4)))
    wait_for(lambda: not node.refusal(), 'the controller')
    drives(bench)
    wait_for(lambda: node.refusal(), 'that it is heard')
    drives(bench, False)
    wait_for(lambda: not node.refusal(), 'that it is heard')
    node.begin()
    drives(bench)
    wait_for(lambda: node._next > UNHEEDED_PERIODS, 'the middle')
    drives(bench, False)
    wait_for(lambda: not node._driven, 'that it is heard')
    before = node._next
    wait_for(lambda: node._next > before + 2, 'going on')
    drives(bench)
    wait_for(lambda: node._driven, 'that it is heard')
    assert not node.ended


def test_nothing_is_replayed_while_somebody_drives_or_nobody_listens(bench, replay):
    node = replay()
    # Of the test before somebody may still be known for a moment.
    wait_for(lambda: node.refusal().startswith('no controller_node is there'), 'that nobody is there')
    with pytest.raises(UserError, match='no controller_node is there'):
        node.begin()
    commands(bench)
    drives(bench)
    wait_for(lambda: node.refusal() == 'somebody drives the robot already', 'the one who drives')
    with pytest.raises(UserError, match='somebody drives'):
        node.begin()
    node.let_go()
    assert node.ended


def test_a_controller_is_found_where_its_commands_are_remapped(bench, replay):
    node = replay(namespace='left', cli_args=['--ros-args', '-r', 'teleop_command:=/both/teleop'])
    assert node.refusal().startswith('no controller_node is there')
    bench.node.create_subscription(JointTrajectory, '/both/teleop', lambda _: None, 100)
    wait_for(lambda: node.refusal() == '', 'the controller')


def test_what_is_no_simulation_is_refused(bench, replay):
    commands(bench)
    node = replay(simulated=True)

    with pytest.raises(UserError, match='Nothing is replayed: no simulated robot is there'):
        node.begin()


def test_a_robot_beside_the_simulator_is_refused(bench, replay, simulator):
    commands(bench)
    node = replay(simulated=True)
    wait_for(lambda: not node.refusal(), 'the simulator')
    camera = rclpy.create_node('camera_driver')
    bench.under_test.append(camera)
    camera.create_publisher(Image, 'static/image', 1)

    wait_for(lambda: node.refusal().endswith('comes from camera_driver, which is not the simulator'), 'the refusal')
    with pytest.raises(UserError, match='camera_driver'):
        node.begin()


def test_a_simulator_of_another_robot_is_refused(bench, replay):
    commands(bench)
    other = rclpy.create_node('sim_node')
    bench.under_test.append(other)
    bench.executor.add_node(other)
    other.create_service(Trigger, 'sim_node/reset', lambda request, response: response)
    other.create_publisher(TwistStamped, 'pose', 1)
    node = replay(simulated=True)

    wait_for(lambda: 'it is not the robot of this episode' in node.refusal(), 'the refusal')


def test_the_wrong_robot_and_the_wrong_episode_are_said(tmp_path):
    from support.data_sets import make_data_set

    data_set = make_data_set(tmp_path)

    def run(*words):
        arguments = build_parser().parse_args(['replay', str(data_set), *words])
        return arguments.run(arguments)

    with pytest.raises(UserError, match='has no episode 7; it has 0 to 0'):
        run('7')
    with pytest.raises(UserError, match="--real-robot panda: the episode is of the robot 'tester'"):
        run('0', '--real-robot', 'panda')
    with pytest.raises(UserError, match='is not what it was'):
        run('0', '--revision', '0' * 16)
