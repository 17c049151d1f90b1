"""Everything that records demonstrations: the controller, teleoperation and the recorder.

ros2 launch mode_ros record.launch.py contract:=ros2_control_arm folder:=recordings

Under ros2 launch no node has a terminal, so this drives with a joystick; for the keyboard give teleop:=false and start
`ros2 run mode_ros teleop_node` in a terminal of its own.
"""

from mode_ros.bringup.launching import argument, launch_description
from mode_ros.bringup.nodes import recording_nodes


def generate_launch_description():
    return launch_description(
        recording_nodes,
        argument('contract', 'robot contract: a name in config/robots, or the path of a YAML file'),
        argument('folder', 'folder of the episodes', default=''),
        argument('simulator', 'start a simulated robot: metaworld or libero', default=''),
        argument('task', 'its task, such as drawer-open or libero_spatial/0', default=''),
        argument('controller', 'false where policy.launch.py runs already', default='true'),
        argument('teleop', 'false where teleop_node runs in a terminal of its own', default='true'),
        argument('page', "true: the operator's page, too", default='false'),
        argument('view', 'true: an annotated image for RViz and rqt, too', default='false'),
        argument('use_sim_time', 'take time from /clock', default='false'),
    )
