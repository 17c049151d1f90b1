"""One process at a time writes to a folder: the lock that all who write share, and a guard around what they do."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

from mode_ros.errors import UserError, in_words


class Opened(Protocol):
    """An open file."""

    def fileno(self) -> int:
        """Its descriptor."""
        ...


def take_lock(opened: int | Opened, wait: bool = False) -> bool:
    """Locks an open file or folder until it is closed, or its process has ended; whether nobody else holds it.

    wait: until nobody does. A file system without locks, as some that are mounted from a network, keeps nobody out:
    better than not to write there at all.
    """
    try:
        fcntl.flock(opened, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except BlockingIOError:
        return False
    except OSError:
        pass
    return True


@contextlib.contextmanager
def alone(folder: Path, what: str) -> Iterator[None]:
    """Keeps others out of the folder until the block ends; one that was made for it and stayed empty is removed.

    what: such as 'training', to say what else is running there. Raises UserError where one is, and where the folder
    cannot be made.
    """
    try:
        made = not folder.exists()
        folder.mkdir(parents=True, exist_ok=True)
        lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)  # the folder itself: nothing of ours lies in it
    except OSError as error:
        raise UserError(f'The folder {folder} cannot be written ({in_words(error)}): give another one.') from error
    try:
        if not take_lock(lock):
            raise UserError(f'Another {what} is running in {folder}: wait for it to end, or stop it.')
        yield
    finally:
        os.close(lock)
        if made:
            with contextlib.suppress(OSError):  # there is something in it
                folder.rmdir()
