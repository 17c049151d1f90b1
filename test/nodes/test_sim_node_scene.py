"""sim_node without cameras; apart from test_sim_node.py, whose node runs all the while."""

import pytest
import rclpy
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import JointState
from support.bench import Bench, wait_for

from mode_ros.bringup.nodes import NodeSpec
from mode_ros.bringup.processes import Processes
from mode_ros.messages.states import decode_state
from mode_ros.paths import share_folder
from mode_ros.robots import load_named_contract
from mode_ros.sim.factory import make_simulator

pytest.importorskip('metaworld')
pytestmark = pytest.mark.rendering

SETTINGS = share_folder() / 'config' / 'nodes.yaml'


def test_without_cameras_it_tells_the_scene(tmp_path):
    contract = load_named_contract('metaworld_sawyer_state')[0]
    scene = contract.state('scene')
    rclpy.init()
    bench = Bench()
    parameters = {'contract': 'metaworld_sawyer_state', 'task': 'reach', 'seed': 3}
    try:
        with Processes([NodeSpec('sim_node', parameters)], SETTINGS, tmp_path) as processes:
            told = bench.listen(JointState, scene.topic)
            joints = bench.listen(JointState, 'joint_states')
            wait_for(lambda: (told and joints) or processes.ended(), 'the scene', timeout=90)
            assert not processes.ended(), processes.log('sim_node').read_text()
    finally:
        bench.close()
        rclpy.shutdown()
    with make_simulator('metaworld', 'reach') as simulator:
        simulator.reset(3)
        there = dict(zip(simulator.scene_names, simulator.scene(), strict=True))
    values = dict(zip(scene.names, decode_state(told[0], scene), strict=True))
    assert [values[f'goal_{axis}'] for axis in 'xyz'] == [there[f'goal_{axis}'] for axis in 'xyz']
    assert set(joints[0].name).isdisjoint(scene.names), 'robots do not measure it'


def test_a_second_clock_is_refused(tmp_path):
    rclpy.init()
    bench = Bench()
    parameters = {'contract': 'metaworld_sawyer_state', 'task': 'reach'}
    try:
        clock = bench.node.create_publisher(Clock, '/clock', 1)
        with Processes([NodeSpec('sim_node', parameters)], SETTINGS, tmp_path) as processes:
            wait_for(processes.ended, 'the end of sim_node', timeout=90)
            assert 'Somebody else publishes /clock' in processes.log('sim_node').read_text()
        own = {**parameters, 'clock_topic': '/left/clock'}
        with Processes([NodeSpec('sim_node', own)], SETTINGS, tmp_path) as processes:
            heard = []
            bench.node.create_subscription(Clock, '/left/clock', heard.append, 1)
            wait_for(lambda: heard or processes.ended(), 'its own clock', timeout=90)
            assert heard, processes.log('sim_node').read_text()
        bench.node.destroy_publisher(clock)
    finally:
        bench.close()
        rclpy.shutdown()
