"""sensor_msgs/Image and CompressedImage to the pixels that the policy sees, and back."""

from __future__ import annotations

from array import array
from typing import Any

import cv2
import numpy as np
from cv_bridge import CvBridge, CvBridgeError
from numpy.typing import NDArray
from sensor_msgs.msg import CompressedImage, Image

from mode_ros.control.contract import Camera
from mode_ros.control.images import fit
from mode_ros.control.observation import Unusable
from mode_ros.messages.stamps import to_time

# Depth and label images have colours only by mistake: converting them would feed the policy noise.
COLOUR_ENCODINGS = (
    'rgb8',
    'bgr8',
    'rgba8',
    'bgra8',
    'mono8',
    '8UC3',
    'yuv422',
    'yuv422_yuy2',
    'bayer_rggb8',
    'bayer_bggr8',
    'bayer_gbrg8',
    'bayer_grbg8',
)

# What not every release of cv_bridge knows; OpenCV names a Bayer pattern by its second row.
_BY_OPENCV = {
    'yuv422': cv2.COLOR_YUV2RGB_UYVY,
    'yuv422_yuy2': cv2.COLOR_YUV2RGB_YUY2,
    'bayer_grbg8': cv2.COLOR_BayerGB2RGB,
}
_CHANNELS = {'rgba8': 4, 'bgra8': 4, 'rgb8': 3, 'bgr8': 3, '8UC3': 3, 'yuv422': 2, 'yuv422_yuy2': 2}

_BRIDGE = CvBridge()


def decode_image(message: Any, camera: Camera) -> NDArray[np.uint8]:
    """RGB uint8 [height, width, 3] in the contract's size.

    message: a sensor_msgs/Image or CompressedImage of rclpy, or any object with the same fields. Raises Unusable
    where it cannot be converted, naming its encoding or format.
    """
    rgb = _decode_compressed(message) if camera.transport == 'compressed' else _decode_raw(message)
    return fit(rgb, camera.width, camera.height)


def _decode_raw(message: Any) -> NDArray[np.uint8]:
    if message.encoding not in COLOUR_ENCODINGS:
        raise Unusable(
            f'the encoding {message.encoding!r} cannot be converted to rgb8 (known: {", ".join(COLOUR_ENCODINGS)})'
        )
    if message.width == 0 or message.height == 0:
        raise Unusable('its image has no pixels')
    try:
        packed = _without_padding(message)
        # 8UC3 says nothing about colour; drivers that use it mean OpenCV's order.
        source = 'bgr8' if message.encoding == '8UC3' else message.encoding
        if source == 'rgb8' or source in _BY_OPENCV:
            pixels = np.frombuffer(packed.data, np.uint8).reshape(message.height, message.width, -1)
            return pixels if source == 'rgb8' else np.asarray(cv2.cvtColor(pixels, _BY_OPENCV[source]), np.uint8)
        packed.encoding = source
        return np.asarray(_BRIDGE.imgmsg_to_cv2(packed, 'rgb8'), dtype=np.uint8)
    except (CvBridgeError, cv2.error, KeyError, ValueError, TypeError, RuntimeError) as error:
        raise Unusable(
            f'its {message.encoding} image of {message.width}x{message.height} cannot be converted to rgb8: {error}'
        ) from error


class _Packed:
    """An image message without padding at the end of its rows."""

    def __init__(self, message: Any, data: Any) -> None:
        self.height, self.width = int(message.height), int(message.width)
        self.encoding = str(message.encoding)
        self.is_bigendian = bool(message.is_bigendian)
        self.data = data


def _without_padding(message: Any) -> _Packed:
    # Drivers may align rows; not every cv_bridge honours `step`.
    used = message.width * _CHANNELS.get(message.encoding, 1)
    if message.step in (0, used):
        return _Packed(message, message.data)
    rows = np.frombuffer(message.data, np.uint8).reshape(message.height, message.step)
    return _Packed(message, np.ascontiguousarray(rows[:, :used]))


def _decode_compressed(message: Any) -> NDArray[np.uint8]:
    if 'compressedDepth' in message.format:
        raise Unusable(f'the format {message.format!r} holds depth, not colours')
    image = cv2.imdecode(np.frombuffer(message.data, np.uint8), cv2.IMREAD_COLOR) if len(message.data) else None
    if image is None:
        raise Unusable(f'its {message.format!r} image of {len(message.data)} bytes cannot be decoded')
    return np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2RGB), dtype=np.uint8)


def encode_image(rgb: NDArray[np.uint8], stamp: int, frame_id: str) -> Image:
    """An rgb8 Image of `rgb` [h, w, 3], stamped in nanoseconds."""
    message = Image(height=rgb.shape[0], width=rgb.shape[1], encoding='rgb8', step=3 * rgb.shape[1])
    message.header.stamp, message.header.frame_id = to_time(stamp), frame_id
    # An array is taken as it is; bytes would be checked one by one.
    message.data = array('B', rgb.tobytes())
    return message


def encode_compressed_image(rgb: NDArray[np.uint8], stamp: int, frame_id: str, quality: int = 90) -> CompressedImage:
    """A JPEG CompressedImage of `rgb` [h, w, 3], stamped in nanoseconds."""
    ok, jpeg = cv2.imencode('.jpg', cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, quality])
    if not ok:
        raise ValueError(f'OpenCV could not encode an image of shape {rgb.shape}')
    message = CompressedImage(format='jpeg')
    message.header.stamp, message.header.frame_id = to_time(stamp), frame_id
    message.data = array('B', jpeg.tobytes())
    return message
