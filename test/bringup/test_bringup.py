"""One list of what is started: what is in it, and that the launch files start just that."""

import importlib.util

import pytest
import yaml

from mode_ros.bringup.nodes import SIMULATOR_SECONDS, recording_nodes, robot_nodes, simulation_nodes
from mode_ros.nodes.controller_parameters import ControllerParameters
from mode_ros.nodes.page_node import PageParameters
from mode_ros.nodes.policy_node import PolicyParameters
from mode_ros.nodes.recorder_node import RecorderParameters
from mode_ros.nodes.sim_node import SimParameters
from mode_ros.nodes.teleop_node import TeleopParameters
from mode_ros.nodes.view_node import ViewParameters
from mode_ros.paths import share_folder

DECLARED = {
    'policy_node': PolicyParameters,
    'controller_node': ControllerParameters,
    'sim_node': SimParameters,
    'teleop_node': TeleopParameters,
    'recorder_node': RecorderParameters,
    'page_node': PageParameters,
    'view_node': ViewParameters,
}


def fields(executable):
    return set(DECLARED[executable].__dataclass_fields__) | {'use_sim_time'}


def test_a_simulation_is_a_robot_and_its_nodes():
    specs = simulation_nodes('metaworld_sawyer', '/policy', task='reach', seed=0)
    assert [spec.executable for spec in specs] == ['sim_node', 'policy_node', 'controller_node']
    beside = robot_nodes('metaworld_sawyer', '/policy', use_sim_time=True, clock_seconds=SIMULATOR_SECONDS)
    assert specs[1:] == beside
    assert specs[0].parameters == {'contract': 'metaworld_sawyer', 'task': 'reach', 'seed': 0}


def test_what_is_not_given_is_left_to_the_settings_file():
    for spec in simulation_nodes('metaworld_sawyer', '/policy'):
        assert not {'device', 'task', 'simulator'} & set(spec.parameters)


def test_recording_adds_what_is_not_running_yet():
    def started(**arguments):
        return [spec.executable for spec in recording_nodes('metaworld_sawyer', **arguments)]

    assert started() == ['controller_node', 'teleop_node', 'recorder_node']
    assert started(controller=False, teleop=False) == ['recorder_node']
    assert started(simulator='metaworld') == ['sim_node', 'controller_node', 'teleop_node', 'recorder_node']
    simulated = recording_nodes('metaworld_sawyer', simulator='metaworld', task='reach', folder='x')
    assert [spec.parameters.get('use_sim_time') for spec in simulated] == [None, True, True, True]
    assert simulated[-1].parameters['folder'] == 'x'
    for spec in simulated:
        assert set(spec.parameters) <= fields(spec.executable)


def test_a_simulator_may_stand_for_longer_than_a_robot_s_clock():
    def patience(specs):
        return {spec.executable: spec.parameters for spec in specs}['controller_node'].get('clock_seconds')

    assert patience(simulation_nodes('a', 'b')) == patience(recording_nodes('a', simulator='metaworld')) == 10.0
    assert patience(robot_nodes('a', 'b', use_sim_time=True)) is None
    assert patience(recording_nodes('a', use_sim_time=True)) is None


def test_the_view_is_added_where_it_is_asked_for():
    for specs in (
        robot_nodes('a', 'b', view=True),
        simulation_nodes('a', 'b', view=True),
        recording_nodes('a', view=True),
    ):
        assert specs[-1].executable == 'view_node'
        assert set(specs[-1].parameters) <= fields('view_node')
    assert simulation_nodes('a', 'b', view=True)[-1].parameters['use_sim_time']


def test_the_page_is_added_where_it_is_asked_for():
    for specs in (
        robot_nodes('a', 'b', page=True),
        simulation_nodes('a', 'b', page=True),
        recording_nodes('a', simulator='metaworld', page=True),
    ):
        assert specs[-1].executable == 'page_node'
        assert specs[-1].parameters['use_sim_time'] is (specs[0].executable == 'sim_node')
        assert set(specs[-1].parameters) <= fields('page_node')


def test_every_parameter_that_is_passed_or_set_is_declared():
    for spec in simulation_nodes('a', 'b', device='cpu', simulator='metaworld', task='reach', seed=1):
        assert set(spec.parameters) <= fields(spec.executable)
    settings = yaml.safe_load((share_folder() / 'config' / 'nodes.yaml').read_text())
    for key, value in settings.items():
        assert key.startswith('/**/'), 'a bare node name is ignored under a namespace'
        executable = key.removeprefix('/**/')
        assert set(value['ros__parameters']) <= fields(executable)


@pytest.mark.parametrize(
    ('file', 'given', 'expected'),
    [
        (
            'sim.launch.py',
            {'checkpoint': '/p', 'task': 'reach', 'namespace': 'left'},
            simulation_nodes('metaworld_sawyer', '/p', task='reach'),
        ),
        (
            'policy.launch.py',
            {'checkpoint': '/p', 'contract': 'ros2_control_arm', 'device': 'cpu'},
            robot_nodes('ros2_control_arm', '/p', device='cpu'),
        ),
        (
            'record.launch.py',
            {'contract': 'ros2_control_arm', 'teleop': 'false'},
            recording_nodes('ros2_control_arm', teleop=False),
        ),
    ],
)
def test_launch_files_start_the_list(file, given, expected):
    pytest.importorskip('launch_ros', reason='ros2 launch is not installed')
    from launch import LaunchContext

    spec = importlib.util.spec_from_file_location('launch_file', share_folder() / 'launch' / file)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    description = module.generate_launch_description()
    context = LaunchContext()
    context.launch_configurations.update(given)
    nodes = []
    for entity in description.entities:
        nodes += entity.visit(context) or []
    assert [node.node_executable for node in nodes] == [item.executable for item in expected]
    assert all(node.node_package == 'mode_ros' for node in nodes)


def test_a_launch_file_without_a_checkpoint_is_refused():
    pytest.importorskip('launch_ros', reason='ros2 launch is not installed')
    from launch import LaunchContext

    spec = importlib.util.spec_from_file_location('launch_file', share_folder() / 'launch' / 'policy.launch.py')
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    description = module.generate_launch_description()
    with pytest.raises(RuntimeError, match='Required launch argument'):
        [entity.visit(LaunchContext()) for entity in description.entities]
