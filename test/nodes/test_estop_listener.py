"""A controller hears every stop that a living publisher has said last, whatever the others say."""

import time

import pytest
import rclpy
from rclpy.parameter import Parameter
from rclpy.qos import qos_profile_sensor_data
from std_msgs.msg import Bool
from support.bench import wait_for

from mode_ros.control.estop import ASK_SECONDS
from mode_ros.nodes.controller_node import ControllerNode
from mode_ros.nodes.estop_listener import EstopListener
from mode_ros.nodes.page_node import PageNode
from mode_ros.nodes.qos import LATCHED


@pytest.fixture
def speaker(bench):
    """Makes publishers of the emergency stop, each of a node of its own, as `say`."""

    def make(name):
        node = rclpy.create_node(name)
        bench.under_test.append(node)
        publisher = node.create_publisher(Bool, 'estop', LATCHED)
        return lambda stop: publisher.publish(Bool(data=stop))

    return make


@pytest.fixture
def start(bench, contract_file):
    """The controller, and what it tells of its safety."""

    def make():
        bench.start(ControllerNode, contract=contract_file)
        bench.node.create_timer(0.02, bench.joints)
        return bench.listen_json('safety_state')

    return make


def released_in_the_end(bench):
    wait_for(lambda: bench.call('controller_node/release').success, 'the release', every=0.1)


@pytest.mark.parametrize('first', [True, False])
def test_a_controller_that_comes_late_does_not_overlook_a_stop(bench, speaker, start, first):
    """One says stop and five do not, all latched before."""
    stopping = speaker('stopping')
    if first:
        stopping(True)
    for number in range(5):
        speaker(f'other_{number}')(False)
    if not first:
        stopping(True)
    told = start()
    wait_for(lambda: told[-1]['check'] == 'estop', 'the stop')
    time.sleep(2.5 * ASK_SECONDS)
    refused = bench.call('controller_node/release')
    assert (refused.success, refused.message) == (False, 'the emergency stop is engaged')
    stopping(False)
    released_in_the_end(bench)


def test_nobody_takes_back_somebody_elses_stop(bench, speaker, start):
    told = start()
    stopping, other = speaker('stopping'), speaker('other')
    stopping(True)
    wait_for(lambda: told[-1]['check'] == 'estop', 'the stop')
    for _ in range(8):  # a heartbeat
        other(False)
        time.sleep(0.3 * ASK_SECONDS)
        assert not bench.call('controller_node/release').success
    other(True)
    other(False)
    time.sleep(2.5 * ASK_SECONDS)
    assert bench.call('controller_node/release').message == 'the emergency stop is engaged'
    assert told[-1]['now'] == 'the emergency stop is engaged'
    stopping(False)
    released_in_the_end(bench)


def test_who_publishes_best_effort_is_heard_and_a_refused_start_leaves_the_pause(bench, start):
    told = start()
    node = rclpy.create_node('button')
    bench.under_test.append(node)
    button = node.create_publisher(Bool, 'estop', qos_profile_sensor_data)
    bench.node.create_timer(0.1, lambda: button.publish(Bool(data=pressed)))
    pressed = True
    wait_for(lambda: told[-1]['check'] == 'estop', 'the stop')
    assert bench.call('controller_node/pause').success
    refused = bench.call('controller_node/start')
    assert (refused.success, refused.message) == (False, 'the robot is stopped; call ~/release first')
    pressed = False
    released_in_the_end(bench)
    wait_for(lambda: told[-1]['reason'] == 'paused', 'the pause, which is still there')


# Two arms in namespaces of their own that share one stop.
SHARED = {'namespace': 'left', 'cli_args': ['--ros-args', '-r', 'estop:=/estop']}


def test_nobody_takes_back_somebody_elses_stop_where_arms_share_it_by_a_remapping(bench, speaker):
    node = rclpy.create_node('ear', **SHARED)
    bench.under_test.append(node)
    bench.executor.add_node(node)
    told, beats = [], []
    listener = EstopListener(node, told.append, lambda: beats.append(True))
    stopping, other = speaker('stopping'), speaker('other')
    stopping(True)
    wait_for(lambda: told == [True], 'the stop')
    wait_for(lambda: node.count_publishers('/estop') == 2, 'both publishers')
    before = len(beats)
    other(False)
    wait_for(lambda: len(beats) > before, 'its word')
    time.sleep(2.5 * ASK_SECONDS)
    assert told == [True]
    stopping(False)
    wait_for(lambda: told == [True, False], 'the release, when all have been asked')
    listener.close()


def test_the_page_hears_that_others_keep_a_shared_stop(bench, speaker, contract_file):
    page = PageNode(serve=False, parameter_overrides=[Parameter('contract', value=contract_file)], **SHARED)
    bench.under_test.append(page)
    bench.executor.add_node(page)
    stopping, other = speaker('stopping'), speaker('other')
    stopping(True)
    wait_for(lambda: page.state()['estop']['others'], 'the stop')
    wait_for(lambda: page.count_publishers('/estop') == 3, 'all publishers')
    heard = bench.listen(Bool, 'estop')
    other(False)
    wait_for(lambda: heard, 'its word')
    time.sleep(2.5 * ASK_SECONDS)
    assert page.state()['estop']['others']
    stopping(False)
    wait_for(lambda: not page.state()['estop']['others'], 'the release, when all have been asked')
