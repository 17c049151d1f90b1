"""The pictures of an episode, decoded one after the other, from a video or from the images in its data file."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from mode_ros.errors import UserError
from mode_ros.training.data.data_files import DataFiles, EpisodeFiles
from mode_ros.training.data.video import read_video


def pictures_of(data: DataFiles, episode: EpisodeFiles, camera: str) -> Iterator[NDArray[np.uint8]]:
    """RGB [height, width, 3], as many as the episode has frames. Raises UserError for what cannot be decoded."""
    if camera in episode.clips:
        clip = episode.clips[camera]
        return read_video(clip.path, clip.start, episode.length)
    return _decode_all(data.image_bytes(episode, camera), episode)


def _decode_all(encoded: Sequence[bytes], episode: EpisodeFiles) -> Iterator[NDArray[np.uint8]]:
    for row, data in enumerate(encoded):
        image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
        if image is None:
            raise UserError(f'Image {row} of episode {episode.index} in {episode.data} cannot be decoded.')
        yield np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2RGB), np.uint8)
