"""sim_node without cameras; apart from test_sim_node.py, whose node runs all the while."""

import pytest
import rclpy
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
