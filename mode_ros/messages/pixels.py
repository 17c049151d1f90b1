"""Pixel layouts of sensor_msgs/Image to RGB, by their names in ROS. Whatever does not fit is Unusable."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from mode_ros.control.observation import Unusable

Pixels = NDArray[np.uint8]

# Beyond the largest machine-vision sensors; what claims more is a damaged or hostile header.
MAX_PIXELS = 1 << 26


@dataclass(frozen=True)
class Layout:
    """bytes: per pixel of a row; rows: of the buffer per row of the picture, as a ratio; even: whether width (and
    height, where rows differ) must be even; convert: [rows, width, bytes] to RGB, None where it is RGB already.
    """

    bytes: int
    convert: Callable[[Pixels], Any] | None
    rows: tuple[int, int] = (1, 1)
    even: bool = False


def _by_opencv(code: int) -> Callable[[Pixels], Any]:
    return lambda pixels: cv2.cvtColor(pixels, code)


def _mosaic(code: int) -> Layout:
    return Layout(1, _by_opencv(code))


_GREY = Layout(1, _by_opencv(cv2.COLOR_GRAY2RGB))
_BGR = Layout(3, _by_opencv(cv2.COLOR_BGR2RGB))
_UYVY = Layout(2, _by_opencv(cv2.COLOR_YUV2RGB_UYVY), even=True)
_YUYV = Layout(2, _by_opencv(cv2.COLOR_YUV2RGB_YUY2), even=True)

# Depth and label images have colours only by mistake: converting them would feed the policy noise. OpenCV names a Bayer
# pattern by its second row. 8UC3 and 8UC4 say nothing about colour; drivers that use them mean OpenCV's order.
LAYOUTS = {
    'rgb8': Layout(3, None),
    'bgr8': _BGR,
    'rgba8': Layout(4, _by_opencv(cv2.COLOR_RGBA2RGB)),
    'bgra8': Layout(4, _by_opencv(cv2.COLOR_BGRA2RGB)),
    'mono8': _GREY,
    '8UC3': _BGR,
    '8UC4': Layout(4, _by_opencv(cv2.COLOR_BGRA2RGB)),
    'yuv422': _UYVY,
    'uyvy': _UYVY,
    'yuv422_yuy2': _YUYV,
    'yuyv': _YUYV,
    'nv12': Layout(1, _by_opencv(cv2.COLOR_YUV2RGB_NV12), rows=(3, 2), even=True),
    'nv21': Layout(1, _by_opencv(cv2.COLOR_YUV2RGB_NV21), rows=(3, 2), even=True),
    'bayer_rggb8': _mosaic(cv2.COLOR_BayerBG2RGB),
    'bayer_bggr8': _mosaic(cv2.COLOR_BayerRG2RGB),
    'bayer_gbrg8': _mosaic(cv2.COLOR_BayerGR2RGB),
    'bayer_grbg8': _mosaic(cv2.COLOR_BayerGB2RGB),
}


def check_size(width: int, height: int) -> None:
    """Unusable for a picture without pixels, or with more than MAX_PIXELS; asked before memory is taken."""
    if width <= 0 or height <= 0:
        raise Unusable('its image has no pixels')
    if width * height > MAX_PIXELS:
        raise Unusable(f'its image of {width}x{height} is larger than any camera ({MAX_PIXELS / 1e6:.0f} megapixels)')


def demosaic(mosaic: Pixels, encoding: str) -> Pixels:
    """RGB [h, w, 3] of a mosaic [h, w] in one of the Bayer encodings."""
    convert = LAYOUTS[encoding].convert
    assert convert is not None
    return np.asarray(convert(mosaic), np.uint8)


def decode_pixels(data: Any, encoding: str, width: int, height: int, step: int) -> Pixels:
    """RGB uint8 [height, width, 3] of a buffer in `encoding`; rows may be padded to `step` bytes (0: they are not)."""
    layout = LAYOUTS.get(encoding)
    if layout is None:
        raise Unusable(f'the encoding {encoding!r} cannot be converted to rgb8 (known: {", ".join(LAYOUTS)})')
    check_size(width, height)
    what = f'its {encoding} image of {width}x{height}'
    if layout.even and (width % 2 or (layout.rows != (1, 1) and height % 2)):
        raise Unusable(f'{what} has an odd size, which that encoding has not')
    if encoding.startswith('bayer') and (width < 4 or height < 4):
        raise Unusable(f'{what} is too small for a Bayer pattern')
    used, rows = width * layout.bytes, height * layout.rows[0] // layout.rows[1]
    step = step or used
    if step < used:
        raise Unusable(f'{what} has rows of {step} bytes (step), and one takes {used}; its driver is at fault')
    buffer = np.frombuffer(data, np.uint8)
    if len(buffer) not in (rows * step, (rows - 1) * step + used):
        raise Unusable(f'{what} has {len(buffer)} bytes, {rows} rows of {step} are {rows * step}')
    if len(buffer) < rows * step:
        buffer = np.concatenate([buffer, np.zeros(rows * step - len(buffer), np.uint8)])
    pixels = buffer.reshape(rows, step)[:, :used]
    if layout.bytes > 1:
        pixels = np.ascontiguousarray(pixels).reshape(rows, width, layout.bytes)
    elif layout.convert is not None:
        pixels = np.ascontiguousarray(pixels)
    return pixels if layout.convert is None else np.asarray(layout.convert(pixels), np.uint8)
