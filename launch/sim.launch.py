"""A simulated robot with the policy and the controller.

ros2 launch mode_ros sim.launch.py task:=drawer-open
"""

from mode_ros.bringup.launching import argument, launch_description
from mode_ros.bringup.nodes import simulation_nodes
from mode_ros.paths import shipped_policy


def generate_launch_description():
    return launch_description(
        simulation_nodes,
        argument(
            'checkpoint', 'checkpoint folder of the policy', default=str(shipped_policy('metaworld_sawyer') or '')
        ),
        argument(
            'contract', 'contract of the simulated robot: metaworld_sawyer or libero_panda', default='metaworld_sawyer'
        ),
        argument('simulator', 'metaworld or libero', default=''),
        argument('task', 'task, such as drawer-open or libero_spatial/0', default=''),
        argument('device', 'auto, cpu or cuda', default=''),
        argument('page', "true: the operator's page, too", default='false'),
        argument('view', 'true: the planned path and an annotated image for RViz and rqt, too', default='false'),
    )
