"""Finding recordings in what a user names: files and folders, their kind recognised by content."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from mode_ros.errors import UserError
from mode_ros.training.data.bag_recording import BagRecording
from mode_ros.training.data.bags import is_bag
from mode_ros.training.data.calvin import calvin_recordings, is_calvin
from mode_ros.training.data.libero import is_libero, libero_recordings
from mode_ros.training.data.recordings import KINDS, Recording


def find_recordings(paths: Sequence[Path], kind: str) -> list[Recording]:
    """The recordings at or below `paths`, in that order and by name. kind: of KINDS, or 'auto'.

    Raises UserError for a path that does not exist, or at which there is nothing of that kind.
    """
    found: list[Recording] = []
    for path in paths:
        if not path.exists():
            raise UserError(f'There is nothing at {path}; give bags, or folders with bags.')
        here = list(_below(path, KINDS if kind == 'auto' else (kind,)))
        if not here and path.is_file():
            here = [BagRecording(path)] if kind in ('auto', 'bag') else []  # named by the user, so reported with why
        if not here:
            expected = 'recording' if kind == 'auto' else f'recording of the kind {kind!r}'
            raise UserError(f'There is no {expected} in {path}; give bags, LIBERO files or a CALVIN folder.')
        found += here
    return found


def _below(path: Path, kinds: Sequence[str]) -> Iterator[Recording]:
    if 'bag' in kinds and is_bag(path):
        yield BagRecording(path)
    elif 'calvin' in kinds and is_calvin(path):
        yield from calvin_recordings(path)
    elif 'libero' in kinds and path.is_file() and is_libero(path):
        yield from libero_recordings(path)
    elif path.is_dir():
        for item in sorted(path.iterdir()):
            if not item.name.startswith('.'):
                yield from _below(item, kinds)
