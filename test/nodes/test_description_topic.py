"""Where the nodes look for the robot's description: where robot_state_publisher tells it, in a namespace too."""

import pytest
import rclpy
from rclpy.parameter import Parameter
from support.contracts import ABSOLUTE_TEXT

from mode_ros.nodes.controller_node import ControllerNode
from mode_ros.nodes.recorder_node import RecorderNode
from mode_ros.nodes.view_node import ViewNode


@pytest.fixture(autouse=True)
def ros():
    rclpy.init()
    yield
    rclpy.shutdown()


@pytest.mark.parametrize(
    ('namespace', 'remapped', 'topic'),
    [
        ('', '', '/robot_description'),
        ('left', '', '/left/robot_description'),
        ('left', '/both', '/both'),
    ],
)
@pytest.mark.parametrize(('kind', 'more'), [(ControllerNode, {}), (ViewNode, {'link': 'tool'}), (RecorderNode, {})])
def test_the_description_follows_namespace_and_remapping(tmp_path, kind, more, namespace, remapped, topic):
    if kind is ControllerNode:
        pytest.importorskip('pinocchio')
    (tmp_path / 'arm.yaml').write_text(ABSOLUTE_TEXT + 'self_collision: {distance: 0.01}\n' * (kind is ControllerNode))
    given = {'contract': str(tmp_path / 'arm.yaml'), **more}
    if kind is RecorderNode:
        given['folder'] = str(tmp_path)
    node = kind(
        namespace=namespace,
        parameter_overrides=[Parameter(name, value=value) for name, value in given.items()],
        cli_args=['--ros-args', '-r', f'robot_description:={remapped}'] if remapped else None,
    )
    try:
        if kind is ControllerNode:
            assert node.trigger_configure().name == 'SUCCESS'
        heard = {each.topic_name for each in node.subscriptions}
        assert {each for each in heard if each == topic or 'description' in each} == {topic}
    finally:
        if hasattr(node, 'close'):
            node.close()
        node.destroy_node()
