"""The recordings and data sets under the folders that the page was started with, by short names of its own.

The page is told these names and gives them back; a path never comes from it. What lies behind a link that leads out of
the folders is not there.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from mode_ros.recording.storage_names import is_storage_name

DATA_SET, RECORDINGS = 'data set', 'recordings'
# How deep below a folder is looked: recordings/monday/episode_000000 is two.
DEPTH = 3
_INFO = Path('meta') / 'info.json'
# Beside a data set that was edited: the original, and what is being made.
_ASIDE = ('.original', '.part')


@dataclass(frozen=True)
class Item:
    """key: what the page calls it; name: for people; version: another one when something in it has changed."""

    key: str
    kind: str
    name: str
    path: Path
    version: str


class Shelf:
    """Looks anew each time: folders change under it."""

    def __init__(self, folders: Sequence[Path]) -> None:
        self.folders = tuple(dict.fromkeys(folder.expanduser().absolute() for folder in folders))

    def items(self) -> list[Item]:
        """Everything, recordings first, by name."""
        found: dict[str, Item] = {}
        for folder in self.folders:
            inside = folder.resolve()
            for kind, path in _below(folder, DEPTH):
                if path.resolve().is_relative_to(inside):
                    item = Item(_key(path), kind, self._name(folder, path), path, _version(kind, path))
                    found.setdefault(item.key, item)
        return sorted(found.values(), key=lambda item: (item.kind == DATA_SET, item.name))

    def find(self, key: str) -> Item | None:
        """None for a name that was never told, and for what is not there any more."""
        return next((item for item in self.items() if item.key == key), None)

    def _name(self, folder: Path, path: Path) -> str:
        """As short as tells it apart: folders that the page was started with are told only where they must be."""
        name = path.relative_to(folder).as_posix()
        return folder.name if name == '.' else f'{folder.name}/{name}'


def _below(folder: Path, depth: int) -> Iterator[tuple[str, Path]]:
    if (folder / _INFO).is_file():
        yield DATA_SET, folder
        return
    inner = _folders(folder)
    if any((path / 'metadata.yaml').is_file() for path in inner) or _has_bag(folder):
        yield RECORDINGS, folder
    if depth:
        for path in inner:
            if not (path / 'metadata.yaml').is_file():
                yield from _below(path, depth - 1)


def _folders(folder: Path) -> list[Path]:
    try:
        found = [Path(entry.path) for entry in os.scandir(folder) if entry.is_dir()]
    except OSError:  # gone, or not to be read
        return []
    return sorted(path for path in found if not path.name.startswith('.') and not path.name.endswith(_ASIDE))


def _has_bag(folder: Path) -> bool:
    try:
        return any(is_storage_name(entry.name) for entry in os.scandir(folder))
    except OSError:
        return False


def _key(path: Path) -> str:
    return hashlib.sha256(os.fsencode(path)).hexdigest()[:12]


def _version(kind: str, path: Path) -> str:
    """From times alone: this is asked every second or two."""
    looked = [path / 'meta' / name for name in ('info.json', 'mode_ros.json', 'edits.json')]
    looked = looked if kind == DATA_SET else [path, *(each / 'metadata.yaml' for each in _folders(path))]
    return hashlib.sha256(repr([_time(each) for each in looked]).encode()).hexdigest()[:12]


def _time(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return 0
