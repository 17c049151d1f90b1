"""A process of a benchmark that publishes until it is interrupted, and then still has something to say."""

from __future__ import annotations

import signal
from types import FrameType

import rclpy
from rclpy.node import Node
from rclpy.signals import SignalHandlerOptions


def interruptible_node(name: str) -> tuple[Node, list[bool]]:
    """A node of this name, and a list that is empty until SIGINT or SIGTERM."""
    ended: list[bool] = []

    def end(number: int, frame: FrameType | None) -> None:
        ended.append(True)

    signal.signal(signal.SIGINT, end)
    signal.signal(signal.SIGTERM, end)
    rclpy.init(signal_handler_options=SignalHandlerOptions.NO)
    return rclpy.create_node(name), ended
