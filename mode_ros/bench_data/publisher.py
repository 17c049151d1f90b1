"""A robot for the recording benchmark, in a process of its own: cameras and joint states, every message numbered.

The number is the text in `header.frame_id`; what is missing between two numbers in a bag was lost.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from array import array
from typing import Any

import numpy as np
import rclpy
from rclpy.qos import QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import Image, JointState

from mode_ros.bench_data.interruptible import interruptible_node
from mode_ros.with_parent import end_with_parent

CAMERAS = ('camera_0', 'camera_1')
JOINTS = tuple(f'joint_{number}' for number in range(7))
WIDTH, HEIGHT = 640, 480
BACKLOG = 4  # periods
CAMERA_RATE, JOINT_RATE = 30.0, 100.0


def main() -> None:
    """Publishes until it is interrupted, then prints what it has sent as JSON."""
    end_with_parent()
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--reliability', choices=('reliable', 'best_effort'), default='reliable')
    arguments = parser.parse_args()
    node, ended = interruptible_node('bench_robot')
    reliability = ReliabilityPolicy[arguments.reliability.upper()]
    # As drivers do: a few frames, some more of what is small.
    cameras = [node.create_publisher(Image, f'bench/{name}', QoSProfile(depth=5, reliability=reliability))
               for name in CAMERAS]  # fmt: skip
    joints = node.create_publisher(JointState, 'bench/joint_states', QoSProfile(depth=50, reliability=reliability))
    pixels = array('B', np.random.default_rng(0).integers(0, 256, WIDTH * HEIGHT * 3, np.uint8).tobytes())
    image = Image(width=WIDTH, height=HEIGHT, encoding='rgb8', step=3 * WIDTH, data=pixels)
    state = JointState(name=list(JOINTS), position=[0.0] * len(JOINTS), velocity=[0.0] * len(JOINTS))
    streams: list[tuple[Any, Any, float]] = [(camera, image, 1 / CAMERA_RATE) for camera in cameras]
    streams.append((joints, state, 1 / JOINT_RATE))
    # The second camera halfway between two frames of the first, as cameras that are not synchronised are on average.
    due = [0.0, 0.5 / CAMERA_RATE, 0.0]
    sent = [0] * len(streams)
    skipped = [0] * len(streams)
    latest = 0.0
    begin = time.perf_counter()
    while not ended:
        index = min(range(len(streams)), key=due.__getitem__)
        wait = due[index] - (time.perf_counter() - begin)
        if wait > 0:
            time.sleep(wait)
        latest = max(latest, -wait)
        publisher, message, period = streams[index]
        if -wait > BACKLOG * period:
            # A camera's driver that has not been let run has no more frames than these to catch up with.
            skipped[index] += 1
            due[index] += period
            continue
        message.header.stamp = node.get_clock().now().to_msg()
        message.header.frame_id = str(sent[index])
        publisher.publish(message)
        sent[index] += 1
        due[index] += period
    json.dump(
        {'sent': sent, 'skipped': skipped, 'latest (ms)': round(1000 * latest, 1), 'cpu (s)': time.process_time()},
        sys.stdout,
    )
    node.destroy_node()
    rclpy.try_shutdown()


if __name__ == '__main__':
    main()
