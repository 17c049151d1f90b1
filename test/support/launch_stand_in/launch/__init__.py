"""Stands in for ROS's package launch: just what mode_ros uses of it, as data."""


class LaunchContext:
    def __init__(self):
        self.launch_configurations = {}
        self.is_shutdown = False


class LaunchDescription:
    def __init__(self, entities):
        self.entities = entities
