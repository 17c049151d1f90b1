"""Episodes for the viewer rerun: cameras, states and actions under the contract's names, in the page's colours.

    camera/NAME             pictures
    state/STREAM/NAME       numbers, those of one stream in one plot
    action/GROUP/NAME
    by_hand                 1 where a person drove
    goal                    the sentence, at the episode's begin

The episodes of a data set follow one another on the timeline `time`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from mode_ros.control.contract import Contract
from mode_ros.control.depth import as_rgb
from mode_ros.training.data.frames import Frame
from mode_ros.training.data.overview import open_vectors
from mode_ros.training.data.pictures_of import pictures_of
from mode_ros.training.data.recordings import About, Recording

# The page's, as it draws them in the dark (static/episodes.css): rerun is dark, too.
COLOURS = ('#6db7ff', '#ffb454', '#52d6a4', '#f29ccb', '#e6d36a', '#a9c7ee', '#ff9a8a', '#dddddd')
TIMELINE, JPEG_QUALITY = 'time', 85
# Between two episodes (seconds).
GAP = 1.0


@dataclass(frozen=True)
class Moment:
    """One frame. values: by path; pictures: RGB [h, w, 3] by camera; goal: at an episode's first frame."""

    seconds: float
    values: Mapping[str, float]
    pictures: Mapping[str, NDArray[np.uint8]]
    goal: str = ''


def data_set_moments(root: Path, episode: int | None, contract: Contract | None = None) -> Iterator[Moment]:
    """Of one episode, or of all. Raises UserError for one that is not there."""
    data = open_vectors(root, contract)
    places = range(len(data.files.episodes)) if episode is None else [data.files.place(episode)]
    begin = 0.0
    for k in places:
        rows = data.episode(k)
        columns = {f'state/{name}': data.state[rows, data.columns(name)] for name in data.streams}
        columns |= _actions(data.contract, data.actions[rows])
        names = {path: _names(data.contract, path, found.shape[1]) for path, found in columns.items()}
        driven = data.driven[rows]
        films = {camera: pictures_of(data.files, data.files.episodes[k], camera) for camera in data.files.cameras}
        goal = data.goal(int(data.episode_starts[k]))
        for row in range(len(driven)):
            values = {
                f'{path}/{name}': float(value)
                for path, found in columns.items()
                for name, value in zip(names[path], found[row], strict=True)
            }
            pictures = {camera: as_rgb(next(film)) for camera, film in films.items()}
            values['by_hand'] = float(driven[row])
            yield Moment(begin + row / data.rate, values, pictures, '' if row else goal)
        begin += len(driven) / data.rate + GAP


def recording_moments(recording: Recording, contract: Contract) -> Iterator[Moment]:
    """Of a recording, read as `convert` would."""
    count = 0
    for item in recording.read(contract, '', About(), lambda _: None):
        if not isinstance(item, Frame):
            continue
        values = {
            f'state/{state.name}/{name}': float(value)
            for state in contract.observation.states
            for name, value in zip(state.names, np.ravel(item.observation.states[state.name]), strict=True)
        }
        for path, found in _actions(contract, item.action[None]).items():
            names = _names(contract, path, found.shape[1])
            values |= {f'{path}/{name}': float(value) for name, value in zip(names, found[0], strict=True)}
        values['by_hand'] = float(item.intervention)
        pictures = {camera: as_rgb(image) for camera, image in item.observation.images.items()}
        yield Moment(count / contract.rate, values, pictures, '' if count else item.goal)
        count += 1


def log(rerun: Any, moments: Iterator[Moment]) -> int:
    """Hands every moment to rerun, the module; returns how many there were."""
    seen: dict[str, int] = {}
    count = 0
    for moment in moments:
        rerun.set_time(TIMELINE, duration=moment.seconds)
        for path, value in moment.values.items():
            if path not in seen:
                group = path.rpartition('/')[0]
                number = seen[path] = sum(other.rpartition('/')[0] == group for other in seen)
                line = rerun.SeriesLines(colors=_rgb(COLOURS[number % len(COLOURS)]), names=path.rpartition('/')[2])
                rerun.log(path, line, static=True)
            rerun.log(path, rerun.Scalars(value))
        for camera, picture in moment.pictures.items():
            rerun.log(f'camera/{camera}', rerun.EncodedImage(contents=_jpeg(picture), media_type='image/jpeg'))
        if moment.goal:
            rerun.log('goal', rerun.TextLog(moment.goal))
        count += 1
    return count


def _actions(contract: Contract | None, actions: NDArray[np.floating]) -> dict[str, NDArray[np.floating]]:
    if contract is None or len(contract.dimensions) != actions.shape[1]:
        return {'action': actions}
    return {f'action/{group.name}': actions[:, contract.group_slices[group.name]] for group in contract.action}


def _names(contract: Contract | None, path: str, count: int) -> Sequence[str]:
    """The contract's names of what lies under a path; numbers where it has none."""
    kind, _, name = path.partition('/')
    if contract is not None:
        parts = contract.observation.states if kind == 'state' else contract.action
        for part in parts:
            if part.name == name and len(part.names) == count:
                return list(part.names)
    return [str(number) for number in range(count)]


def _rgb(colour: str) -> list[int]:
    return [int(colour[place : place + 2], 16) for place in (1, 3, 5)]


def _jpeg(picture: NDArray[np.uint8]) -> bytes:
    bgr = cv2.cvtColor(picture, cv2.COLOR_RGB2BGR)
    return bytes(cv2.imencode('.jpg', bgr, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])[1])
