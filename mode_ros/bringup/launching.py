"""NodeSpecs as actions of `ros2 launch`; the only module that needs the package launch_ros."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from launch.actions import DeclareLaunchArgument, OpaqueFunction
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import Node

from launch import LaunchContext, LaunchDescription
from mode_ros.bringup.nodes import NodeSpec
from mode_ros.paths import share_folder

_BOOLEANS = {'true': True, 'false': False}


def argument(name: str, description: str, default: str | None = None) -> DeclareLaunchArgument:
    """A launch argument; without a default it must be given, with '' the settings file decides."""
    return DeclareLaunchArgument(name, description=description, default_value=default)


def launch_description(specs: Callable[..., list[NodeSpec]], *arguments: DeclareLaunchArgument) -> LaunchDescription:
    """Starts what `specs` lists for the values of `arguments`, with the two arguments that every launch file has."""
    settings = argument(
        'settings', 'ROS parameter file of the nodes', default=str(share_folder() / 'config/nodes.yaml')
    )
    namespace = argument('namespace', 'namespace of the nodes and of every relative topic', default='')

    def start(context: LaunchContext) -> list[Node]:
        given = {item.name: _value(LaunchConfiguration(item.name).perform(context)) for item in arguments}
        return [
            Node(
                package='mode_ros',
                executable=spec.executable,
                output='screen',
                namespace=_text(context, 'namespace'),
                parameters=[_text(context, 'settings'), dict(spec.parameters)],
            )
            for spec in specs(**given)
        ]

    return LaunchDescription([*arguments, settings, namespace, OpaqueFunction(function=start)])


def _text(context: LaunchContext, name: str) -> str:
    return str(LaunchConfiguration(name).perform(context))


def _value(text: str) -> Any:
    return _BOOLEANS.get(text.lower(), text)
