"""Two cameras of 640 by 480 pixels at 30 Hz, in a process of their own: a scene with edges, shades and some noise."""

from __future__ import annotations

import time
from array import array
from typing import Any

import numpy as np
import rclpy
from numpy.typing import NDArray
from rclpy.qos import QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import Image

from mode_ros.bench_data.interruptible import interruptible_node
from mode_ros.with_parent import end_with_parent

TOPICS = ('bench_page/camera_0', 'bench_page/camera_1')
WIDTH, HEIGHT, RATE = 640, 480, 30.0
# Pictures that are shown in turn, so that none is like the one before.
TURNS = 8


def scene(seed: int) -> NDArray[np.uint8]:
    """RGB [480, 640, 3]: shaded, with sharp boxes, and as noisy as a webcam indoors."""
    generator = np.random.default_rng(seed)
    down, across = np.mgrid[0:HEIGHT, 0:WIDTH]
    picture = np.stack([across / WIDTH * 180, down / HEIGHT * 160, (across + down) / (WIDTH + HEIGHT) * 200], -1)
    for _ in range(40):
        y, x = int(generator.integers(HEIGHT - 60)), int(generator.integers(WIDTH - 60))
        picture[y : y + int(generator.integers(8, 60)), x : x + int(generator.integers(8, 60))] = generator.integers(
            0, 255, 3
        )
    return np.asarray(np.clip(picture + generator.normal(0, 3, picture.shape), 0, 255), np.uint8)


def main() -> None:
    """Publishes until it is interrupted."""
    end_with_parent()
    node, ended = interruptible_node('bench_cameras')
    quality = QoSProfile(depth=2, reliability=ReliabilityPolicy.BEST_EFFORT)
    publishers = [node.create_publisher(Image, topic, quality) for topic in TOPICS]
    messages: list[Any] = [
        Image(width=WIDTH, height=HEIGHT, encoding='rgb8', step=3 * WIDTH, data=array('B', scene(seed).tobytes()))
        for seed in range(TURNS)
    ]
    begin, sent = time.monotonic(), 0
    # The second camera halfway between two pictures of the first, as such are that are not synchronised.
    while not ended:
        wait = begin + sent / (2 * RATE) - time.monotonic()
        if wait > 0:
            time.sleep(wait)
        elif wait < -1.0:
            begin -= wait  # a driver that was not let run does not catch up
        message = messages[sent % TURNS]
        message.header.stamp = node.get_clock().now().to_msg()
        publishers[sent % 2].publish(message)
        sent += 1
    node.destroy_node()
    rclpy.try_shutdown()


if __name__ == '__main__':
    main()
