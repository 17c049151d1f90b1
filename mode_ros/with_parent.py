"""Processes that end when the one that started them is gone, however it went: kill -9 leaves nobody behind."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Mapping

_STARTED_BY = 'MODE_ROS_STARTED_BY'
# How often a process looks; shorter than a command typed again takes to begin.
_SECONDS = 0.2


def ending_with_us(environment: Mapping[str, str]) -> dict[str, str]:
    """The environment for a process of mode_ros that is to end with this one."""
    return {**environment, _STARTED_BY: str(os.getpid())}


def end_with_parent(number: int = signal.SIGKILL) -> None:
    """Sends this process the signal when the process that started it is gone; nothing, unless that one asked for it.

    To be called once, at the beginning.
    """
    started_by = os.environ.pop(_STARTED_BY, '')  # what this one starts is not theirs
    if started_by.isdecimal():
        threading.Thread(target=_watch, args=(int(started_by), number), daemon=True).start()


def end_worker_with_parent() -> None:
    """The same for a worker of multiprocessing, which would wait for work for ever; it ends at once."""
    threading.Thread(target=_join_parent, daemon=True).start()


def _watch(started_by: int, number: int) -> None:
    while os.getppid() == started_by:
        time.sleep(_SECONDS)
    os.kill(os.getpid(), number)


def _join_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
