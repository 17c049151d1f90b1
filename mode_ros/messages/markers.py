"""Planned paths as visualization_msgs, which not every ROS has installed: importing this asks for it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from geometry_msgs.msg import Point
from numpy.typing import NDArray
from std_msgs.msg import ColorRGBA
from visualization_msgs.msg import Marker, MarkerArray

from mode_ros.messages.stamps import to_duration, to_time

MESSAGE_TYPE = MarkerArray

# A view that has ended leaves nothing behind (nanoseconds).
LIFETIME = 1_000_000_000
LINE, POINT, TEXT = 0.004, 0.008, 0.03  # metres
DECIDED = (1.0, 0.77, 0.39)
AHEAD = (0.5, 0.7, 1.0)
WORDS = (0.93, 0.95, 0.97)


def encode_path(namespace: str, frame: str, points: NDArray[Any], decided: int, words: str, stamp: int) -> list[Marker]:
    """Line and points of a path [n, 3] in metres, the first `decided` steps in another colour, and words at its end.

    namespace: of the markers, one per path; stamp: nanoseconds.
    """
    made = []
    for number, (kind, size) in enumerate(((Marker.LINE_STRIP, LINE), (Marker.SPHERE_LIST, POINT))):
        marker = _marker(namespace, number, frame, kind, stamp)
        marker.scale.x = marker.scale.y = marker.scale.z = size
        marker.points = [Point(x=float(x), y=float(y), z=float(z)) for x, y, z in points]
        marker.colors = [_colour(DECIDED if index <= decided and decided else AHEAD) for index in range(len(points))]
        made.append(marker)
    text = _marker(namespace, len(made), frame, Marker.TEXT_VIEW_FACING, stamp)
    text.scale.z, text.color, text.text = TEXT, _colour(WORDS), words
    text.pose.position = Point(x=float(points[-1][0]), y=float(points[-1][1]), z=float(points[-1][2]) + TEXT)
    return [*made, text]


def encode_paths(markers: Sequence[Marker]) -> MarkerArray:
    """What is shown now; without any, what is shown goes away."""
    return MarkerArray(markers=list(markers) or [Marker(action=Marker.DELETEALL)])


def _marker(namespace: str, number: int, frame: str, kind: int, stamp: int) -> Marker:
    marker = Marker(ns=namespace, id=number, type=kind, action=Marker.ADD, lifetime=to_duration(LIFETIME))
    marker.header.frame_id, marker.header.stamp = frame, to_time(stamp)
    marker.pose.orientation.w = 1.0
    marker.color = _colour(AHEAD)
    return marker


def _colour(rgb: tuple[float, float, float]) -> ColorRGBA:
    return ColorRGBA(r=rgb[0], g=rgb[1], b=rgb[2], a=1.0)
