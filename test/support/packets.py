"""Packets as ffmpeg_image_transport publishes them, of a type with its fields (the package need not be there)."""

import os
from fractions import Fraction

import av
import numpy as np
from rosbags.typesys import Stores
from support.bags import header

from mode_ros.recording.definitions import message_types

TYPES = message_types(Stores.ROS2_JAZZY)
PACKET = TYPES.types['ffmpeg_image_transport_msgs/msg/FFMPEGPacket']
os.environ.setdefault('SVT_LOG', '1')  # errors alone
ENCODERS = {'av1': ('libsvtav1', {'preset': '11', 'crf': '12', 'svtav1-params': 'pred-struct=1:lookahead=0'}),
            'h264': ('libx264', {'tune': 'zerolatency', 'preset': 'ultrafast', 'crf': '12'}),
            'hevc': ('libx265', {'tune': 'zerolatency', 'preset': 'ultrafast', 'crf': '12', 'x265-params': 'log-level=none'})}  # fmt: skip # noqa: E501


def packets(pictures, stamps, codec='h264', key_every=10, words='{};yuv420p;bgr8;bgr8', options=None):
    """A message for each picture [h, w, 3] with its stamp (nanoseconds)."""
    name, usual = ENCODERS[codec]
    encoder = av.CodecContext.create(name, 'w')
    height, width = pictures[0].shape[:2]
    encoder.width, encoder.height, encoder.pix_fmt = width, height, 'yuv420p'
    encoder.time_base, encoder.gop_size = Fraction(1, 20), key_every
    encoder.options = {**usual, **(options or {})}
    made = []
    for k, picture in enumerate(pictures):
        frame = av.VideoFrame.from_ndarray(picture, format='rgb24')
        frame.pts = k
        made += encoder.encode(frame)
    made += encoder.encode()
    return [
        PACKET(header=header(stamps[p.pts]), width=width, height=height, encoding=words.format(codec), pts=p.pts,
               flags=int(p.is_keyframe), is_bigendian=False, data=np.frombuffer(bytes(p), np.uint8))
        for p in made
    ]  # fmt: skip
