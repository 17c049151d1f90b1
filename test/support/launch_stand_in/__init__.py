"""A folder for sys.path with stand-ins for ROS's packages launch and launch_ros."""

from pathlib import Path

STAND_IN = Path(__file__).resolve().parent
