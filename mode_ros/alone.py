"""One process at a time writes to a folder."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

from mode_ros.errors import UserError, in_words


@contextlib.contextmanager
def alone(folder: Path, what: str) -> Iterator[None]:
    """Keeps others out of the folder until the block ends; one that was made for it and stayed empty is removed.

    what: such as 'training', to say what else is running there. Raises UserError where one is, and where the folder
    cannot be made. The lock goes with its process, however that ends; on a file system without locks there is none.
    """
    try:
        made = not folder.exists()
        folder.mkdir(parents=True, exist_ok=True)
        lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)  # the folder itself: nothing of ours lies in it
    except OSError as error:
        raise UserError(f'The folder {folder} cannot be written ({in_words(error)}): give another one.') from error
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise UserError(f'Another {what} is running in {folder}: wait for it to end, or stop it.') from error
        except OSError:
            pass  # as on some network file systems
        yield
    finally:
        os.close(lock)
        if made:
            with contextlib.suppress(OSError):  # there is something in it
                folder.rmdir()
