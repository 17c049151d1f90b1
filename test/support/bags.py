"""Bags made by hand, message by message: a simulated minute in a few lines."""

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from rosbags.interfaces import Qos, QosDurability, QosHistory, QosLiveliness, QosReliability, QosTime
from rosbags.rosbag2 import CompressionFormat, CompressionMode, StoragePlugin, Writer
from rosbags.typesys import Stores, get_typestore
from support.contracts import DELTA_TEXT

from mode_ros.control.contract import parse_contract
from mode_ros.recording.episode import Episode

TYPES = get_typestore(Stores.ROS2_JAZZY)
SECOND = 1_000_000_000
START = 1_700_000_000 * SECOND

FOREVER = QosTime(9_223_372_036, 854_775_807)
QOS = Qos(
    QosHistory.UNKNOWN, 0, QosReliability.RELIABLE, QosDurability.VOLATILE,
    FOREVER, FOREVER, QosLiveliness.AUTOMATIC, FOREVER, False,
)  # fmt: skip

TIME = TYPES.types['builtin_interfaces/msg/Time']
HEADER = TYPES.types['std_msgs/msg/Header']


def header(stamp):
    return HEADER(stamp=TIME(sec=stamp // SECOND, nanosec=stamp % SECOND), frame_id='base')


def picture(number, size=(32, 32)):
    """Smooth, so that a lossy codec keeps it, and different for every number. size: width, height."""
    y, x = np.mgrid[0 : size[1], 0 : size[0]]
    channels = [(x * 3 + number * 7) % 200 + 20, y * 200 // size[1] + 20, np.full_like(x, (number * 11) % 200 + 20)]
    return np.stack(channels, axis=-1).astype(np.uint8)


def image(stamp, rgb, encoding='rgb8'):
    height, width = rgb.shape[:2]
    return TYPES.types['sensor_msgs/msg/Image'](
        header=header(stamp), height=height, width=width, encoding=encoding, is_bigendian=0, step=width * 3,
        data=rgb.reshape(-1),
    )  # fmt: skip


def compressed(stamp, rgb=None, data=None, extension='.jpg'):
    if data is None:
        data = cv2.imencode(extension, cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, 95])[1]
    kind = TYPES.types['sensor_msgs/msg/CompressedImage']
    return kind(header=header(stamp), format=extension[1:], data=np.asarray(data, np.uint8).reshape(-1))


def joints(stamp, names, values):
    empty = np.zeros(0)
    return TYPES.types['sensor_msgs/msg/JointState'](
        header=header(stamp), name=list(names), position=np.array(values, float), velocity=empty, effort=empty
    )


def twist(stamp, displacement, period=0.05):
    vector = TYPES.types['geometry_msgs/msg/Vector3']
    x, y, z = (float(value) / period for value in displacement)
    body = TYPES.types['geometry_msgs/msg/Twist'](linear=vector(x, y, z), angular=vector(0.0, 0.0, 0.0))
    return TYPES.types['geometry_msgs/msg/TwistStamped'](header=header(stamp), twist=body)


def floats(values):
    layout = TYPES.types['std_msgs/msg/MultiArrayLayout'](dim=[], data_offset=0)
    return TYPES.types['std_msgs/msg/Float64MultiArray'](layout=layout, data=np.array(values, float))


def text(words):
    return TYPES.types['std_msgs/msg/String'](data=words)


def flag(value):
    return TYPES.types['std_msgs/msg/Bool'](data=value)


@dataclass
class Item:
    """A message that was received on a topic at a time (nanoseconds)."""

    topic: str
    message: object
    received: int

    @property
    def kind(self):
        return self.message.__msgtype__


def demonstration(seconds=2.0, goal='push the block', start=START, size=(32, 32), offset=0, rates=(20, 50)):
    """What the contract `support.contracts.DELTA_TEXT` describes: camera, joints, twist and gripper.

    offset: time of reception minus stamp's clock, as when a simulation is recorded on the wall clock.
    """
    camera, joint = rates
    items = [Item('/goal', text(goal), start + offset)] if goal else []
    for k in range(round(seconds * camera)):
        stamp = start + round(k * SECOND / camera)
        items.append(Item('/static/image', image(stamp, picture(k, size)), stamp + offset + 4_000_000))
    for k in range(round(seconds * joint)):
        stamp = start + round(k * SECOND / joint)
        items.append(Item('/joint_states', joints(stamp, ['b', 'a'], [k / 100, -k / 100]), stamp + offset + 1_000_000))
    for k in range(round(seconds * 20)):
        stamp = start + k * SECOND // 20 + 8_000_000
        items.append(Item('/arm/twist', twist(stamp, [0.001 * (k % 20), 0, -0.01]), stamp + offset + 500_000))
        items.append(Item('/gripper/command', floats([1.0 if k % 40 < 20 else -1.0]), stamp + offset + 500_000))
    return sorted(items, key=lambda item: item.received)


def without(items, topic, first=0.0, last=1e9, start=START):
    """The items but those of `topic` received between two times, in seconds from the start."""
    return [item for item in items if not (item.topic == topic and first <= (item.received - start) / SECOND < last)]


def changed(items, topic, change):
    """The items with `change(number, item)` in the place of each one on `topic`; None drops it."""
    numbers = iter(range(len(items)))
    made = [change(next(numbers), item) if item.topic == topic else item for item in items]
    return [item for item in made if item is not None]


def write_bag(
    path,
    items,
    storage='mcap',
    compression=None,
    custom=None,
    contract=DELTA_TEXT,
    version=9,
    extra_topics=(),
    publishers=None,
):
    """A bag of these items. custom: the Episode that a recorder would write; extra_topics: (name, type) without
    messages; publishers: how many rosbag2 counted, by topic."""
    path = Path(path)
    writer = Writer(path, version=version, storage_plugin=StoragePlugin[storage.upper()])
    if compression:
        writer.set_compression(CompressionMode[compression.upper()], CompressionFormat.ZSTD)
    for key, value in (custom.to_custom_data() if custom else {}).items():
        writer.set_custom_data(key, value)
    with writer:
        connections = {}
        for topic, kind in [*((item.topic, item.kind) for item in items), *extra_topics]:
            if topic not in connections:
                counted = [QOS] * (publishers or {}).get(topic, 0)
                connections[topic] = writer.add_connection(topic, kind, typestore=TYPES, offered_qos_profiles=counted)
        for item in items:
            writer.write(connections[item.topic], item.received, TYPES.serialize_cdr(item.message, item.kind))
    return path


def episode(goal='push the block', **more):
    return Episode(contract_text=DELTA_TEXT, goal=goal, **more)


def delta():
    return parse_contract(DELTA_TEXT, 'delta.yaml')
