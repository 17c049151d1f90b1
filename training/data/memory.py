"""Keeping a long conversion's memory where a short one's is."""

from __future__ import annotations

import ctypes
import functools
from collections.abc import Callable


def give_back() -> None:
    """Returns freed memory to the system, where the C library can do that.

    Images come and go in several threads. glibc keeps what they leave between live blocks, some tens of MB after ten
    minutes of two cameras.
    """
    trim = _find_trim()
    if trim is not None:
        trim(0)


@functools.cache
def _find_trim() -> Callable[[int], int] | None:
    return getattr(ctypes.CDLL(None), 'malloc_trim', None)
