"""The newest picture of each camera, made into a JPEG when somebody wants to see it, once for all who do.

A viewer asks for the next picture when it has shown the last one (server.py), so that a slow line gets fewer pictures
and not older ones: here nothing is ever kept but the newest.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Picture:
    """number: of the message, from 1 on; stamp: nanoseconds; kind: 'image/jpeg', 'image/png' or 'image/webp'."""

    number: int
    stamp: int
    kind: str
    data: bytes


# (message as serialised, stamp) to the kind and the encoded picture; raises ValueError or Unusable with the reason.
Encode = Callable[[bytes], tuple[str, bytes]]


class Camera:
    """One camera's newest message. push is called by one thread, newest by any others."""

    def __init__(self, encode: Encode) -> None:
        self._encode = encode
        self._lock = threading.Lock()
        self._encoding = threading.Lock()
        self._number = self._stamp = 0
        self._message: bytes | None = None
        self._made: Picture | None = None
        self._waiting: list[Callable[[], object]] = []
        self.problem = ''

    @property
    def number(self) -> int:
        """Of the newest message; 0 before the first."""
        return self._number

    @property
    def stamp(self) -> int | None:
        """Of the newest message, nanoseconds."""
        return self._stamp if self._number else None

    def push(self, message: bytes, stamp: int) -> None:
        """Takes a message; the one before is forgotten."""
        with self._lock:
            self._message, self._stamp = message, stamp
            self._number += 1
            waiting, self._waiting = self._waiting, []
        for come in waiting:
            come()

    def tell(self, than: int, come: Callable[[], object]) -> None:
        """Calls `come`, once and on some thread, as soon as there is a message whose number is over `than`."""
        with self._lock:
            if self._number <= than:
                self._waiting.append(come)
                return
        come()

    def forget(self, come: Callable[[], object]) -> None:
        """Whoever gave this to `tell` has gone."""
        with self._lock:
            self._waiting = [each for each in self._waiting if each is not come]

    def newest(self) -> Picture | None:
        """The newest picture, None where there is none or it cannot be shown (`problem` says why). Takes milliseconds:
        not for the event loop.
        """
        with self._encoding:
            with self._lock:
                message, number, stamp = self._message, self._number, self._stamp
            if message is None:
                return None
            if self._made is None or self._made.number != number:
                try:
                    kind, data = self._encode(message)
                except Exception as error:  # noqa: BLE001 - whatever has arrived, the page goes on and says so
                    self.problem = str(error)
                    return None
                self._made, self.problem = Picture(number, stamp, kind, data), ''
            return self._made
