class ParameterValue:
    def __init__(self, value, *, value_type):
        self.value, self.value_type = value, value_type
