#!/bin/bash
# What every terminal needs: ROS, the virtual environment, the workspace.
set -e
. "/opt/ros/${ROS_DISTRO}/setup.bash"
. /ws/.venv/bin/activate
. /ws/install/setup.bash
exec "$@"
