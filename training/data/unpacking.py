"""Storage files that were compressed as a whole, as rosbag2 does with `--compression-mode file`."""

from __future__ import annotations

import contextlib
import shutil
import sys
from pathlib import Path

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd  # as rosbags has it

_MAGIC = b'\x28\xb5\x2f\xfd'


def unpack(path: Path, folder: Path) -> Path:
    """Writes the file that is in `path` into `folder`. Of one whose end is missing, what can be read."""
    target = folder / path.stem
    # A file that ends too early is then read as a torn bag, which says so.
    with zstd.open(path, 'rb') as packed, target.open('wb') as file, contextlib.suppress(EOFError):
        shutil.copyfileobj(packed, file)
    return target


def packed_beginning(path: Path, count: int) -> bytes:
    """The first bytes of what is packed in a file; b'' where it is none that zstd wrote."""
    try:
        with open(path, 'rb') as file:
            if file.read(len(_MAGIC)) != _MAGIC:
                return b''
        with zstd.open(path, 'rb') as packed:
            return bytes(packed.read(count))
    except (OSError, EOFError, zstd.ZstdError):
        return b''
