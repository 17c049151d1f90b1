"""Files and folders that are never half there, whatever ends the process that writes them, and whoever else does."""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def name_aside(path: Path) -> Path:
    """A hidden name beside `path` that nobody else has, for what is renamed to it when it is whole.

    What is made there is for whom the user's umask says, as what tempfile makes is not.
    """
    return path.with_name(f'.{path.name}.{secrets.token_hex(8)}')


def write_whole(path: Path, content: bytes | str) -> None:
    """Write a file aside, onto the disk, and rename it; text as UTF-8. Raises OSError, and leaves what was there."""
    aside = name_aside(path)
    try:
        with aside.open('xb') as file:
            file.write(content.encode() if isinstance(content, str) else content)
            file.flush()
            os.fsync(file.fileno())
        aside.replace(path)
    finally:
        aside.unlink(missing_ok=True)


@contextmanager
def whole_folder(folder: Path) -> Iterator[Path]:
    """A folder aside, to be filled with files; put onto the disk and in `folder`'s place where that ends well.

    An earlier folder is moved away first, to a hidden name, and removed only after: a process that is killed in between
    leaves it there. Raises OSError, and leaves what was there.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    aside = name_aside(folder)
    try:
        aside.mkdir()
        yield aside
        for path in aside.iterdir():
            _to_disk(path)
        earlier = name_aside(folder)
        if folder.exists():
            folder.rename(earlier)
        try:
            aside.rename(folder)
        except OSError:
            if earlier.exists():
                earlier.rename(folder)
            raise
        shutil.rmtree(earlier, ignore_errors=True)
        _to_disk(folder.parent)
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def _to_disk(path: Path) -> None:
    """Wait until a file, or a folder's list of names, is on the disk: a rename may otherwise outlive its content."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
