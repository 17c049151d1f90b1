"""NodeSpecs as actions of `ros2 launch`; the only module that needs the packages launch and launch_ros.

`ros2` runs under the system's Python, which has none of the packages that pip installs for mode_ros: neither this
module nor what it imports, nor the launch files, may need more than the standard library, launch and launch_ros.
"""

from __future__ import annotations

import inspect
import tempfile
from collections.abc import Callable
from typing import Any

from launch.actions import DeclareLaunchArgument, OpaqueFunction
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import Node
from launch_ros.parameter_descriptions import ParameterValue

from launch import LaunchContext, LaunchDescription
from mode_ros.bringup.arguments import ends_the_launch, read_boolean, settings_file
from mode_ros.bringup.nodes import NodeSpec
from mode_ros.bringup.started_again import ASKS, VARIABLE
from mode_ros.errors import UserError
from mode_ros.paths import share_folder

# Before a crashed node starts again (seconds). Not 0: launch must see first why it ended.
RESPAWN_DELAY = 2.0


def argument(name: str, description: str, default: str | None = None) -> DeclareLaunchArgument:
    """A launch argument; without a default it must be given, with '' the settings file decides."""
    return DeclareLaunchArgument(name, description=description, default_value=default)


def launch_description(specs: Callable[..., list[NodeSpec]], *arguments: DeclareLaunchArgument) -> LaunchDescription:
    """Starts what `specs` lists for the values of `arguments`, with the three arguments that every launch file has.

    An argument is true or false where `specs` has a default that is.
    """
    common = [
        argument('settings', 'ROS parameter file of the nodes', default=str(share_folder() / 'config/nodes.yaml')),
        argument('namespace', 'namespace of the nodes and of every relative topic', default=''),
        argument('respawn', 'start a node again that has crashed, not one that refused to start', default='false'),
    ]
    defaults = {name: parameter.default for name, parameter in inspect.signature(specs).parameters.items()}

    def value(name: str, context: LaunchContext) -> Any:
        text = _text(context, name)
        return read_boolean(name, text) if isinstance(defaults.get(name), bool) else text

    def start(context: LaunchContext) -> list[Node]:
        given = {item.name: value(item.name, context) for item in arguments}
        settings = settings_file(_text(context, 'settings'))
        respawn = read_boolean('respawn', _text(context, 'respawn'))
        # In a folder of this launch alone the controller leaves that it has been started.
        started = tempfile.mkdtemp(prefix='mode_ros_') if respawn else ''
        return [_node(spec, settings, _text(context, 'namespace'), started) for spec in specs(**given)]

    return LaunchDescription([*arguments, *common, OpaqueFunction(function=start)])


def _node(spec: NodeSpec, settings: str, namespace: str, started: str) -> Node:
    """started: the folder in which a node that may be started again leaves its file, '' where none is."""
    respawn = bool(started)

    def on_exit(event: Any, context: LaunchContext) -> None:
        if not context.is_shutdown and ends_the_launch(event.returncode, respawn):
            # launch has no other way to end with a failure: a Shutdown event ends it with 0.
            raise UserError(f'{spec.executable} ended with status {event.returncode}; what it said is above.')

    return Node(
        package='mode_ros',
        executable=spec.executable,
        output='screen',
        namespace=namespace,
        parameters=[settings, {name: _parameter(value) for name, value in spec.parameters.items()}],
        on_exit=on_exit,
        # Others do not ask for it, and what they start is not to find it.
        additional_env={VARIABLE: f'{started}/{spec.executable}'} if started and spec.executable == ASKS else {},
        respawn=respawn,
        respawn_delay=RESPAWN_DELAY,
    )


def _parameter(value: Any) -> Any:
    # Without its type a text that looks like a number (folder:=2026) would become one.
    return ParameterValue(value, value_type=str) if isinstance(value, str) else value


def _text(context: LaunchContext, name: str) -> str:
    return str(LaunchConfiguration(name).perform(context))
