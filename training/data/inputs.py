"""Finding recordings in what a user names: files and folders, their kind recognised by content."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from mode_ros.errors import UserError
from mode_ros.training.data.bag_recording import BagRecording
from mode_ros.training.data.bags import is_bag, storage_files
from mode_ros.training.data.calvin import calvin_recordings, is_calvin
from mode_ros.training.data.libero import is_libero, libero_recordings
from mode_ros.training.data.recordings import KINDS, Recording
from mode_ros.training.data.strays import begins_like_a_bag, passed_over


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
            strays = passed_over([path])
            told = f' {"; ".join(strays[:3])}.' if strays else ''
            raise UserError(f'There is no {expected} in {path}; give bags, LIBERO files or a CALVIN folder.{told}')
        found += here
    _tell_apart(found)
    return found


def is_recording_file(path: Path) -> bool:
    """Whether a file is called like a bag's storage, or begins like one or like a LIBERO file."""
    return is_bag(path) or begins_like_a_bag(path) or is_libero(path)


def _below(path: Path, kinds: Sequence[str], above: tuple[Path, ...] = ()) -> Iterator[Recording]:
    """above: the folders that the search came through, resolved."""
    if not path.is_dir():
        if 'bag' in kinds and is_bag(path):
            yield BagRecording(path)
        elif 'libero' in kinds and path.is_file() and is_libero(path):  # a pipe would be waited for
            yield from libero_recordings(path)
        return
    here = path.resolve()
    if here in above:
        return  # a link to a folder above would be searched for ever
    if (path / 'meta' / 'info.json').is_file():
        return  # a data set, made of recordings
    above = (*above, here)
    if 'calvin' in kinds and is_calvin(path):
        yield from calvin_recordings(path)
        return
    try:
        inner = [item for item in sorted(path.iterdir()) if not item.name.startswith('.')]
    except OSError:  # gone, or not to be read
        return
    if 'bag' in kinds and is_bag(path):
        loose = [] if (path / 'metadata.yaml').is_file() else storage_files(path)
        folders = [found for item in inner if item.is_dir() for found in _below(item, kinds, above)]
        # One file, or the parts of one, is the folder's recording; others are one each, as in a folder of downloads.
        if not loose or (not folders and (len(loose) == 1 or all(_is_part(file, path) for file in loose))):
            yield BagRecording(path)
        else:
            yield from (BagRecording(file) for file in loose)
        yield from folders
        inner = [item for item in inner if item.is_file() and not is_bag(item)]
    for item in inner:
        yield from _below(item, kinds, above)


def _is_part(file: Path, folder: Path) -> bool:
    return re.fullmatch(re.escape(folder.name) + r'(_\d+)?', file.name.partition('.')[0]) is not None


def _tell_apart(recordings: Sequence[Recording]) -> None:
    """Gives recordings of one name as much of their path as tells them apart."""
    by_name: dict[str, list[Recording]] = {}
    for recording in recordings:
        by_name.setdefault(recording.name, []).append(recording)
    for name, alike in by_name.items():
        paths = [recording.path.absolute() for recording in alike]
        if len(set(paths)) < 2:
            continue
        depth = 1
        while len({path.parts[-depth - 1 :] for path in paths}) < len(set(paths)) and depth < 30:
            depth += 1
        for recording, path in zip(alike, paths, strict=True):
            above = '/'.join(path.parts[-depth - 1 : -1])
            recording.name = f'{above}/{name}'
