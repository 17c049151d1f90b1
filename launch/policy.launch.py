"""The policy and the controller beside a robot's own drivers.

ros2 launch mode_ros policy.launch.py contract:=ros2_control_arm checkpoint:=/path/to/checkpoint
"""

from mode_ros.bringup.launching import argument, launch_description
from mode_ros.bringup.nodes import robot_nodes


def generate_launch_description():
    return launch_description(
        robot_nodes,
        argument('contract', 'robot contract: a name in config/robots, or the path of a YAML file'),
        argument('checkpoint', 'checkpoint folder of the policy'),
        argument('device', 'auto, cpu or cuda', default=''),
        argument('page', "true: the operator's page, too", default='false'),
        argument('view', 'true: the planned path and an annotated image for RViz and rqt, too', default='false'),
        argument('use_sim_time', 'take time from /clock', default='false'),
    )
