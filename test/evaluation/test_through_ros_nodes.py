"""What an evaluation through the nodes tells them."""

from types import SimpleNamespace

import pytest

pytest.importorskip('rclpy')

from mode_ros.evaluation.settings import make_settings
from mode_ros.evaluation.through_ros import _nodes


def parameters(tmp_path, **settings):
    made = make_settings(checkpoint=tmp_path, output=tmp_path, through_ros=True, **settings)
    work = SimpleNamespace(settings=made, simulator='metaworld')
    return {spec.executable: dict(spec.parameters) for spec in _nodes(work, 'reach', 3)}


def test_the_way_of_execution_reaches_the_controller_and_the_policy(tmp_path):
    nodes = parameters(tmp_path, execution='realtime', actions=6, continuation='soft', steps=5)
    assert (nodes['controller_node']['execution'], nodes['controller_node']['actions']) == ('realtime', 6)
    assert (nodes['policy_node']['continuation'], nodes['policy_node']['steps']) == ('soft', 5)
    assert nodes['sim_node']['seed'] == 3


def test_unless_told_they_execute_as_the_episodes_in_one_process_do(tmp_path):
    nodes = parameters(tmp_path)
    assert nodes['controller_node']['execution'] == 'synchronous', "not the node's own default"
    assert 'continuation' not in nodes['policy_node'], 'the checkpoint decides'
