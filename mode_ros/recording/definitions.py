"""Message definitions that rosbags does not bring, so that bags are written and read without their package."""

from __future__ import annotations

from rosbags.typesys import Stores, get_types_from_msg, get_typestore
from rosbags.typesys.store import Typestore

_DEFINITIONS = {
    'ffmpeg_image_transport_msgs/msg/FFMPEGPacket': (
        'std_msgs/Header header\nint32 width\nint32 height\nstring encoding\nuint64 pts\nuint8 flags\n'
        'bool is_bigendian\nuint8[] data\n'
    ),
}


def message_types(store: Stores) -> Typestore:
    """The types of a ROS distribution, and those that a contract may name besides."""
    types = get_typestore(store)
    for name, text in _DEFINITIONS.items():
        types.register(get_types_from_msg(text, name))
    return types
