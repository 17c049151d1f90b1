"""A graph that needs no ROS: who listens, with which parameters, and services that are Python functions."""


class FakeGraph:
    def __init__(self, sim_time=False):
        self.sim_time = sim_time
        self.nodes = {}  # name: (topics, parameters)
        self.services = {}
        self.servers = {}
        self.publishing = {}  # topic: publishers, where they are not the one that asks
        self.calls = []

    def add(self, node, topic, parameters):
        self.nodes[node] = (topic, parameters)
        return self

    def resolve(self, name):
        return name if name.startswith('/') else f'/{name}'

    def listeners(self, topic):
        return [node for node, (own, _) in self.nodes.items() if own == topic]

    def publishers(self, topic):
        return self.publishing.get(topic, 1)

    def parameters(self, node):
        return self.nodes[node][1]

    def has_service(self, name):
        return name in self.services

    def call(self, service_type, name, request):
        self.calls.append((name, request))
        return self.services[name](request)

    def actions(self, name):
        return self.servers.get(name, ())
