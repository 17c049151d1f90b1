"""What looks like a recording where recordings were looked for, and was not taken: a sentence about each."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from mode_ros.training.data.bags import is_bag, named_files, storage_files
from mode_ros.training.data.calvin import is_calvin
from mode_ros.training.data.libero import is_libero
from mode_ros.training.data.recordings import Recording
from mode_ros.training.data.unpacking import packed_beginning

# Of a storage file: MCAP's and SQLite's.
_BEGINNINGS = (b'\x89MCAP0\r\n', b'SQLite format 3\x00')
_ROS_1 = b'#ROSBAG V'
_LONGEST = max(map(len, _BEGINNINGS))
# A storage file's ending with something before or after it, as of a download that goes on.
_LIKE_A_BAG = re.compile(r'\.(mcap|db3|bag)([.~-]|$)', re.IGNORECASE)
_ABOUT_A_BAG = re.compile(r'\.(txt|md|json|ya?ml|csv|html|log|png|jpe?g|md5|sha\d+)$', re.IGNORECASE)
_ARCHIVE = re.compile(r'\.(zip|7z|rar|tar|tgz|tbz2|txz|tar\.[a-z0-9]+)$', re.IGNORECASE)
_INFO = Path('meta') / 'info.json'
# Lines about one reason; the rest are counted.
_TOLD = 20


def begins_like_a_bag(path: Path) -> bool:
    """Whether a file begins as MCAP or SQLite do."""
    return _beginning(path).startswith(_BEGINNINGS)


def passed_over(paths: Sequence[Path], recordings: Sequence[Recording] = ()) -> list[str]:
    """A sentence about each file and folder at or below `paths` that is like a recording, and in none of `recordings`,
    which were found there.
    """
    taken = _taken(recordings)
    told: dict[str, list[Path]] = {}
    for path in dict.fromkeys(paths):
        for item, reason in _strays(path, path, taken, ()):
            told.setdefault(reason, []).append(item)
    lines = []
    for reason, items in told.items():
        lines += [f'{item} {reason}' for item in items[:_TOLD]]
        if len(items) > _TOLD:
            lines.append(f'{len(items) - _TOLD} more below {os.path.commonpath(items[_TOLD:])}: each {reason}')
    return lines


def _taken(recordings: Sequence[Recording]) -> set[Path]:
    found: set[Path] = set()
    for recording in recordings:
        found.add(recording.path.resolve())
        if is_bag(recording.path):
            found |= {file.resolve() for file in storage_files(recording.path)}
    return found


def _strays(path: Path, root: Path, taken: set[Path], above: tuple[Path, ...]) -> Iterator[tuple[Path, str]]:
    """(what, why it was not taken). root: where the search began; above: folders that it came through, resolved."""
    if not path.is_dir():
        reason = _reason(path, root, taken)
        if reason:
            yield path, reason
        return
    here = path.resolve()
    if here in above:
        return  # a link in a circle: what is there was looked at
    if path.name.startswith('.') and path.name.endswith('.partial'):
        yield path, 'is not finished; its recorder runs, or recovers it at its next start'
        return
    if (path / _INFO).is_file():
        yield path, 'is a data set, not a recording; train on it (data.path), or list it in a mixture'
        return
    try:
        inner = sorted(path.iterdir())
    except OSError as error:
        yield path, f'cannot be looked into ({error.strerror}), and may hold recordings'
        return
    if here in taken and is_calvin(path):
        return
    if any(item.match('episode_*.npz') for item in inner) and not is_calvin(path):
        yield path, "holds CALVIN's episode files without their index (ep_start_end_ids.npy), and is not read"
    if _LIKE_A_BAG.search(path.name) and path != root and not any(each.is_relative_to(here) for each in taken):
        yield path, 'is a folder that is called like a bag, and holds none'
    for item in inner:
        yield from _strays(item, root, taken, (*above, here))


def _reason(path: Path, root: Path, taken: set[Path]) -> str:
    """Why a file was not taken, '' where it was, or is not like a recording."""
    try:
        if path.resolve() in taken:
            return ''
    except (OSError, RuntimeError):  # a link to itself
        pass
    named = bool(_LIKE_A_BAG.search(path.name)) and not _ABOUT_A_BAG.search(path.name)
    if path.is_symlink() and not path.exists():
        return 'is a link to something that is not there'
    if not path.is_file():
        return 'is called like a bag, and is no file' if named else ''
    hidden = any(part.startswith('.') for part in path.relative_to(root).parts)
    like = is_bag(path) or begins_like_a_bag(path) or is_libero(path)
    if hidden:
        way = 'is hidden, and not looked at; rename it (no leading dot) if it is a recording'
        return way if like or named else ''
    if is_bag(path):
        listed = named_files(path.parent)
        if listed is not None and path.name not in listed:
            return 'is not among the files that the metadata.yaml beside it names'
        return 'is a bag, and recordings of another kind were asked for (--from)'
    if _beginning(path).startswith(_ROS_1) or path.suffix.lower() == '.bag':
        return 'is a bag of ROS 1; convert it to ROS 2 first, for example with rosbags-convert'
    if begins_like_a_bag(path):
        return 'holds what a bag holds, and is not called so; let its name end in .mcap or .db3'
    if packed_beginning(path, _LONGEST).startswith(_BEGINNINGS):
        return 'holds a bag that is packed, and is not called so; let its name end in .mcap.zstd or .db3.zstd'
    if is_libero(path):
        return 'is HDF5, and recordings of another kind were asked for (--from)'
    if path.name.endswith(('-wal', '-journal', '-shm')):
        return _of_sqlite(path) if named else ''
    if named:
        return 'is called like a part of a bag; finish or unpack it, and let its name end in .mcap or .db3'
    if _ARCHIVE.search(path.name):
        return 'is an archive, and not looked into; unpack it if it holds recordings'
    return ''


def _of_sqlite(path: Path) -> str:
    """Of what lies beside an SQLite file; the bag itself says where that matters."""
    bag = path.with_name(path.name.rpartition('-')[0])
    return '' if bag.is_file() else f'belongs to {bag.name}, which is not there'


def _beginning(path: Path) -> bytes:
    try:
        with open(path, 'rb') as file:
            return file.read(_LONGEST)
    except OSError:
        return b''
