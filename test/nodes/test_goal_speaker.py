"""Of several who say goals, the one that spoke last is heard by whoever comes late."""

import time

import pytest
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from std_msgs.msg import String
from support.bench import wait_for

from mode_ros.nodes.goal_speaker import DEPTH, GoalSpeaker, OwnGoal
from mode_ros.nodes.goals_node import GoalsNode
from mode_ros.nodes.page_node import PageNode

# Deep enough for a word of each: with room for one, either might take the other's place.
DEEP = QoSProfile(depth=10, reliability=ReliabilityPolicy.RELIABLE, durability=DurabilityPolicy.TRANSIENT_LOCAL)


@pytest.fixture
def speak(bench):
    """Makes speakers, each in a node of its own."""
    import rclpy

    def make(name):
        node = rclpy.create_node(name)
        bench.under_test.append(node)
        bench.executor.add_node(node)
        return GoalSpeaker(node, 'goal')

    return make


def heard_late(bench, last):
    """All that a reader hears which comes now. last: what it must hear."""
    heard = []
    reader = bench.node.create_subscription(String, 'goal', lambda message: heard.append(message.data), DEEP)
    wait_for(lambda: last in heard, f'the goal {last!r}')
    # A word of anybody's that is said from now on comes after all that was latched before.
    end = bench.node.create_publisher(String, 'goal', DEEP)
    end.publish(String(data='end'))
    wait_for(lambda: 'end' in heard, 'the end')
    bench.node.destroy_publisher(end)
    bench.node.destroy_subscription(reader)
    return heard[: heard.index('end')]


@pytest.mark.parametrize('turned', [False, True])
def test_who_comes_late_hears_what_was_said_last(speak, bench, turned):
    one, other = speak('one'), speak('other')
    first, second = (other, one) if turned else (one, other)
    wait_for(lambda: all(each._publisher.get_subscription_count() == 2 for each in (one, other)), 'who hears them')
    time.sleep(0.1)  # matched on the other side, too
    second.say('wipe the table')
    first.say('open the drawer')
    wait_for(lambda: second.latched == '', 'that the second hears the first')
    second.say('push the drawer')
    wait_for(lambda: first.latched == '', 'that the first takes its own back')

    assert second.latched == 'push the drawer'
    assert heard_late(bench, 'push the drawer') == ['push the drawer']


def test_what_was_latched_before_a_speaker_came_takes_nothing_from_it(bench, speak):
    """As of a simulator that is started again beside a page whose goal is latched."""
    page = speak('page')
    page.say('push the drawer')
    simulator = speak('simulator')
    simulator.say('open the drawer')
    wait_for(lambda: page.latched == '', 'that the page hears it')

    assert simulator.latched == 'open the drawer'
    assert heard_late(bench, 'open the drawer') == ['open the drawer']


def test_a_policy_that_comes_late_hears_the_goal_of_the_page_and_not_of_the_queue(bench, contract_file):
    queue = bench.start(GoalsNode, activate=False, contract=contract_file, goals='open; close', controller='')
    page = bench.start(lambda **more: PageNode(serve=False, **more), activate=False, contract=contract_file)
    wait_for(lambda: page.state()['goal'] == 'open', 'the goal of the queue')

    wait_for(lambda: page._goals._publisher.get_subscription_count() >= 4, 'who hears the page')  # three of its own
    time.sleep(0.1)  # matched on the other side, too
    page.say_goal('push the drawer')
    wait_for(lambda: queue._goal.latched == '', 'that the queue takes its own back')
    assert heard_late(bench, 'push the drawer') == ['push the drawer']


def test_own_words_that_come_back_take_nothing_away():
    own = OwnGoal()
    for goal in ('open', 'close', 'open', 'push'):
        own.said(goal)
    assert [own.heard(goal) for goal in ('open', 'close', 'open', 'push')] == [False] * 4
    assert own.last == 'push'
    assert not own.heard('push'), 'somebody else says the same'
    assert own.heard('wipe')
    assert own.last == ''
    assert not own.heard('open'), 'there is nothing to take back'


def test_own_words_that_never_come_back_are_forgotten():
    """As those that a reader had no room for."""
    own = OwnGoal()
    for number in range(3 * DEPTH):
        own.said(f'goal {number}')
    assert not own.heard(f'goal {3 * DEPTH - 1}')
    assert own.heard('goal 0'), 'which somebody else says now'
