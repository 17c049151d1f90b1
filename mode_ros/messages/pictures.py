"""Camera messages to what a browser shows."""

from __future__ import annotations

from typing import Any

import cv2

from mode_ros.control.contract import Camera
from mode_ros.control.depth import as_rgb
from mode_ros.control.observation import Unusable
from mode_ros.messages.images import decode_image
from mode_ros.messages.picture_header import picture_header

QUALITY = 80


def as_picture(message: Any, camera: Camera) -> tuple[str, bytes]:
    """('image/jpeg', 'image/png' or 'image/webp', its bytes) of an Image or CompressedImage.

    What is compressed stays as it is; what is not becomes a JPEG in the contract's size, as the policy sees it; depth
    becomes a grey JPEG. Raises Unusable where it cannot be converted.
    """
    if camera.transport == 'ffmpeg':
        raise Unusable('it comes as packets of video, of which one alone is no picture')
    if camera.transport == 'compressed' and not camera.is_depth:
        data = bytes(message.data)
        header = picture_header(data[: 1 << 16])
        if header is not None and header.bits == 8 and 'compressedDepth' not in str(message.format):
            return f'image/{header.kind}', data
    rgb = as_rgb(decode_image(message, camera))
    jpeg = cv2.imencode('.jpg', cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, QUALITY])[1]
    return 'image/jpeg', jpeg.tobytes()
