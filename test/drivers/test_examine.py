"""What is said about a driver by its parameters: the refusals, with what to type; the warnings; the services called."""

import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from std_srvs.srv import SetBool
from support.contracts import (
    ABSOLUTE_TEXT,
    AXES_TEXT,
    DELTA_TEXT,
    GRIPPER_TEXT,
    absolute_contract,
    delta_contract,
)
from support.driver_graph import FakeGraph
from support.ros2_control import ForwardCommandController, JointTrajectoryController, Servo

from mode_ros.control.contract import parse_contract
from mode_ros.drivers import controller_manager, joint_trajectory, pose, servo
from mode_ros.drivers.examine import ends_moving, examine_group
from mode_ros.drivers.findings import Degree
from mode_ros.drivers.manners import FORWARD_OTHER, JOINT_TRAJECTORY, MANNERS, SERVO, silence_seconds, table
from mode_ros.drivers.namespaces import absolute_commands

YES = SimpleNamespace(success=True, message='')
NO = SimpleNamespace(success=False, message='no robot state')


def said(findings, degree):
    return ' '.join(finding.text for finding in findings if finding.degree is degree)


def jtc(**parameters):
    good = {'interpolate_from_desired_state': True}
    return JointTrajectoryController(['a', 'b'], good | parameters).parameters


def examine_jtc(parameters, text=ABSOLUTE_TEXT):
    contract = parse_contract(text, 'x.yaml')
    graph = FakeGraph().add('/jtc', '/arm/trajectory', parameters)
    return [*examine_group(graph, contract.action[0], contract)]


def test_a_joint_trajectory_controller_that_is_set_up_well():
    findings = examine_jtc(jtc())
    assert [finding.degree for finding in findings] == [Degree.TELL]


@pytest.mark.parametrize(
    ('parameters', 'words'),
    [
        ({'joints': ['a', 'c']}, "would reject ['b']"),
        ({'joints': ['a', 'b', 'c']}, 'ros2 param set /jtc allow_partial_joints_goal true'),
    ],
)
def test_trajectories_that_would_be_rejected_are_refused_first(parameters, words):
    refusal = said(examine_jtc(jtc(**parameters)), Degree.REFUSE)
    assert words in refusal
    assert '/jtc' in refusal


def test_partial_goals_may_be_allowed():
    parameters = jtc(joints=['a', 'b', 'c'], allow_partial_joints_goal=True)
    assert said(examine_jtc(parameters), Degree.REFUSE) == ''


def test_a_last_velocity_is_refused_where_the_controller_would():
    group = absolute_contract().action[0]
    refusal = said(joint_trajectory.examine('/jtc', jtc(), group, ends_moving=True), Degree.REFUSE)
    assert 'ros2 param set /jtc allow_nonzero_velocity_at_trajectory_end true' in refusal
    allowed = jtc(allow_nonzero_velocity_at_trajectory_end=True)
    assert said(joint_trajectory.examine('/jtc', allowed, group, ends_moving=True), Degree.REFUSE) == ''
    humble = {'joints': ['a', 'b'], 'open_loop_control': True}
    assert said(joint_trajectory.examine('/jtc', humble, group, ends_moving=True), Degree.REFUSE) == ''


def test_what_is_sent_is_taken_by_a_controller_as_it_comes():
    """Jazzy's default rejects trajectories that end with a velocity, so ours must not."""
    assert not ends_moving(absolute_contract().action[0], 0.05)


@pytest.mark.parametrize(
    ('parameters', 'switch'),
    [
        ({'joints': ['a', 'b'], 'open_loop_control': False}, 'open_loop_control'),
        (jtc(interpolate_from_desired_state=False), 'interpolate_from_desired_state'),
        (jtc(interpolate_from_desired_state=False, open_loop_control=False), 'interpolate_from_desired_state'),
    ],
)
def test_starting_from_the_measured_position_is_warned_of(parameters, switch):
    warning = said(examine_jtc(parameters), Degree.WARN)
    assert f'`{switch}: true`' in warning


def test_a_controller_that_splices_trajectories_needs_no_switch():
    spliced = jtc(interpolate_from_desired_state=False, allow_trajectory_replacement=True)
    assert said(examine_jtc(spliced), Degree.WARN) == ''
    legacy = jtc(interpolate_from_desired_state=False, allow_trajectory_replacement=False)
    assert '`interpolate_from_desired_state: true`' in said(examine_jtc(legacy), Degree.WARN)


@pytest.mark.parametrize(
    ('parameters', 'words'),
    [
        ({}, 'on silence it holds its last point.'),
        ({'cmd_timeout': 1.5, 'constraints.goal_time': 1.0}, '1.5 s after it was due, holds where the arm is measured'),
        ({'cmd_timeout': 0.5, 'constraints.goal_time': 1.0}, 'ignores its cmd_timeout of 0.5 s'),
    ],
)
def test_what_a_trajectory_controller_does_on_silence_is_told(parameters, words):
    assert words in said(examine_jtc(jtc(**parameters)), Degree.TELL)


def test_no_interpolation_is_warned_of():
    assert 'interpolation_method: splines' in said(examine_jtc(jtc(interpolation_method='none')), Degree.WARN)


FORWARD_TEXT = ABSOLUTE_TEXT.replace('adapter: joint_trajectory', 'adapter: forward_command')


def examine_forward(joints, interface='position', text=FORWARD_TEXT):
    contract = parse_contract(text, 'x.yaml')
    parameters = ForwardCommandController(joints, interface).parameters
    graph = FakeGraph().add('/fwd', '/arm/trajectory', parameters)
    return [*examine_group(graph, contract.action[0], contract)]


def test_the_order_of_forwarded_joints_is_compared():
    assert said(examine_forward(['a', 'b']), Degree.REFUSE) == ''
    refusal = said(examine_forward(['b', 'a']), Degree.REFUSE)
    assert "in the order ['b', 'a']" in refusal
    assert 'write the dimensions in the order' in refusal
    assert 'takes 3 numbers' in said(examine_forward(['a', 'b', 'c']), Degree.REFUSE)
    assert 'cannot be compared' in said(examine_forward(['left', 'right']), Degree.WARN)


def test_positions_are_not_sent_to_a_velocity_controller():
    assert 'joint velocity (its parameter `interface_name`)' in said(
        examine_forward(['a', 'b'], 'velocity'), Degree.REFUSE
    )
    assert 'joint acceleration' in said(examine_forward(['a', 'b'], 'acceleration'), Degree.REFUSE)


@pytest.mark.parametrize(
    ('text', 'topic', 'parameters', 'words'),
    [
        (ABSOLUTE_TEXT, '/arm/trajectory', ForwardCommandController(['a', 'b']).parameters, 'adapter: forward_command'),
        (FORWARD_TEXT, '/arm/trajectory', jtc(), 'adapter: joint_trajectory'),
        (AXES_TEXT, '/target_pose', jtc(), 'adapter: joint_trajectory'),
        (DELTA_TEXT, '/arm/twist', {'base_frame': 'base', 'end_effector_frame': 'tool'}, 'adapter: pose'),
        (ABSOLUTE_TEXT, '/arm/trajectory', Servo().parameters, 'adapter: twist'),
    ],
)
def test_a_driver_of_another_adapter_is_refused_with_the_one_to_write(text, topic, parameters, words):
    contract = parse_contract(text, 'x.yaml')
    graph = FakeGraph().add('/driver', topic, parameters)
    (finding,) = examine_group(graph, contract.action[0], contract)
    assert finding.degree is Degree.REFUSE
    assert f'/driver listens to {topic}' in finding.text
    assert f'`{words}`' in finding.text


@pytest.mark.parametrize('text', [ABSOLUTE_TEXT, FORWARD_TEXT, AXES_TEXT])
def test_parameters_that_are_declared_and_not_set_are_none(text):
    contract = parse_contract(text, 'x.yaml')
    group = contract.action[0]
    unset = dict.fromkeys(('joints', 'interface_name', 'base_frame', 'end_effector_frame', 'open_loop_control'))
    (finding,) = examine_group(FakeGraph().add('/driver', f'/{group.output.topic}', unset), group, contract)
    assert 'is no driver that is known here' in finding.text


def test_several_interfaces_of_one_joint_are_counted():
    contract = parse_contract(FORWARD_TEXT, 'x.yaml')
    graph = FakeGraph().add('/multi', '/arm/trajectory', {'joint': 'a', 'interface_names': ['position', 'effort', 'x']})
    assert 'takes 3 numbers' in said(examine_group(graph, contract.action[0], contract), Degree.REFUSE)


def servo_parameters(**parameters):
    named = {f'moveit_servo.{name}': value for name, value in parameters.items()}
    good = {'moveit_servo.command_in_type': 'speed_units', 'moveit_servo.scale.linear': 1.0}
    return Servo(good | named).parameters


def servo_graph(parameters=None, sim_time=False, topic='/arm/twist'):
    graph = FakeGraph(sim_time).add('/servo_node', topic, parameters or servo_parameters())
    graph.services['/servo_node/switch_command_type'] = lambda request: YES
    graph.services['/servo_node/pause_servo'] = lambda request: YES
    return graph


def examine_servo(graph, rate=20.0):
    contract = parse_contract(DELTA_TEXT.replace('rate: 20.0', f'rate: {rate}'), 'x.yaml')
    return [*examine_group(graph, contract.action[0], contract)]


@pytest.fixture
def with_moveit(monkeypatch):
    """The type of the service, as moveit_msgs has it."""
    monkeypatch.setattr(servo, 'command_type_request', lambda number: (SetBool, SimpleNamespace(command_type=number)))


def test_servo_is_told_what_comes_and_set_going(with_moveit):
    graph = servo_graph()
    assert said(examine_servo(graph), Degree.REFUSE) == ''
    (switch, kind), (pause, request) = graph.calls
    assert (switch, kind.command_type) == ('/servo_node/switch_command_type', 1)
    assert (pause, request.data) == ('/servo_node/pause_servo', False)


def test_servo_of_humble_is_started():
    graph = FakeGraph().add('/servo_node', '/arm/twist', servo_parameters(incoming_command_timeout=0.2))
    for name in ('start_servo', 'pause_servo', 'unpause_servo'):
        graph.services[f'/servo_node/{name}'] = lambda request: YES
    assert said(examine_servo(graph), Degree.REFUSE) == ''
    assert [name for name, _ in graph.calls] == ['/servo_node/start_servo']


@pytest.mark.parametrize(
    ('parameters', 'rate', 'words'),
    [
        ({'command_in_type': 'unitless'}, 20.0, 'ros2 param set /servo_node moveit_servo.command_in_type speed_units'),
        ({}, 10.0, 'write `incoming_command_timeout: 0.25` into its YAML file and start it anew'),
        ({'incoming_command_timeout': 0.0}, 20.0, 'halts when a command is older than 0 s'),
        ({'use_sim_time': True}, 20.0, 'use_sim_time'),
    ],
)
def test_a_servo_that_would_not_obey_is_refused_before_it_is_set_going(with_moveit, parameters, rate, words):
    values = {name: value for name, value in parameters.items() if name == 'use_sim_time'}
    named = {name: value for name, value in parameters.items() if name != 'use_sim_time'}
    graph = servo_graph(servo_parameters(**named) | values)
    assert words in said(examine_servo(graph, rate), Degree.REFUSE)
    assert graph.calls == []


def test_a_servo_with_little_patience_is_warned_of(with_moveit):
    for seconds in (0.07, 0.1):
        parameters = servo_parameters(incoming_command_timeout=seconds)
        warning = said(examine_servo(servo_graph(parameters)), Degree.WARN)
        assert 'a single lost command stops the arm' in warning
        assert 'ros2 param set' not in warning, 'a Servo that runs does not read it again'
    patient = servo_parameters(incoming_command_timeout=0.125)
    assert said(examine_servo(servo_graph(patient)), Degree.WARN) == ''


def test_humbles_servo_follows_no_parameter_while_it_runs():
    humble = {'moveit_servo.command_in_type': 'unitless', 'moveit_servo.scale.linear': 0.4}
    refusal = said(examine_servo(servo_graph(humble)), Degree.REFUSE)
    assert 'start it anew' in refusal
    assert 'ros2 param set' not in refusal
    graph = servo_graph(humble | {'moveit_servo.command_in_type': 'speed_units'})
    assert 'no faster than' not in said(examine_servo(graph), Degree.WARN), 'its scale is of unitless commands alone'


def test_a_servo_that_turns_the_hand_about_another_point_is_refused(with_moveit):
    text = DELTA_TEXT
    parameters = servo_parameters(apply_twist_commands_about_ee_frame=False)
    assert said(examine_servo(servo_graph(parameters)), Degree.REFUSE) == '', 'nothing is turned'
    rotation = '      - {name: rotation_%s, unit: rad, lower: -0.1, upper: 0.1}\n'
    last = next(line for line in text.splitlines(True) if 'name: z' in line)
    contract = parse_contract(text.replace(last, last + ''.join(rotation % axis for axis in 'xyz')), 'x.yaml')
    findings = [*examine_group(servo_graph(parameters), contract.action[0], contract)]
    assert 'apply_twist_commands_about_ee_frame true' in said(findings, Degree.REFUSE)


def test_a_servo_that_is_slower_than_the_contract_is_warned_of(with_moveit):
    warning = said(examine_servo(servo_graph(servo_parameters(**{'scale.linear': 0.4}))), Degree.WARN)
    assert 'no faster than 0.4 m/s (scale.linear), and the contract allows 0.8' in warning


def test_services_that_fail_are_refused_with_what_to_type(with_moveit, monkeypatch):
    graph = servo_graph()
    graph.services['/servo_node/pause_servo'] = lambda request: NO
    refusal = said(examine_servo(graph), Degree.REFUSE)
    assert 'no robot state' in refusal
    assert 'ros2 service call /servo_node/pause_servo std_srvs/srv/SetBool "{data: false}"' in refusal
    graph.services['/servo_node/switch_command_type'] = lambda request: None
    assert 'no answer' in said(examine_servo(graph), Degree.REFUSE)
    graph.services.clear()
    assert 'cannot be set going' in said(examine_servo(graph), Degree.REFUSE)


def test_without_moveit_msgs_one_is_told_what_to_install():
    refusal = said(examine_servo(servo_graph()), Degree.REFUSE)
    assert 'moveit_msgs' in refusal
    assert 'sudo apt install' in refusal


def test_servo_takes_poses_too(with_moveit):
    contract = parse_contract(AXES_TEXT, 'x.yaml')
    graph = servo_graph(topic='/target_pose')
    assert said(examine_group(graph, contract.action[0], contract), Degree.REFUSE) == ''
    assert graph.calls[0][1].command_type == 2
    del graph.services['/servo_node/switch_command_type']
    assert 'takes no poses' in said(examine_group(graph, contract.action[0], contract), Degree.REFUSE)


CRISP = {'joints': ['a'], 'end_effector_frame': 'tool', 'base_frame': 'base'}


def examine_pose(parameters, text=AXES_TEXT):
    contract = parse_contract(text, 'x.yaml')
    return [*examine_group(FakeGraph().add('/crisp', '/target_pose', parameters), contract.action[0], contract)]


def test_the_frame_of_a_pose_is_compared():
    assert said(examine_pose(CRISP), Degree.REFUSE) == ''
    assert 'write `frame_id: world`' in said(examine_pose(CRISP | {'base_frame': 'world'}), Degree.REFUSE)
    fzi = {'robot_base_link': 'world', 'end_effector_link': 'tool'}
    assert '`robot_base_link`' in said(examine_pose(fzi), Degree.REFUSE)


def test_poses_without_a_largest_speed_are_warned_of():
    free = AXES_TEXT.replace(', max_speed: 0.2, max_rotation_speed: 1.0', '')
    assert 'give the output max_speed' in said(examine_pose(CRISP, free), Degree.WARN)


def test_a_second_publisher_silences_crisp():
    group = parse_contract(AXES_TEXT, 'x.yaml').action[0]
    assert 'more than one node' in said(pose.examine('/crisp', CRISP, group, publishers=2), Degree.REFUSE)


def test_a_second_publisher_of_poses_is_counted_on_the_graph():
    contract = parse_contract(AXES_TEXT, 'x.yaml')
    graph = FakeGraph().add('/crisp', '/target_pose', CRISP)
    assert 'more than one node' not in said(examine_group(graph, contract.action[0], contract), Degree.REFUSE)
    graph.publishing['/target_pose'] = 3
    assert '3 do: end the others' in said(examine_group(graph, contract.action[0], contract), Degree.REFUSE)


def test_the_type_of_a_gripper_action_is_compared():
    contract = parse_contract(GRIPPER_TEXT, 'x.yaml')
    group = contract.action[0]
    graph = FakeGraph()
    assert 'ros2 action list -t' in said(examine_group(graph, group, contract), Degree.WARN)
    graph.servers['/gripper/gripper_cmd'] = ('control_msgs/action/GripperCommand',)
    assert [*examine_group(graph, group, contract)] == []
    graph.servers['/gripper/gripper_cmd'] = ('control_msgs/action/ParallelGripperCommand',)
    assert '`action_type: ParallelGripperCommand`' in said(examine_group(graph, group, contract), Degree.REFUSE)
    graph.servers['/gripper/gripper_cmd'] = ('franka_msgs/action/Grasp',)
    refusal = said(examine_group(graph, group, contract), Degree.REFUSE)
    assert 'give a server of control_msgs/action/GripperCommand or ParallelGripperCommand' in refusal
    assert '`action_type:' not in refusal


def test_a_driver_that_is_not_there_and_one_that_says_nothing():
    contract = delta_contract()
    graph = FakeGraph()
    assert 'Nobody listens to /arm/twist' in said(examine_group(graph, contract.action[0], contract), Degree.WARN)
    graph.add('/silent', '/arm/twist', None)
    assert '/silent listens' in said(examine_group(graph, contract.action[0], contract), Degree.WARN)
    graph.nodes.clear()
    graph.add('/other', '/arm/twist', {})
    assert 'is not MoveIt Servo' in said(examine_group(graph, contract.action[0], contract), Degree.WARN)


def controller(name, state, claims=(), needs=()):
    return SimpleNamespace(
        name=name, state=state, claimed_interfaces=list(claims), required_command_interfaces=list(needs)
    )


def managed(monkeypatch, *controllers, space=''):
    """A trajectory controller beside a controller_manager that tells these states; what is warned of."""
    kind = SimpleNamespace(Request=lambda: None)
    monkeypatch.setattr(controller_manager, 'list_controllers_type', lambda: kind)
    graph = FakeGraph().add(f'{space}/jtc', '/arm/trajectory', jtc())
    answer = None if controllers == (None,) else SimpleNamespace(controller=list(controllers))
    graph.services[f'{space}/controller_manager/list_controllers'] = lambda request: answer
    contract = parse_contract(ABSOLUTE_TEXT, 'x.yaml')
    findings = [*examine_group(graph, contract.action[0], contract)]
    assert said(findings, Degree.REFUSE) == '', 'it may be switched while the node runs'
    return said(findings, Degree.WARN)


def test_a_controller_that_is_not_active_is_warned_of_with_the_command_that_switches(monkeypatch):
    needs = ['a/position', 'b/position']
    waiting, other = controller('jtc', 'inactive', needs=needs), controller('scaled', 'active', claims=['b/position'])
    elsewhere = controller('gripper', 'active', claims=['finger/position'])
    warning = managed(monkeypatch, other, waiting, elsewhere)
    assert '/jtc (for the group' in warning
    assert 'is inactive' in warning
    assert '`ros2 control switch_controllers --deactivate scaled --activate jtc`' in warning
    assert '`ros2 control switch_controllers --activate jtc`' in managed(monkeypatch, waiting, elsewhere)
    inside = managed(monkeypatch, waiting, space='/left')
    assert '--activate jtc -c /left/controller_manager`' in inside


def test_a_controller_that_is_active_or_of_which_nothing_is_told_is_not_warned_of(monkeypatch):
    assert managed(monkeypatch, controller('jtc', 'active')) == ''
    assert managed(monkeypatch, controller('another', 'inactive')) == ''
    assert managed(monkeypatch, None) == '', 'no answer'


def test_without_ros2_control_nobody_is_asked(monkeypatch):
    monkeypatch.setitem(sys.modules, 'controller_manager_msgs', None)
    graph = FakeGraph().add('/jtc', '/arm/trajectory', jtc())
    graph.services['/controller_manager/list_controllers'] = None
    contract = parse_contract(ABSOLUTE_TEXT, 'x.yaml')
    assert said(examine_group(graph, contract.action[0], contract), Degree.WARN) == ''
    assert graph.calls == []


def test_how_long_drivers_wait_in_silence():
    assert silence_seconds(SERVO, {}) == 0.1
    assert silence_seconds(SERVO, {'moveit_servo.incoming_command_timeout': 0.3}) == 0.3
    assert silence_seconds(JOINT_TRAJECTORY, {}) is None, 'cmd_timeout is off'
    assert silence_seconds(JOINT_TRAJECTORY, {'cmd_timeout': 0.5}) == 0.5
    assert silence_seconds(JOINT_TRAJECTORY, {'cmd_timeout': 0.5, 'constraints.goal_time': 0.4}) == 0.5
    assert silence_seconds(JOINT_TRAJECTORY, {'cmd_timeout': 0.5, 'constraints.goal_time': 0.5}) is None, 'ignored'
    assert silence_seconds(FORWARD_OTHER, {'cmd_timeout': 0.5}) is None
    assert len(table()) == len(MANNERS)
    assert any('0.1 s' in row[3] for row in table())


def test_absolute_command_topics_are_named_where_they_meet_a_namespace():
    contract = parse_contract(DELTA_TEXT.replace('topic: arm/twist', 'topic: /arm/twist'), 'x.yaml')
    (warning,) = absolute_commands(contract, '/left')
    assert "Write 'arm/twist', which becomes '/left/arm/twist' here" in warning
    assert [*absolute_commands(contract, '/')] == []
    assert [*absolute_commands(delta_contract(), '/left')] == []
    inside = parse_contract(DELTA_TEXT.replace('topic: arm/twist', 'topic: /left/arm/twist'), 'x.yaml')
    assert [*absolute_commands(inside, '/left')] == []
    action = parse_contract(GRIPPER_TEXT.replace('action: gripper/', 'action: /gripper/'), 'x.yaml')
    assert len([*absolute_commands(action, '/left')]) == 1


@pytest.mark.parametrize('page', ['drivers.md', 'safety.md'])
def test_the_table_in_the_documentation_is_the_data(page):
    text = (Path(__file__).resolve().parents[2] / 'docs' / page).read_text()
    for row in table():
        assert '| ' + ' | '.join(row) + ' |' in text
