"""One episode to look at: its numbers over time, who drove, and some of its pictures. Plain data for JSON."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from mode_ros.checks.motion import still_frames
from mode_ros.checks.spread import action_floor
from mode_ros.control.contract import Contract
from mode_ros.control.depth import as_rgb
from mode_ros.training.data.data_files import DataFiles
from mode_ros.training.data.frames import Frame
from mode_ros.training.data.layout import ACTION
from mode_ros.training.data.overview import open_vectors
from mode_ros.training.data.pictures_of import pictures_of
from mode_ros.training.data.recordings import About, Recording, RecordingProblem

# More points than a plot has pixels tell nothing.
MOST_POINTS = 500
PICTURES = 8
PICTURE_HEIGHT = 120

Floats = NDArray[np.floating]


def data_set_episode(root: Path, number: int, contract: Contract | None = None) -> dict[str, Any]:
    """Keys: times (s), plots (kind 'state' or 'action', title, names, units, values [names][times]), driven and still
    (spans [from, to] in s), videos (by camera: path, start and seconds), pictures (by camera: JPEG as base64, of one
    whose pictures are not videos). UserError for an episode that is not there.
    """
    data = open_vectors(root, contract)
    place = data.files.place(number)
    episode, rows = data.files.episodes[place], data.episode(place)
    states = {name: data.state[rows, data.columns(name)] for name in data.streams}
    told = _numbers(data.contract, data.rate, data.actions[rows], states, data.driven[rows])
    if data.contract is None:
        _name_plots(told['plots'], data.files)
    told['videos'] = {
        camera: {'path': str(clip.path), 'start': clip.start, 'seconds': episode.length / data.rate}
        for camera, clip in episode.clips.items()
    }
    told['pictures'] = {
        camera: _sheet(pictures_of(data.files, episode, camera), episode.length)
        for camera in data.files.cameras
        if camera not in episode.clips
    }
    return told


def recorded_episode(recording: Recording, contract: Contract) -> dict[str, Any]:
    """The same of a recording, read as `convert` would: without videos, and with left_out, in sentences."""
    about = About()
    frames: list[tuple[Floats, Mapping[str, Floats], bool]] = []
    left_out: list[str] = []
    pictures: dict[str, list[NDArray[Any]]] = {camera.name: [] for camera in contract.observation.cameras}
    # Every n-th picture of about so many; the rest is let go of while reading.
    every = max(1, int(recording.seconds() * contract.rate / (2 * PICTURES)))
    try:
        for item in recording.read(contract, '', about, lambda _: None):
            if not isinstance(item, Frame):
                left_out += [item.reason] if item.fault else []
                continue
            if len(frames) % every == 0:
                for camera, image in item.observation.images.items():
                    pictures[camera].append(image)
            frames.append((item.action, item.observation.states, item.intervention))
    except RecordingProblem as error:
        left_out.append(str(error))
    actions = np.array([action for action, _, _ in frames]).reshape(len(frames), len(contract.dimensions))
    states = {
        state.name: np.array([found[state.name] for _, found, _ in frames]).reshape(len(frames), len(state.names))
        for state in contract.observation.states
    }
    told = _numbers(contract, contract.rate, actions, states, np.array([hand for _, _, hand in frames], bool))
    told['videos'] = {}
    told['pictures'] = {camera: _sheet(images, len(images)) for camera, images in pictures.items()}
    told['left_out'] = [*left_out, *about.notes]
    return told


def _numbers(
    contract: Contract | None, rate: float, actions: Floats, states: Mapping[str, Floats], driven: NDArray[np.bool_]
) -> dict[str, Any]:
    count = len(actions)
    every = max(1, -(-count // MOST_POINTS))
    fits = contract is not None and len(contract.dimensions) == actions.shape[1]
    plots = []
    for name, values in states.items():
        known = [state for state in contract.observation.states if state.name == name] if contract else []
        names = list(known[0].names) if known and len(known[0].names) == values.shape[1] else []
        plots.append(_plot('state', name, names, values[::every]))
    if fits and contract is not None:
        for group in contract.action:
            place = contract.group_slices[group.name]
            units = [dimension.unit for dimension in contract.dimensions[place]]
            plots.append(_plot('action', group.name, list(group.names), actions[::every, place], units))
        still = still_frames(actions, contract.delta_mask, action_floor(contract)) if count else np.zeros(0, bool)
    else:
        plots.append(_plot('action', '', [], actions[::every]))
        still = np.zeros(count, bool)
    return {
        'seconds': count / rate,
        'times': [round(k / rate, 4) for k in range(0, count, every)],
        'plots': plots,
        'driven': _spans(driven, rate),
        'still': _spans(still, rate),
    }


def _plot(
    kind: str, title: str, names: Sequence[str], values: Floats, units: Sequence[str] | None = None
) -> dict[str, Any]:
    columns = values.shape[1]
    return {
        'kind': kind,
        'title': title,
        'names': list(names) or [str(k) for k in range(columns)],
        'units': list(units or [''] * columns),
        'values': [[round(float(value), 6) for value in values[:, k]] for k in range(columns)],
    }


def _name_plots(plots: Sequence[dict[str, Any]], data: DataFiles) -> None:
    """Names of a data set's own, where no contract gives any."""
    names = data.names(ACTION)
    for plot in plots:
        if plot['kind'] == 'action' and names is not None and len(names) == len(plot['names']):
            plot['names'] = names


def _spans(flags: NDArray[np.bool_], rate: float) -> list[list[float]]:
    """[from, to] in seconds wherever it is True."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], flags, [False]]).astype(int)))
    return [
        [round(float(a) / rate, 3), round(float(b) / rate, 3)] for a, b in zip(edges[::2], edges[1::2], strict=True)
    ]


def _sheet(images: Iterable[NDArray[Any]], count: int) -> list[str]:
    """A few of so many pictures; the others are let go of, since those of an episode may not fit into memory."""
    chosen = set(np.linspace(0, count - 1, PICTURES).round().astype(int).tolist())
    return [_jpeg(as_rgb(image)) for k, image in enumerate(images) if k in chosen]


def _jpeg(image: NDArray[np.uint8]) -> str:
    height, width = image.shape[:2]
    if height > PICTURE_HEIGHT:
        size = (max(1, round(width * PICTURE_HEIGHT / height)), PICTURE_HEIGHT)
        image = np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)
    encoded = cv2.imencode('.jpg', cv2.cvtColor(image, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, 80])[1]
    return base64.b64encode(encoded.tobytes()).decode()
