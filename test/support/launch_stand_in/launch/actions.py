class DeclareLaunchArgument:
    def __init__(self, name, *, description, default_value=None):
        self.name, self.description, self.default_value = name, description, default_value


class OpaqueFunction:
    def __init__(self, *, function):
        self.function = function
