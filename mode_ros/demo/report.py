"""The demo's table, video and picture strip."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.uint8]

VIEW_HEIGHT = 384  # pixels of each camera's view
CAPTION_HEIGHT = 56
_FONT = cv2.FONT_HERSHEY_SIMPLEX


def table(rows: Sequence[tuple[str, str]]) -> str:
    """Two aligned columns."""
    width = max(len(label) for label, _ in rows)
    return '\n'.join(f'  {label:<{width}}  {value}' for label, value in rows)


def compose(frame: dict[str, Image], caption: str) -> Image:
    """All cameras side by side, names above, the caption below; RGB, even sides, as video encoders want."""
    views = []
    for name, image in frame.items():
        width = round(image.shape[1] * VIEW_HEIGHT / image.shape[0] / 2) * 2
        view = cv2.resize(image, (width, VIEW_HEIGHT), interpolation=cv2.INTER_CUBIC)
        cv2.putText(view, name, (10, 24), _FONT, 0.6, (0, 0, 0), 3, cv2.LINE_AA)
        cv2.putText(view, name, (10, 24), _FONT, 0.6, (255, 255, 255), 1, cv2.LINE_AA)
        views.append(view)
    pictures = np.hstack(views)
    strip = np.full((CAPTION_HEIGHT, pictures.shape[1], 3), 24, np.uint8)
    scale = 0.8
    (text_width, _), _ = cv2.getTextSize(caption, _FONT, scale, 1)
    scale = min(scale, scale * (pictures.shape[1] - 24) / max(text_width, 1))
    cv2.putText(strip, caption, (12, 36), _FONT, scale, (240, 240, 240), 1, cv2.LINE_AA)
    return np.asarray(np.vstack([pictures, strip]), np.uint8)


def write_video(path: Path, frames: Sequence[dict[str, Image]], caption: str, rate: float) -> None:
    """An H.264 film of the frames at `rate` per second."""
    with av.open(str(path), 'w') as container:
        height, width = compose(frames[0], caption).shape[:2]
        stream = container.add_stream(
            'libx264', rate=Fraction(rate).limit_denominator(1000), options={'crf': '20', 'preset': 'veryfast'}
        )
        stream.height, stream.width, stream.pix_fmt = height, width, 'yuv420p'
        for picture in (compose(frame, caption) for frame in frames):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format='rgb24')))
        container.mux(stream.encode())


def write_picture(path: Path, frames: Sequence[dict[str, Image]], caption: str, count: int = 4) -> None:
    """`count` frames from first to last, one beneath the other's right, as one PNG."""
    chosen = [frames[round(index)] for index in np.linspace(0, len(frames) - 1, count)]
    columns = [
        np.vstack([cv2.resize(view, (192, 192), interpolation=cv2.INTER_CUBIC) for view in frame.values()])
        for frame in chosen
    ]
    pictures = np.hstack(columns)
    strip = np.full((40, pictures.shape[1], 3), 24, np.uint8)
    cv2.putText(strip, caption, (10, 26), _FONT, 0.6, (240, 240, 240), 1, cv2.LINE_AA)
    cv2.imwrite(str(path), cv2.cvtColor(np.vstack([pictures, strip]), cv2.COLOR_RGB2BGR))
