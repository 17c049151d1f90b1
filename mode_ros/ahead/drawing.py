"""One picture of what the robot sees, what it was told, how it executes and what it will do next."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

Picture = NDArray[np.uint8]
Vector = NDArray[np.float64]
Colour = tuple[int, int, int]

# RGB; as on the operator's page.
GROUND: Colour = (20, 23, 28)
PANEL: Colour = (30, 35, 43)
WORDS: Colour = (238, 241, 245)
QUIET: Colour = (120, 132, 148)
PAST: Colour = (201, 207, 216)
DECIDED: Colour = (255, 196, 99)
AHEAD: Colour = (127, 178, 255)
WELL: Colour = (127, 220, 151)
ALARM: Colour = (192, 24, 24)

HEIGHT = 480  # pixels of the camera's image and of the plots beside it
HEAD = 84
PLOTS = 360  # pixels wide
ROWS = 10  # plots at most; what has more dimensions says so
PAST_SECONDS = 2.0
AHEAD_SECONDS = 1.0  # at least
FLAT = 0.05  # a plot spans at least this share of its dimension's range
FONT = cv2.FONT_HERSHEY_SIMPLEX


@dataclass(frozen=True)
class Row:
    """A dimension. past: [n] values at `Scene.times`; ahead: [m], one per period; lower, upper: its bounds."""

    name: str
    unit: str
    lower: float
    upper: float
    past: Vector
    ahead: Vector


@dataclass(frozen=True)
class Scene:
    """What is drawn.

    picture: RGB uint8 [h, w, 3], None where none has come; camera: what is said instead of it then; goal; state: such
    as 'executing'; well: whether that is as it should be; words: figures of the execution; stopped: why the robot is
    stopped, '' where it is not; rows; times: [n] seconds of the past commands, negative; period: seconds; decided: how
    many of the actions ahead were decided before.
    """

    picture: Picture | None
    camera: str
    goal: str
    state: str
    well: bool
    words: str
    stopped: str
    rows: Sequence[Row]
    times: Vector
    period: float
    decided: int


def draw(scene: Scene) -> Picture:
    """RGB uint8 [HEAD + HEIGHT, width, 3]; the width follows the camera's picture."""
    left = _camera(scene)
    right = np.full((HEIGHT, PLOTS, 3), GROUND, np.uint8)
    _plots(right, scene)
    body = np.hstack([left, right])
    head = np.full((HEAD, body.shape[1], 3), ALARM if scene.stopped else PANEL, np.uint8)
    room = body.shape[1] - 20
    _text(head, _cut(scene.goal or 'no goal', room, 0.65), (10, 25), WORDS, 0.65)
    state = f'stopped: {scene.stopped}' if scene.stopped else scene.state
    colour = WORDS if scene.stopped else WELL if scene.well else DECIDED
    _text(head, _cut(state, room, 0.48), (10, 50), colour, 0.48)
    _text(head, _cut(scene.words, room, 0.48), (10, 73), PAST, 0.48)
    return np.vstack([head, body])


def _camera(scene: Scene) -> Picture:
    if scene.picture is None:
        empty = np.full((HEIGHT, HEIGHT * 4 // 3, 3), GROUND, np.uint8)
        _text(empty, _cut(scene.camera, empty.shape[1] - 20, 0.55), (10, HEIGHT // 2), QUIET, 0.55)
        return empty
    height, width = scene.picture.shape[:2]
    scaled = max(round(width * HEIGHT / height), 1)
    how = cv2.INTER_AREA if height > HEIGHT else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(scene.picture, (scaled, HEIGHT), interpolation=how), np.uint8)


def _plots(canvas: Picture, scene: Scene) -> None:
    shown = list(scene.rows) if len(scene.rows) <= ROWS else list(scene.rows)[: ROWS - 1]
    tall = HEIGHT // max(len(shown) + (len(shown) < len(scene.rows)), 4)
    ahead = max((len(row.ahead) for row in shown), default=0)
    end = max(AHEAD_SECONDS, ahead * scene.period)
    for number, row in enumerate(shown):
        _plot(canvas[number * tall + 2 : (number + 1) * tall - 2, 4:-4], row, scene, end)
    if len(shown) < len(scene.rows):
        more = f'and {len(scene.rows) - len(shown)} dimensions more'
        _text(canvas, more, (10, len(shown) * tall + 20), QUIET, 0.45)


def _plot(canvas: Picture, row: Row, scene: Scene, end: float) -> None:
    canvas[:] = PANEL
    height, width = canvas.shape[:2]
    known = np.concatenate([row.past, row.ahead])
    known = known[np.isfinite(known)]
    low, high = (float(known.min()), float(known.max())) if known.size else (row.lower, row.upper)
    least = FLAT * (row.upper - row.lower)
    if high - low < least:
        middle = (low + high) / 2
        low, high = middle - least / 2, middle + least / 2
    top, bottom = 20, height - 5

    def point(seconds: Vector, values: Vector) -> NDArray[np.int32]:
        x = (seconds + PAST_SECONDS) / (PAST_SECONDS + end) * (width - 1)
        y = bottom - (values - low) / (high - low) * (bottom - top)
        return np.stack([x, y], axis=1).round().astype(np.int32)

    for bound in (row.lower, row.upper):
        if low <= bound <= high:
            _line(canvas, point(np.array([-PAST_SECONDS, end]), np.full(2, bound)), ALARM)
    now = point(np.zeros(1), np.array([low]))[0, 0]
    _line(canvas, np.array([[now, top - 2], [now, height - 1]], np.int32), QUIET)
    past = np.isfinite(row.past)
    _line(canvas, point(scene.times[past], row.past[past]), PAST)
    when = np.arange(len(row.ahead), dtype=np.float64) * scene.period
    ahead = point(when, row.ahead)
    _line(canvas, ahead, AHEAD, 2)
    _line(canvas, ahead[: scene.decided], DECIDED, 2)
    _text(canvas, row.name, (6, 14), WORDS, 0.42)
    if known.size:
        value = row.ahead[0] if len(row.ahead) else row.past[past][-1]
        number = f'{value:.3g} {"" if row.unit == "1" else row.unit}'.strip()
        _text(canvas, number, (width - 6 - _wide(number, 0.42), 14), PAST, 0.42)


def _line(canvas: Picture, points: NDArray[np.int32], colour: Colour, thickness: int = 1) -> None:
    if len(points) > 1:
        cv2.polylines(canvas, [points], False, colour, thickness, cv2.LINE_AA)
    elif len(points) == 1:
        cv2.circle(canvas, (int(points[0, 0]), int(points[0, 1])), 2, colour, -1, cv2.LINE_AA)


def _text(canvas: Picture, words: str, place: tuple[int, int], colour: Colour, size: float) -> None:
    cv2.putText(canvas, plain(words), place, FONT, size, colour, 1, cv2.LINE_AA)


def _wide(words: str, size: float) -> int:
    return int(cv2.getTextSize(plain(words), FONT, size, 1)[0][0])


def _cut(words: str, room: int, size: float) -> str:
    """What of `words` fits into `room` pixels."""
    if _wide(words, size) <= room:
        return words
    kept = plain(words)
    while kept and _wide(f'{kept}...', size) > room:
        kept = kept[:-1]
    return f'{kept}...'


def plain(words: str) -> str:
    """What OpenCV's letters can show of `words`: accents are left off, and what is none of ASCII is a question mark."""
    parts = unicodedata.normalize('NFKD', ' '.join(words.split()))
    return ''.join(letter for letter in parts if not unicodedata.combining(letter)).encode('ascii', 'replace').decode()
