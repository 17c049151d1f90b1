"""goals_node among real messages."""

from std_msgs.msg import Bool, String
from support.bench import wait_for

from mode_ros.nodes.goals_node import GoalsNode
from mode_ros.nodes.qos import LATCHED


def test_the_next_goal_is_said_when_one_has_succeeded(bench, contract_file):
    node = bench.start(GoalsNode, activate=False, contract=contract_file, goals='open; push; close', controller='')
    said = bench.listen(String, 'goal', LATCHED)
    told = bench.listen_json('goal_queue')
    wait_for(lambda: [m.data for m in said] == ['open'], 'the first goal')
    bench.publish(Bool(data=False), 'success')
    wait_for(lambda: not node._queue._succeeded, 'no success')
    bench.publish(Bool(data=True), 'success')
    wait_for(lambda: said[-1].data == 'push', 'the second')
    assert bench.call('goals_node/next').success
    wait_for(lambda: said[-1].data == 'close', 'the third')
    bench.publish(String(data='wipe\nput away'), 'goals')
    wait_for(lambda: said[-1].data == 'wipe', 'other goals')
    wait_for(lambda: told and told[-1]['goal'] == 'wipe', 'the status')
    assert [one['how'] for one in told[-2]['ended']] == ['success', 'skipped']
