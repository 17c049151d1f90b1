"""Width and height of a picture feature, whichever way a data set writes its shape."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

_CHANNELS = (1, 3, 4)


def picture_size(feature: Mapping[str, Any]) -> tuple[int, int]:
    """(width, height) of a feature with `shape` and perhaps `names`, of which only the first letters count.

    Names may be missing, short (h, w, c) or wrong: what cannot be a number of channels is not taken for one. Raises
    ValueError for a shape that is no picture's.
    """
    shape = [int(size) for size in feature['shape']]
    if len(shape) == 4:
        if shape[0] != 1:
            raise ValueError(
                f'a picture has the shape {shape}, a stack of {shape[0]}; a policy sees one at a time: '
                'write one per row'
            )
        shape = shape[1:]  # a stack of one
    if len(shape) == 2:
        return shape[1], shape[0]
    if len(shape) != 3:
        raise ValueError(f'a picture has the shape {shape}')
    first, last = shape[0] in _CHANNELS, shape[2] in _CHANNELS
    if first != last:
        channels_first = first
    elif not first:
        raise ValueError(f'a picture has the shape {shape}, without 1, 3 or 4 channels')
    else:  # both could be: the names decide
        channels_first = _initials(feature.get('names'))[-3:][:1] == ['c']
    height, width = shape[1:] if channels_first else shape[:2]
    return width, height


def _initials(names: Any) -> list[str]:
    if isinstance(names, Mapping):
        names = next(iter(names.values()), [])
    if not isinstance(names, Sequence) or isinstance(names, str):
        return []
    return [str(name)[:1].lower() for name in names]
