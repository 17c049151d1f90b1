"""Real nodes on real DDS, in this process: a bench node beside them publishes, listens and waits."""

import gc
import json
import threading
import time

import numpy as np
import rclpy
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState
from rclpy.executors import SingleThreadedExecutor
from rclpy.parameter import Parameter
from rclpy.qos import QoSProfile
from std_msgs.msg import String
from std_srvs.srv import Trigger
from support.contracts import patient_contract

from mode_ros.control.request import ChunkRequest
from mode_ros.messages.chunks import encode_request
from mode_ros.messages.images import encode_image
from mode_ros.messages.states import encode_joint_state
from mode_ros.nodes.controller_node import ControllerNode
from mode_ros.nodes.qos import COMMAND, LATCHED

TIMEOUT = 20.0


class Bench:
    """A node that plays robot, operator and observer."""

    def __init__(self):
        self.node = rclpy.create_node('bench')
        self.executor = SingleThreadedExecutor()
        self.executor.add_node(self.node)
        self.thread = threading.Thread(target=self.executor.spin, daemon=True)
        self.thread.start()
        self.contract = patient_contract()
        self.publishers, self.clients = {}, {}
        self.under_test = []
        self.measured = 0

    def start(self, node_class, activate=True, **parameters):
        """A node with these parameters, configured and activated."""
        if node_class is ControllerNode:
            parameters.setdefault('driver_wait', 0.0)  # nobody listens but the bench
            parameters.setdefault('listen_seconds', 0.0)  # nor commands
        node = node_class(parameter_overrides=[Parameter(name, value=value) for name, value in parameters.items()])
        self.under_test.append(node)
        self.executor.add_node(node)
        if activate:
            assert node.trigger_configure().name == 'SUCCESS'
            assert node.trigger_activate().name == 'SUCCESS'
        return node

    def transition(self, node, label):
        """Asks the node for a lifecycle transition as any manager would; returns whether it succeeded."""
        name = f'{node.get_name()}/change_state'
        if name not in self.clients:
            self.clients[name] = self.node.create_client(ChangeState, name)
            wait_for(self.clients[name].service_is_ready, name)
        future = self.clients[name].call_async(ChangeState.Request(transition=Transition(label=label)))
        wait_for(future.done, label)
        return future.result().success

    def publish(self, message, topic, qos=COMMAND):
        key = (topic, type(message))
        if key not in self.publishers:
            self.publishers[key] = self.node.create_publisher(type(message), topic, qos)
            wait_for(lambda: self.publishers[key].get_subscription_count() > 0, f'a subscriber of {topic}')
        self.publishers[key].publish(message)

    def listen(self, message_type, topic, qos=None):
        """A list that fills with what is published."""
        heard = []
        self.node.create_subscription(message_type, topic, heard.append, qos or QoSProfile(depth=100))
        wait_for(lambda: self.node.count_publishers(topic) > 0, f'a publisher of {topic}')
        time.sleep(0.1)  # matched on the other side, too
        return heard

    def listen_json(self, topic):
        """A list that fills with what a latched topic of JSON texts tells."""
        told = []
        self.node.create_subscription(String, topic, lambda message: told.append(json.loads(message.data)), LATCHED)
        wait_for(lambda: told, f'the state on {topic}')
        return told

    def call(self, service):
        """The answer of a std_srvs/Trigger service."""
        client = self.node.create_client(Trigger, service)
        wait_for(client.service_is_ready, service)
        future = client.call_async(Trigger.Request())
        wait_for(future.done, service)
        self.node.destroy_client(client)
        return future.result()

    def now(self):
        return self.node.get_clock().now().nanoseconds

    def image(self, stamp=None, value=128, size=(32, 32)):
        self.publish(encode_image(np.full((*size, 3), value, np.uint8), stamp or self.now(), 'static'), 'static/image')

    def joints(self, stamp=None, values=(0.1, 0.2)):
        # As encoders do, they never repeat themselves exactly: those that do are frozen.
        self.measured += 1
        positions = np.array(values, float) + 1e-9 * (self.measured % 7)
        self.publish(encode_joint_state(['a', 'b'], positions, positions, stamp or self.now()), 'joint_states')

    def observe(self, **image):
        """One image and one joint state of the same instant."""
        stamp = self.now()
        self.joints(stamp)
        self.image(stamp, **image)

    def observe_until(self, condition, what, timeout=TIMEOUT):
        """Streams observations, as a robot does, until the condition holds."""

        def look():
            self.observe()
            time.sleep(0.04)
            return condition()

        return wait_for(look, what, timeout)

    def goal(self, text):
        self.publish(String(data=text), 'goal', LATCHED)

    def request(self, stamp=0):
        """Asks for a chunk planned from an observation stamped at or after `stamp`."""
        request = ChunkRequest(f'bench-{stamp}', self.now(), not_before=stamp, period=self.contract.period)
        self.publish(encode_request(request, self.contract.action_names), 'chunk_request')

    def close(self):
        self.executor.shutdown(timeout_sec=2.0)
        self.thread.join(2.0)
        for node in self.under_test:
            if hasattr(node, 'close'):  # a node without a robot has nothing to stop
                node.close()
            node.destroy_node()
        self.node.destroy_node()
        self.under_test.clear()
        gc.collect()  # nodes lie in cycles, and as long as one lives so does its DDS participant


def wait_for(condition, what, timeout=TIMEOUT, every=0.01):
    deadline = time.monotonic() + timeout
    while not (found := condition()):
        assert time.monotonic() < deadline, f'waited {timeout} s for {what}'
        time.sleep(every)
    return found
