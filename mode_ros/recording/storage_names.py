"""What files of a bag are called. Needs nothing, so that a page may list them without what reads them."""

from __future__ import annotations

STORAGE_SUFFIXES = ('.mcap', '.db3')
# Of files that were compressed as a whole: rosbag2's, and what `zstd` on a command line calls it.
PACKED_SUFFIXES = ('.zstd', '.zst')


def is_storage_name(name: str) -> bool:
    """Whether a file of this name holds messages, packed or not."""
    for packed in PACKED_SUFFIXES:
        name = name.removesuffix(packed)
    return name.endswith(STORAGE_SUFFIXES)
