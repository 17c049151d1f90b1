"""`python -m mode_ros` is the command `mode_ros`."""

from mode_ros.cli.main import main

main()
