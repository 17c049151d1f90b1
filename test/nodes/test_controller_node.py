"""controller_node among real messages: the rate, the order, and every way to a stop."""

import os
import time

import numpy as np
import pytest
from diagnostic_msgs.msg import DiagnosticArray
from geometry_msgs.msg import TwistStamped
from std_msgs.msg import Bool, Float64MultiArray
from support.bench import wait_for
from trajectory_msgs.msg import JointTrajectory

from mode_ros.bringup.started_again import started_again
from mode_ros.control.chunk import make_chunk
from mode_ros.control.takeover import TeleopCommand
from mode_ros.messages.chunks import decode_request, encode_chunk
from mode_ros.messages.stamps import to_nanoseconds
from mode_ros.messages.teleop import encode_teleop
from mode_ros.nodes.controller_node import ControllerNode
from mode_ros.nodes.qos import LATCHED

SECOND = 1_000_000_000
PERIOD = 0.05


@pytest.fixture
def controller(bench, contract_file, request):
    parameters = {'execution': 'synchronous', 'driver_wait': 0.0, **getattr(request, 'param', {})}
    node = bench.start(ControllerNode, contract=contract_file, **parameters)
    bench.joints()
    bench.asked = bench.listen(JointTrajectory, 'chunk_request')
    bench.alive = True
    bench.node.create_timer(0.02, lambda: bench.alive and bench.joints())
    return node


def send_chunk(bench, x_values, stamp=None):
    actions = np.zeros((len(x_values), 4))
    actions[:, 0], actions[:, 3] = x_values, 0.5
    identity = decode_request(wait_for(lambda: bench.asked, 'a request')[-1]).identity
    bench.publish(encode_chunk(make_chunk(bench.contract, stamp or bench.now(), actions, identity)), 'action_chunk')


def velocities(twists):
    return [round(twist.twist.linear.x * PERIOD, 6) for twist in twists]


def test_a_chunk_becomes_commands_at_control_rate(bench, controller):
    requests = bench.listen(JointTrajectory, 'chunk_request')
    twists = bench.listen(TwistStamped, 'arm/twist')
    grips = bench.listen(Float64MultiArray, 'gripper/command')
    wait_for(lambda: requests, 'a request')
    assert set(velocities(twists)) <= {0.0}
    assert not grips, 'the gripper is left alone until the policy wants something of it'
    send_chunk(bench, [0.01, 0.02, 0.03, 0.04])
    wait_for(lambda: 0.04 in velocities(twists), 'the last action')
    before = len(requests)
    wait_for(lambda: len(requests) > before + 1, 'the next request')
    moved = [value for value in velocities(twists) if value]
    assert moved == [0.01, 0.02, 0.03, 0.04]
    assert velocities(twists)[-1] == 0.0
    assert grips[-1].data.tolist() == [0.5]
    # Stamps tell the rate without the test's own delays.
    stamps = np.array([to_nanoseconds(twist.header.stamp) for twist in twists])
    assert np.median(np.diff(stamps)) / SECOND == pytest.approx(PERIOD, rel=0.1)
    last_motion = stamps[velocities(twists).index(0.04)]
    assert decode_request(requests[-1]).not_before >= last_motion + 0.9 * PERIOD * SECOND


def test_dead_state_stops_and_says_so(bench, controller):
    diagnostics = bench.listen(DiagnosticArray, '/diagnostics')
    twists = bench.listen(TwistStamped, 'arm/twist')
    safety = bench.listen_json('safety_state')
    send_chunk(bench, [0.01] * 60)
    wait_for(lambda: 0.01 in velocities(twists), 'motion')
    bench.alive = False
    wait_for(lambda: velocities(twists)[-1] == 0.0, 'a stop')
    wait_for(
        lambda: any(
            'stopped: joints: last message' in status.message for array in diagnostics for status in array.status
        ),
        'the reason',
    )
    assert [(state['latched'], state['check']) for state in safety] == [(False, ''), (True, 'stale')]
    bench.alive = True
    heard, asked = len(twists), len(bench.asked)
    wait_for(lambda: len(twists) > heard + 10, 'further commands')
    assert set(velocities(twists[heard:])) == {0.0}, 'old actions must not resume'
    assert len(bench.asked) == asked, 'nothing moves until somebody says go'
    assert bench.call('controller_node/release').success
    wait_for(lambda: len(bench.asked) > asked, 'a request')
    send_chunk(bench, [0.02] * 3)
    wait_for(lambda: 0.02 in velocities(twists), 'motion again')
    assert [state['stopped'] for state in safety] == [False, True, True, False]
    assert safety[1]['now'].startswith('joints: last message')
    assert safety[2]['now'] == '', 'nothing keeps it any more, but that nobody has released it'


def test_emergency_stop(bench, controller):
    twists = bench.listen(TwistStamped, 'arm/twist')
    send_chunk(bench, [0.01] * 60)
    wait_for(lambda: 0.01 in velocities(twists), 'motion')
    bench.publish(Bool(data=True), 'estop')
    wait_for(lambda: velocities(twists)[-1] == 0.0, 'a stop')
    send_chunk(bench, [0.02] * 60)
    heard = len(twists)
    wait_for(lambda: len(twists) > heard + 5, 'further commands')
    assert set(velocities(twists[heard:])) == {0.0}
    refused = bench.call('controller_node/release')
    assert (refused.success, refused.message) == (False, 'the emergency stop is engaged')
    bench.publish(Bool(data=False), 'estop')
    heard, asked = len(twists), len(bench.asked)
    wait_for(lambda: len(twists) > heard + 5, 'further commands')
    assert len(bench.asked) == asked, 'its release does not start motion by itself'
    assert bench.call('controller_node/release').success
    wait_for(lambda: len(bench.asked) > asked, 'a request')


@pytest.mark.parametrize('failing', ['stop', 'send'])
@pytest.mark.parametrize('how', ['deactivated', 'ended'])
def test_a_stop_that_fails_still_ends_the_velocity(bench, controller, monkeypatch, how, failing):
    """As after a defect in the control period, which comes again in the stop."""
    twists = bench.listen(TwistStamped, 'arm/twist')
    send_chunk(bench, [0.01] * 60)
    wait_for(lambda: 0.01 in velocities(twists), 'motion')

    def fail(*_):
        raise ValueError('a defect')

    monkeypatch.setattr(*((controller._controller, 'stop', fail) if failing == 'stop' else (controller, '_send', fail)))
    if how == 'deactivated':
        assert not bench.transition(controller, 'deactivate')
    else:
        bench.executor.remove_node(controller)
        bench.under_test.remove(controller)
        with pytest.raises(ValueError, match='a defect'):
            controller.close()
        assert not controller._outputs, 'all is given back'
        controller.destroy_node()
    wait_for(lambda: velocities(twists)[-1] == 0.0, 'the end of the velocity')


def test_deactivation_ends_with_a_safe_command_and_then_silence(bench, controller):
    twists = bench.listen(TwistStamped, 'arm/twist')
    send_chunk(bench, [0.01] * 60)
    wait_for(lambda: 0.01 in velocities(twists), 'motion')
    assert bench.transition(controller, 'deactivate')
    wait_for(lambda: velocities(twists)[-1] == 0.0, 'the safe command')
    time.sleep(0.3)
    assert velocities(twists)[-1] == 0.0
    heard = len(twists)
    send_chunk(bench, [0.02] * 60)
    time.sleep(0.5)
    assert len(twists) == heard, 'an inactive controller commands nothing'
    assert bench.transition(controller, 'activate')
    wait_for(lambda: len(twists) > heard, 'commands again')
    assert set(velocities(twists[heard:])) == {0.0}


class Noting:
    """A publisher that notes what is asked of it."""

    def __init__(self, publisher, notes):
        self._publisher, self._notes = publisher, notes

    def publish(self, message):
        self._notes.append('sent')
        self._publisher.publish(message)

    def wait_for_all_acked(self, *arguments):
        self._notes.append('acknowledged')
        return self._publisher.wait_for_all_acked(*arguments)

    def __getattr__(self, name):
        return getattr(self._publisher, name)


def test_the_last_command_is_waited_for_until_the_driver_has_it(bench, controller):
    notes = {name: [] for name in controller._outputs}
    real = dict(controller._outputs)
    controller._outputs.update({name: Noting(real[name], notes[name]) for name in real})
    send_chunk(bench, [0.01] * 60)
    wait_for(lambda: notes['arm/twist'], 'a command')
    assert bench.transition(controller, 'deactivate')
    assert all(found[-1] == 'acknowledged' for found in notes.values()), notes
    assert 'sent' in notes['arm/twist']
    controller._outputs.update(real)


def test_a_bad_chunk_is_refused_whole(bench, controller, capfd):
    diagnostics = bench.listen(DiagnosticArray, '/diagnostics')
    twists = bench.listen(TwistStamped, 'arm/twist')
    send_chunk(bench, [0.01, float('nan')])
    wait_for(
        lambda: any(
            item.key == 'chunks refused' and item.value == '1'
            for array in diagnostics
            for status in array.status
            for item in status.values
        ),
        'the count',
    )
    assert set(velocities(twists)) <= {0.0}
    assert 'chunk refused (finite): action 1 has x = nan' in capfd.readouterr().err


def test_it_pauses_and_starts(bench, controller):
    twists = bench.listen(TwistStamped, 'arm/twist')
    send_chunk(bench, [0.01] * 60)
    wait_for(lambda: 0.01 in velocities(twists), 'motion')
    assert bench.call('controller_node/pause').success
    wait_for(lambda: velocities(twists)[-1] == 0.0, 'a stop')
    assert bench.call('controller_node/reset').success
    asked = len(bench.asked)
    time.sleep(0.3)
    assert len(bench.asked) == asked
    assert bench.call('controller_node/start').success
    wait_for(lambda: len(bench.asked) > asked, 'a request')
    send_chunk(bench, [0.02] * 3)
    wait_for(lambda: 0.02 in velocities(twists), 'motion again')


def test_one_that_is_started_in_the_place_of_one_that_crashed_waits_for_a_person(
    bench, contract_file, tmp_path, monkeypatch, capfd
):
    monkeypatch.setenv('MODE_ROS_STARTED', str(tmp_path / 'controller_node'))
    assert not started_again(os.environ), 'the first one'
    assert 'MODE_ROS_STARTED' not in os.environ, 'what it starts is told nothing'
    monkeypatch.setenv('MODE_ROS_STARTED', str(tmp_path / 'controller_node'))
    bench.start(ControllerNode, contract=contract_file, driver_wait=0.0)
    asked = bench.listen(JointTrajectory, 'chunk_request')
    bench.node.create_timer(0.02, bench.joints)
    time.sleep(0.5)
    assert not asked
    assert 'in the place of a controller that ended, and is paused' in capfd.readouterr().err
    assert bench.call('controller_node/start').success
    wait_for(lambda: asked, 'a request')


def test_who_cannot_leave_that_it_was_started_counts_as_started_again(tmp_path):
    assert not started_again({})
    assert started_again({'MODE_ROS_STARTED': str(tmp_path / 'removed' / 'controller_node')})


@pytest.mark.parametrize('controller', [{'deadman_topic': 'deadman', 'deadman_seconds': 0.4}], indirect=True)
def test_the_policy_moves_only_while_the_deadman_is_held(bench, controller):
    twists = bench.listen(TwistStamped, 'arm/twist')
    time.sleep(0.3)
    assert not bench.asked
    holding = bench.node.create_timer(0.05, lambda: bench.publish(Bool(data=True), 'deadman'))
    send_chunk(bench, [0.01] * 60)
    wait_for(lambda: 0.01 in velocities(twists), 'motion')
    holding.cancel()
    wait_for(lambda: velocities(twists)[-1] == 0.0, 'a stop')


@pytest.mark.parametrize('controller', [{'execution': 'realtime'}], indirect=True)
def test_the_next_chunk_is_asked_for_while_one_plays_and_continues_it(bench, controller):
    twists = bench.listen(TwistStamped, 'arm/twist')
    send_chunk(bench, [0.01] * 10)
    wait_for(lambda: 0.01 in velocities(twists), 'motion')
    # The first one waited for this test: its delay, which is all that is known, leaves nothing of ten actions.
    request = decode_request(
        wait_for(lambda: [m for m in bench.asked if decode_request(m).not_before][1:] and bench.asked[-1], 'a request')
    )
    assert request.identity


def test_a_second_controller_stops_the_first(bench, controller):
    safety = bench.listen_json('safety_state')
    twists = bench.listen(TwistStamped, 'arm/twist')
    send_chunk(bench, [0.01] * 100)
    wait_for(lambda: 0.01 in velocities(twists), 'motion')
    other = bench.node.create_publisher(TwistStamped, 'arm/twist', 1)
    wait_for(lambda: safety[-1]['check'] == 'other publisher', 'a stop')
    assert '2 publishers of commands on arm/twist' in safety[-1]['reason']
    wait_for(lambda: velocities(twists)[-1] == 0.0, 'a stop')
    bench.node.destroy_publisher(other)


def test_it_listens_before_its_first_command(bench, contract_file):
    twists = []
    bench.node.create_subscription(TwistStamped, 'arm/twist', twists.append, 100)
    bench.node.create_timer(0.02, bench.joints)
    node = bench.start(ControllerNode, contract=contract_file, listen_seconds=9.0)
    diagnostics = bench.listen(DiagnosticArray, '/diagnostics')
    words = 'holding: listening for 9 s for another controller of the robot'
    wait_for(lambda: any(status.message == words for told in diagnostics for status in told.status), 'the reason')
    assert not twists
    node._safety._listening.over = True  # the time is test_listening.py's
    node._controller.permission.set_listening('')
    wait_for(lambda: twists, 'the first command')


def test_it_sends_nothing_where_another_one_commands_the_robot(bench, contract_file):
    twists = []
    bench.node.create_subscription(TwistStamped, 'arm/twist', twists.append, 100)
    other = bench.node.create_publisher(TwistStamped, 'arm/twist', 1)
    bench.node.create_timer(0.02, bench.joints)
    node = bench.start(ControllerNode, contract=contract_file, listen_seconds=0.5)
    safety = bench.listen_json('safety_state')
    wait_for(lambda: safety[-1]['check'] == 'other publisher', 'a refusal')
    assert safety[-1]['latched']
    wait_for(lambda: node._safety._listening.over, 'the end of the listening')
    time.sleep(0.3)
    assert 'end the other controller' in bench.call('controller_node/release').message
    bench.node.destroy_publisher(other)
    time.sleep(0.6)  # counted again
    assert bench.transition(node, 'deactivate')
    assert bench.transition(node, 'activate')
    time.sleep(0.3)
    assert not twists, 'not even that the robot is to stay'
    wait_for(lambda: bench.call('controller_node/release').success, 'a release')
    wait_for(lambda: twists, 'commands')


def test_a_simulated_clock_that_stands_still_does_not_keep_it_from_stopping(bench, contract_file):
    node = bench.start(ControllerNode, contract=contract_file, use_sim_time=True)
    assert bench.transition(node, 'deactivate'), 'its wait is on the wall clock'


def teleop(bench, action):
    command = TeleopCommand(bench.now(), bench.contract.action_names, None if action is None else np.array(action))
    bench.publish(encode_teleop(command), 'teleop_command')


def test_a_person_drives_marks_the_span_and_gives_back(bench, controller):
    twists = bench.listen(TwistStamped, 'arm/twist')
    interventions = bench.listen(Bool, 'intervention', LATCHED)
    requests = bench.listen(JointTrajectory, 'chunk_request')
    wait_for(lambda: interventions, 'the latched state')
    assert [message.data for message in interventions] == [False]
    send_chunk(bench, [0.01] * 60)
    wait_for(lambda: 0.01 in velocities(twists), 'the policy')
    driving = bench.node.create_timer(0.04, lambda: teleop(bench, [-0.02, 0.0, 0.0, 1.0]))
    wait_for(lambda: -0.02 in velocities(twists), 'the person')
    heard, asked = len(twists), len(requests)
    send_chunk(bench, [0.03] * 60)
    # On a busy machine a command of the person may be late, which holds the robot for a period.
    wait_for(lambda: velocities(twists[heard:]).count(-0.02) >= 5, 'the person, still')
    assert set(velocities(twists[heard:])) <= {-0.02, 0.0}, 'a chunk does not come between'
    assert len(requests) == asked
    driving.cancel()
    teleop(bench, None)
    released = bench.now()
    wait_for(lambda: velocities(twists)[-1] == 0.0, 'a stop')
    wait_for(lambda: len(requests) > asked, 'a request')
    moving = [twist for twist in twists if to_nanoseconds(twist.header.stamp) > released and twist.twist.linear.x]
    assert len(moving) <= 2, 'the stop begins with the period in which it is heard'
    assert set(velocities(twists[heard:])) <= {-0.02, 0.0}
    assert [message.data for message in interventions] == [False, True, False]


def test_a_teleoperation_command_for_another_robot_is_refused(bench, controller, capfd):
    twists = bench.listen(TwistStamped, 'arm/twist')
    bench.publish(encode_teleop(TeleopCommand(bench.now(), ('q',), np.array([0.01]))), 'teleop_command')
    wait_for(lambda: "teleoperation command refused (names): its names are ['q']" in capfd.readouterr().err, 'a word')
    assert set(velocities(twists)) <= {0.0}


def test_deactivated_it_takes_no_commands_of_a_person(bench, controller):
    twists = bench.listen(TwistStamped, 'arm/twist')
    interventions = bench.listen(Bool, 'intervention', LATCHED)
    driving = bench.node.create_timer(0.04, lambda: teleop(bench, [0.02, 0.0, 0.0, 1.0]))
    wait_for(lambda: 0.02 in velocities(twists), 'the person')
    assert controller.trigger_deactivate().name == 'SUCCESS'
    wait_for(lambda: velocities(twists)[-1] == 0.0, 'the safe command')
    wait_for(lambda: not interventions[-1].data, 'the end of the intervention')
    time.sleep(0.3)
    driving.cancel()
    assert velocities(twists)[-1] == 0.0
    assert not interventions[-1].data
