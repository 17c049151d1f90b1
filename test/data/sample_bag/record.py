"""Makes the sample bags again: the simulator, the controller and the recorder as they are, and a joystick by program.

Type: python test/data/sample_bag/record.py [FOLDER]. Two episodes of a few seconds. The first is marked as a success
and the second as a failure for the sake of the tests: nobody opens the drawer in either.
"""

import os
import sys
import tempfile
import time
from pathlib import Path

import rclpy
from rclpy.executors import SingleThreadedExecutor
from sensor_msgs.msg import Joy
from std_srvs.srv import SetBool, Trigger

from mode_ros.bringup.nodes import recording_nodes
from mode_ros.bringup.processes import Processes, isolated
from mode_ros.paths import share_folder

HERE = Path(__file__).resolve().parent
DEADMAN, GRIPPER = 4, 0

# Seconds, axes (1: x, 0: y, 4: z) and buttons beside the deadman, of gamepad_twist.yaml.
EPISODES = [
    (
        True,
        [(0.6, {}, ()), (1.0, {0: 0.6, 4: -0.4}, ()), (0.8, {1: 0.7}, ()), (0.3, {}, (GRIPPER,)), (1.0, {0: -0.8}, ())],
    ),
    (False, [(0.5, {}, ()), (1.0, {4: 0.8}, ()), (0.4, {}, (GRIPPER,)), (0.9, {1: -0.6, 0: 0.3}, ())]),
]


class Operator:
    """A joystick, and somebody who calls the recorder."""

    def __init__(self):
        self.node = rclpy.create_node('operator')
        self.executor = SingleThreadedExecutor()
        self.executor.add_node(self.node)
        self.joy = self.node.create_publisher(Joy, 'joy', 5)

    def hold(self, seconds, axes, buttons):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            message = Joy(axes=[float(axes.get(index, 0.0)) for index in range(8)])
            message.buttons = [int(index in buttons) for index in range(11)]
            self.joy.publish(message)
            self.executor.spin_once(timeout_sec=0.0)
            time.sleep(0.02)

    def call(self, kind, name, **fields):
        client = self.node.create_client(kind, name)
        assert client.wait_for_service(120.0), f'{name} does not come'
        future = client.call_async(kind.Request(**fields))
        self.executor.spin_until_future_complete(future, 60.0)
        print(future.result().message)
        return future.result().success


def main(folder: Path):
    os.environ.update(isolated(os.environ))
    nodes = recording_nodes(str(HERE / 'contract.yaml'), str(folder), simulator='metaworld', task='drawer-open')
    rclpy.init()
    operator = Operator()
    with Processes(nodes, share_folder() / 'config' / 'nodes.yaml', Path(tempfile.gettempdir()) / 'sample_bag_logs'):
        operator.call(Trigger, 'sim_node/reset')
        while operator.joy.get_subscription_count() == 0:
            time.sleep(0.1)
        for success, moves in EPISODES:
            while not operator.call(Trigger, 'recorder_node/start'):
                time.sleep(0.5)
            operator.hold(0.3, {}, ())  # a deadman counts only when it is seen to go down
            for seconds, axes, buttons in moves:
                operator.hold(seconds, axes, (DEADMAN, *buttons))
            operator.hold(0.4, {}, ())
            operator.call(SetBool, 'recorder_node/success', data=success)
            assert operator.call(Trigger, 'recorder_node/stop')
            operator.call(Trigger, 'sim_node/reset')
    rclpy.shutdown()


if __name__ == '__main__':
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else HERE)
