"""sensor_msgs/Image and CompressedImage of a depth camera to the codes of mode_ros.control.depth."""

from __future__ import annotations

import struct
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from mode_ros.control.contract import Camera
from mode_ros.control.depth import Codes, encode_depth, fit_depth
from mode_ros.control.observation import Unusable
from mode_ros.messages.picture_header import COMPRESSED_DEPTH_HEADER, is_cut_off, picture_header
from mode_ros.messages.pixels import check_size

DEPTH_ENCODINGS = ('16UC1', '32FC1')
# Of a message that carries integers: millimetres (REP 118).
_MILLIMETRES = 0.001


def decode_depth_image(message: Any, camera: Camera) -> Codes:
    """uint16 [height, width, 1] in the contract's size; raises Unusable for anything but depth.

    The distances are taken from the pixel nearest to each place, then clipped and scaled.
    """
    assert camera.near is not None
    assert camera.far is not None
    try:
        metres = _compressed(message) if camera.transport == 'compressed' else _raw(message)
        # First to its size, which is less to compute; of single pixels the order does not matter.
        small = fit_depth(metres[..., None], camera.width, camera.height)[..., 0]
        return encode_depth(small, camera.near, camera.far)
    except (cv2.error, ValueError, TypeError, AttributeError, OverflowError, MemoryError, struct.error) as error:
        raise Unusable(f'its image cannot be read as depth: {type(error).__name__}: {error}') from error


def _raw(message: Any) -> NDArray[Any]:
    encoding, width, height = str(message.encoding), int(message.width), int(message.height)
    _check_encoding(encoding)
    check_size(width, height)
    number = np.dtype(np.uint16 if encoding == '16UC1' else np.float32)
    used = width * number.itemsize
    step = int(message.step) or used
    what = f'its {encoding} image of {width}x{height}'
    if step < used:
        raise Unusable(f'{what} has rows of {step} bytes (step), and one takes {used}; its driver is at fault')
    data = np.frombuffer(message.data, np.uint8)
    if len(data) not in (height * step, (height - 1) * step + used):
        raise Unusable(f'{what} has {len(data)} bytes, {height} rows of {step} are {height * step}')
    if len(data) < height * step:
        data = np.concatenate([data, np.zeros(height * step - len(data), np.uint8)])
    rows = np.ascontiguousarray(data.reshape(height, step)[:, :used])
    values = rows.view(number.newbyteorder('>' if message.is_bigendian else '<'))
    return values if encoding == '32FC1' else _from_millimetres(values)


def _compressed(message: Any) -> NDArray[Any]:
    """A 16-bit PNG, by itself or as compressed_depth_image_transport writes it: after its own header, and of 32FC1 the
    inverse of the distance.
    """
    words, data = str(message.format), memoryview(message.data)
    encoding = words.partition(';')[0].strip()
    what = f'its {words!r} image of {len(data)} bytes'
    quantised: tuple[float, float] | None = None
    if 'compressedDepth' in words:
        _check_encoding(encoding)
        if 'rvl' in words.lower():
            raise Unusable(f'{what} is compressed as RVL, which is not read; set the publisher to png')
        _, a, b = struct.unpack('<iff', bytes(data[:COMPRESSED_DEPTH_HEADER]))
        quantised = (a, b) if encoding == '32FC1' else None
        data = data[COMPRESSED_DEPTH_HEADER:]
    header = picture_header(bytes(data[: 1 << 16]))
    if header is None or header.kind != 'png':
        kind = 'no PNG' if header is None else f'a {header.kind}'
        raise Unusable(f'{what} is {kind}, and depth comes as 16-bit PNG: is this a colour stream, or the wrong topic?')
    check_size(header.width, header.height)
    if (header.bits, header.channels) != (16, 1):
        raise Unusable(
            f'{what} has {header.bits} bits in {header.channels} channel(s), and depth has 16 in one: colours on a '
            'depth stream'
        )
    if 'compressedDepth' not in words and encoding not in ('', 'png', '16UC1'):
        raise Unusable(
            f'{what} is {encoding!r}, and a plain PNG of depth is 16UC1, in millimetres: another stream, or a '
            'publisher to be set to compressedDepth'
        )
    if is_cut_off(data, header.kind):
        raise Unusable(f'{what} cannot be decoded to its end: the end of the png is missing')
    decoded = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    if decoded is None or decoded.dtype != np.uint16 or decoded.ndim != 2:
        raise Unusable(f'{what} cannot be decoded as depth')
    values: NDArray[Any] = np.asarray(decoded)
    if quantised is None:
        return _from_millimetres(values)
    if not np.isfinite(quantised).all() or quantised[0] <= 0:
        raise Unusable(f'{what} is quantised by {quantised}, which means nothing')
    difference = values.astype(np.float32) - np.float32(quantised[1])
    distance = np.divide(np.float32(quantised[0]), difference, out=np.zeros_like(difference), where=difference > 0)
    return np.where(values == 0, np.float32(0), distance)


def _from_millimetres(values: NDArray[Any]) -> NDArray[np.float32]:
    return values.astype(np.float32) * np.float32(_MILLIMETRES)


def _check_encoding(encoding: str) -> None:
    if encoding not in DEPTH_ENCODINGS:
        raise Unusable(
            f'the encoding {encoding!r} is not that of depth ({", ".join(DEPTH_ENCODINGS)}): colours, or something '
            'else, on a depth stream'
        )
