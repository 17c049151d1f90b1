"""sensor_msgs/Image and CompressedImage to the pixels that the policy sees, and back."""

from __future__ import annotations

from array import array
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from sensor_msgs.msg import CompressedImage, Image

from mode_ros.control.contract import Camera
from mode_ros.control.images import fit
from mode_ros.control.observation import Unusable
from mode_ros.messages.depth import DEPTH_ENCODINGS, decode_depth_image
from mode_ros.messages.packets import Picture, packet_class
from mode_ros.messages.picture_header import is_cut_off, picture_header
from mode_ros.messages.pixels import LAYOUTS, check_size, decode_pixels, demosaic
from mode_ros.messages.stamps import to_time

# Names of the pixel layouts that can be converted.
COLOUR_ENCODINGS = tuple(LAYOUTS)
# Of a CompressedImage whose format names only its codec, or a grey camera's encoding.
_GREY_FORMATS = ('', 'jpeg', 'jpg', 'png', 'webp', 'mono8', '8UC1')
_DEPTH_HERE = "; if depth is meant, say 'kind: depth' with near and far in the contract"


def decode_image(message: Any, camera: Camera) -> NDArray[Any]:
    """RGB uint8 [height, width, 3] in the contract's size; of a depth camera codes, uint16 [height, width, 1].

    message: a sensor_msgs/Image or CompressedImage of rclpy, or any object with the same fields; of a stream of video,
    what mode_ros.messages.packets makes of its packets. Raises Unusable where it cannot be converted, naming its
    encoding or format; nothing else, whatever has arrived.
    """
    if camera.is_depth:
        return decode_depth_image(message, camera)
    try:
        if camera.transport == 'ffmpeg':
            rgb = _decode_video(message)
        else:
            rgb = _decode_compressed(message) if camera.transport == 'compressed' else _decode_raw(message)
        return fit(rgb, camera.width, camera.height)
    except (cv2.error, ValueError, TypeError, AttributeError, OverflowError, MemoryError) as error:
        raise Unusable(f'its image cannot be converted to rgb8: {type(error).__name__}: {error}') from error


def _decode_video(message: Any) -> NDArray[np.uint8]:
    if not isinstance(message, Picture):
        raise Unusable('a packet of video by itself is no picture')
    return message.rgb()


def image_class(camera: Camera) -> Any:
    """Rclpy's type of a camera's messages; UserError where its package is missing."""
    if camera.transport == 'ffmpeg':
        return packet_class()
    return CompressedImage if camera.transport == 'compressed' else Image


def _decode_raw(message: Any) -> NDArray[np.uint8]:
    if str(message.encoding) in DEPTH_ENCODINGS:
        raise Unusable(f'the encoding {str(message.encoding)!r} is depth, not colours{_DEPTH_HERE}')
    # Byte order (is_bigendian) matters for no encoding of one byte per number.
    return decode_pixels(
        message.data, str(message.encoding), int(message.width), int(message.height), int(message.step)
    )


def _decode_compressed(message: Any) -> NDArray[np.uint8]:
    """As image_transport writes it: the format is the codec, or 'ENCODING; CODEC compressed ENCODING'."""
    words = str(message.format)
    if 'compressedDepth' in words:
        raise Unusable(f'the format {words!r} holds depth, not colours{_DEPTH_HERE}')
    data = memoryview(message.data)
    what = f'its {words!r} image of {len(data)} bytes'
    header = picture_header(bytes(data[: 1 << 16]))
    if header is None:
        raise Unusable(f'{what} cannot be decoded: it is neither JPEG nor PNG nor WebP')
    check_size(header.width, header.height)
    encoding = words.partition(';')[0].strip()
    if header.bits > 8 or encoding in ('16UC1', '32FC1', 'mono16', '16SC1'):
        told = f'{header.bits} bits in {header.channels} channel(s)'
        raise Unusable(f'{what} has {told}: depth or raw data, not colours{_DEPTH_HERE}')
    if is_cut_off(data, header.kind):
        raise Unusable(f'{what} cannot be decoded to its end: the end of the {header.kind} is missing')
    flag = cv2.IMREAD_COLOR if header.channels == 3 else cv2.IMREAD_UNCHANGED
    decoded = cv2.imdecode(np.frombuffer(data, np.uint8), flag)
    if decoded is None:
        raise Unusable(f'{what} cannot be decoded')
    pixels: NDArray[Any] = np.asarray(decoded)
    if pixels.dtype != np.uint8:
        raise Unusable(f'{what} holds {pixels.dtype} numbers: depth or raw data, not colours')
    if pixels.ndim == 3 and pixels.shape[2] in (3, 4):
        code = cv2.COLOR_BGR2RGB if pixels.shape[2] == 3 else cv2.COLOR_BGRA2RGB
        return np.asarray(cv2.cvtColor(pixels, code), np.uint8)
    if pixels.ndim != 2:
        raise Unusable(f'{what} has the shape {list(pixels.shape)}, not that of a picture')
    if encoding.startswith('bayer'):
        return _unmixed(pixels, encoding, header.kind, what)
    if encoding not in _GREY_FORMATS:
        raise Unusable(f'{what} has one channel, and {encoding!r} has another number of them')
    return np.asarray(cv2.cvtColor(pixels, cv2.COLOR_GRAY2RGB), np.uint8)


def _unmixed(mosaic: NDArray[np.uint8], encoding: str, kind: str, what: str) -> NDArray[np.uint8]:
    if kind != 'png':
        raise Unusable(f'{what} is a Bayer pattern that {kind} has blurred; publish it debayered, or as png')
    if encoding not in LAYOUTS:
        raise Unusable(f'{what} has the encoding {encoding!r}, which cannot be converted to rgb8')
    return demosaic(mosaic, encoding)


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
