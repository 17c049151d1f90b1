"""The pictures of an episode, decoded one after the other, from a video or from the images in its data file."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from mode_ros.errors import UserError
from mode_ros.messages.picture_header import picture_header
from mode_ros.training.data.data_files import DataFiles, EpisodeFiles
from mode_ros.training.data.video import read_video


def pictures_of(data: DataFiles, episode: EpisodeFiles, camera: str) -> Iterator[NDArray[Any]]:
    """RGB [height, width, 3], or codes of depth [height, width, 1], as many as the episode has frames.

    Raises UserError for what cannot be decoded.
    """
    if camera in episode.clips:
        clip = episode.clips[camera]
        return read_video(clip.path, clip.start, episode.length)
    return _decode_all(data.image_bytes(episode, camera), episode, data.is_depth(camera))


def _decode_all(encoded: Sequence[bytes], episode: EpisodeFiles, depth: bool) -> Iterator[NDArray[Any]]:
    flag = cv2.IMREAD_UNCHANGED if depth else cv2.IMREAD_COLOR
    for row, data in enumerate(encoded):
        header = picture_header(data[: 1 << 16])
        image = cv2.imdecode(np.frombuffer(data, np.uint8), flag)
        where = f'Image {row} of episode {episode.index} in {episode.data}'
        if image is None:
            raise UserError(f'{where} cannot be decoded.')
        if depth != (header is not None and header.bits == 16 and header.channels == 1):
            told = 'no 16-bit picture' if depth else 'one of more than 8 bits'
            if depth or (header is not None and header.bits > 8):
                raise UserError(
                    f'{where} is {told}, and the data set says that its camera is one of '
                    f'{"depth" if depth else "colours"}: leave the camera out (cameras in a mixture), or convert again.'
                )
        if depth:
            yield np.asarray(image, np.uint16)[..., None]
            continue
        yield np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2RGB), np.uint8)
