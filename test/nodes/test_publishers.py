"""The ROS graph counts what the contract's topics must have one of."""

from geometry_msgs.msg import TwistStamped
from support.bench import wait_for
from support.contracts import delta_contract

from mode_ros.control.publishers import too_many, voices
from mode_ros.nodes.publishers import publishing_nodes


def test_a_second_publisher_of_commands_is_counted_by_its_node(bench):
    watched = voices(delta_contract(), simulated=False)
    first = bench.node.create_publisher(TwistStamped, 'arm/twist', 1)
    wait_for(lambda: publishing_nodes(bench.node, watched)['arm/twist'] == ['/bench'], 'one publisher')
    assert too_many(watched, publishing_nodes(bench.node, watched)) == []
    second = bench.node.create_publisher(TwistStamped, 'arm/twist', 1)
    wait_for(lambda: too_many(watched, publishing_nodes(bench.node, watched)), 'the second publisher')
    assert (
        '2 publishers of commands on arm/twist (/bench, /bench)'
        in too_many(watched, publishing_nodes(bench.node, watched))[0]
    )
    for publisher in (first, second):
        bench.node.destroy_publisher(publisher)
    wait_for(lambda: not publishing_nodes(bench.node, watched)['arm/twist'], 'nobody')
