"""Bags as a stream of messages: mcap and sqlite3, compressed or not, in one file or several.

Whatever is wrong with a bag becomes a BagProblem, whose message is the reason without the bag's name.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml
from rosbags.interfaces import Connection
from rosbags.typesys import Stores

from mode_ros.errors import UserError
from mode_ros.recording.definitions import message_types
from mode_ros.recording.episode import Episode
from mode_ros.recording.storage_names import is_storage_name
from mode_ros.training.data.mcap import BagReader
from mode_ros.training.data.memory import give_back
from mode_ros.training.data.pointers import is_pointer

# Beside an SQLite file whose recorder did not close it: messages that are not in the file itself.
_UNCLOSED = ('-wal', '-journal')
# How much of each end of a file goes into its key: headers and indices, which no two recordings share.
_KEY_BYTES = 1 << 16
# And how many more pieces of that size, so that damage in the middle makes another recording.
_KEY_SAMPLES = 16
# Nanoseconds of a recording after which freed memory goes back to the system.
_GIVE_BACK_EVERY = 10 * 1_000_000_000


class BagProblem(Exception):
    """A bag cannot be used, or not from here on; the message says why."""


class Bag:
    """An open bag."""

    def __init__(self, reader: BagReader, path: Path) -> None:
        self._reader = reader
        self._types = message_types(Stores.ROS2_JAZZY)
        self.path = path
        custom = getattr(reader.storage.metadata, 'custom', None)
        self.episode: Episode | None = Episode.from_custom_data(custom, path.name)
        # Why the bag has less than was recorded, and how much; '' where it is whole.
        self.torn = _torn(reader)

    @property
    def connections(self) -> list[Connection]:
        return list(self._reader.connections)

    def publishers(self, topic: str) -> int:
        """How many were on a topic when it was recorded: rosbag2 writes a profile for each; 0 where it does not say."""
        profiles = [getattr(each.ext, 'offered_qos_profiles', ()) for each in self.connections if each.topic == topic]
        return max(map(len, profiles), default=0)

    @property
    def seconds(self) -> float:
        """From the first message to the last, by the time of reception."""
        return self._reader.duration / 1e9

    @property
    def start(self) -> int:
        """Nanoseconds: when the first message was received."""
        return self._reader.start_time

    @property
    def message_count(self) -> int:
        return self._reader.message_count

    def messages(self, connections: Collection[Connection]) -> Iterator[tuple[Connection, int, bytes]]:
        """(connection, time of reception in nanoseconds, serialised message) in order; raises BagProblem."""
        if not connections:
            return
        give_back_at = self.start + _GIVE_BACK_EVERY
        expected, read = sum(connection.msgcount for connection in connections), 0
        try:
            for connection, time, data in self._reader.messages(connections):
                yield connection, time, data
                read += 1
                if time >= give_back_at:
                    give_back()
                    give_back_at = time + _GIVE_BACK_EVERY
        except BagProblem:
            raise
        except Exception as error:
            raise BagProblem(f'the bag is damaged: {_words(error)}') from error
        if read < expected and not self.torn:
            # A hole in a file without checksums is skipped by its reader.
            raise BagProblem(f'the bag is damaged: {read} of its {expected} messages could be read')

    def decode(self, data: bytes, kind: str) -> Any:
        """The message with the fields of its definition; raises BagProblem for bytes that are none."""
        try:
            return self._types.deserialize_cdr(data, kind)
        except Exception as error:
            raise BagProblem(f'a message is no {kind}: {_words(error)}') from error


@contextmanager
def open_bag(path: Path) -> Iterator[Bag]:
    """The bag at `path`, a folder or a storage file; raises BagProblem where it is empty, foreign or cannot be read.

    Of a truncated MCAP file, the bag is what can be read; `Bag.torn` says so.
    """
    reader = _reader(path)
    try:
        try:
            bag = Bag(reader, path)
        except UserError as error:
            raise BagProblem(str(error)) from error
        if not bag.message_count:
            raise BagProblem('the bag is empty: it holds no message')
        yield bag
    finally:
        reader.close()


def _torn(reader: BagReader) -> str:
    """Which files end too early, and how much of the bag can be read, in words; '' for a whole bag."""
    beside = [f'{file.path}{ending}' for file in reader.files for ending in _UNCLOSED]
    unclosed = [Path(path).name for path in beside if Path(path).is_file() and Path(path).stat().st_size]
    if unclosed:
        return (
            f'it was not closed: what is in {", ".join(unclosed)} is not read; `sqlite3 FILE.db3 "PRAGMA '
            'wal_checkpoint"` brings it into the bag'
        )
    torn = [file for file in reader.files if getattr(file, 'torn', False)]
    if not torn:
        return ''
    names = ', '.join(Path(file.path).name for file in torn)
    whole = [file for file in reader.files if file not in torn]
    count = sum(file.readable for file in torn) + sum(file.metadata.message_count for file in whole)
    first = min(file.metadata.start_time for file in reader.files)
    seconds = (max(file.metadata.end_time for file in reader.files) - first) / 1e9
    if reader.storage in torn:  # a file alone: nothing says how long it was
        return f'the end of {names} is missing; {count} messages of {seconds:.1f} s could be read'
    return (
        f'the end of {names} is missing; {count} of {reader.message_count} messages could be read, '
        f'{seconds:.1f} of {reader.duration / 1e9:.1f} s'
    )


def _reader(path: Path) -> BagReader:
    pointers = [file for file in storage_files(path) if is_pointer(file)]
    if pointers:
        raise BagProblem(
            f'{pointers[0].name} is a Git LFS pointer, not the file itself; fetch it with `git lfs pull` in its folder'
        )
    try:
        reader = BagReader(_storage(path))
        reader.open()
    except BagProblem:
        raise
    except Exception as error:
        raise BagProblem(
            f'the bag cannot be opened, it is truncated or none at all ({_words(error)}); '
            '`ros2 bag reindex` or the recorder may recover it'
        ) from error
    return reader


def _storage(path: Path) -> Path:
    if not path.is_dir() or (path / 'metadata.yaml').exists():
        return path
    files = storage_files(path)
    if len(files) != 1:
        raise BagProblem(f'the bag has no metadata.yaml for its {len(files)} files; `ros2 bag reindex` makes one')
    return files[0]


def storage_files(path: Path) -> list[Path]:
    """The files that hold the messages of the bag at `path`: those that its metadata names, where they are there."""
    if path.is_file():
        return [path]
    files = sorted(item for item in path.iterdir() if item.is_file() and is_storage_name(item.name))
    named = named_files(path)
    return [item for item in files if named is not None and item.name in named] or files


def named_files(folder: Path) -> set[str] | None:
    """The storage files that a folder's metadata names; None where it has none that can be read."""
    try:
        document = yaml.safe_load((folder / 'metadata.yaml').read_text())
        return {Path(name).name for name in document['rosbag2_bagfile_information']['relative_file_paths']}
    except (OSError, ValueError, TypeError, KeyError, yaml.YAMLError):
        return None


def is_bag(path: Path) -> bool:
    """Whether `path` is a bag: a folder with metadata or storage files, or a storage file."""
    if path.is_dir():
        return (path / 'metadata.yaml').is_file() or bool(storage_files(path))
    return path.is_file() and is_storage_name(path.name)


def content_key(files: Collection[Path], named: bool = False) -> str:
    """What tells one recording from another, wherever its files lie and whatever they are called: their sizes, ends and
    samples of what is between.

    named: as data sets were keyed before, with the files' names and without the samples.
    """
    digest = hashlib.sha256()
    for path in files:
        size = path.stat().st_size
        digest.update(f'{path.name if named else ""} {size}\0'.encode())
        between = [] if named else [size * k // (_KEY_SAMPLES + 1) for k in range(1, _KEY_SAMPLES + 1)]
        with path.open('rb') as file:
            for place in (0, *between, max(0, size - _KEY_BYTES)):
                file.seek(place)
                digest.update(file.read(_KEY_BYTES))
    return digest.hexdigest()[:24]


def _words(error: Exception) -> str:
    return f'{type(error).__name__}: {error}' if str(error) else type(error).__name__
